"""The section of one baseline."""

from typing import Literal

from pydantic import Field

from seqmill.config.base import Section


class Baseline(Section):
    """A simple model on the same dataset, judged by the same predictions format."""

    kind: Literal["kmer"] = Field(description="'kmer': ridge or logistic regression on k-mer counts.")
    dataset: str
    targets: list[str] | None = None
    k: int = Field(5, ge=1, le=8)
    alphas: list[float] = Field(default_factory=lambda: [0.1, 1.0, 10.0, 100.0, 1000.0], min_length=1)
    max_train_rows: int | None = Field(None, ge=1)
    folds: list[str] | None = None
