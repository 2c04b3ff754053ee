"""The section of one baseline."""

from typing import Literal

from pydantic import Field, model_validator

from seqmill.config.base import File, Section

# Penalties that are tried where none are given: absolute for 'linear', as a part of the one that leaves no feature.
LINEAR_ALPHAS = [0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5]
SPARSE_ALPHAS = [1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3]
MAX_K = 8


class Baseline(Section):
    """A simple model, judged as networks are; lists of settings are tried on the validation rows of each run only."""

    kind: Literal["kmer", "gapped_kmer", "onehot", "gc", "pwm"] = Field(
        description="Features. 'kmer': counts of words; 'gapped_kmer': counts of words with gaps; 'onehot': which word "
        "begins at each base; 'gc': GC fraction, CpG count, CpG observed / expected; 'pwm': best and summed match of "
        "each motif."
    )
    fit: Literal["linear", "lasso", "elastic_net", "boosting"] = Field(
        "linear", description="'linear': ridge, or logistic for labels and fractions; 'boosting': LightGBM."
    )
    dataset: str
    targets: list[str] | None = None
    k: int | None = Field(
        None, ge=1, le=MAX_K, description="Letters of a word; by default 5, 4 with 'gapped_kmer', 1 with 'onehot'."
    )
    min_k: int | None = Field(None, ge=1, le=MAX_K, description="All words of min_k to k letters; k alone if none.")
    word_bp: int = Field(7, ge=2, le=12, description="With 'gapped_kmer': length of a word, gaps included.")
    positions: bool = Field(
        False, description="With 'kmer' and 'gapped_kmer': which base stands at each place, too (aligned sequences)."
    )
    motifs: File | None = Field(None, description="With 'pwm': motifs in MEME or JASPAR format.")
    context_bp: list[int] = Field(
        default_factory=lambda: [256], min_length=1, description="Binned targets: sequence on each side of a bin."
    )
    central_bp: list[int] | None = Field(
        None, min_length=1, description="Other targets: central part of the window that is used; all if none."
    )
    alphas: list[float] | None = Field(
        None,
        min_length=1,
        description="Strengths of the penalty. 'linear': of standardised features, squared error summed over rows + "
        "alpha · |weights|²; 'lasso' and 'elastic_net': parts of the strength that leaves no feature.",
    )
    l1_ratios: list[float] = Field(
        default_factory=lambda: [0.2, 0.8], min_length=1, description="With 'elastic_net': share of the l1 penalty."
    )
    leaves: list[int] = Field(
        default_factory=lambda: [4, 16], min_length=1, description="With 'boosting': leaves of a tree."
    )
    learning_rate: float = Field(0.05, gt=0, le=1, description="With 'boosting'.")
    max_trees: int = Field(1000, ge=1, description="With 'boosting': it stops early on the validation rows.")
    refit: bool = Field(
        True, description="Fit linear models once more, to training and validation rows, with the settings chosen."
    )
    max_train_rows: int | None = Field(None, ge=1)
    folds: list[str] | None = None
    seed: int = Field(0, ge=0, description="With 'boosting': of the choice of features for each tree.")

    @property
    def letters(self) -> tuple[int, int]:
        """Fewest and most letters of a word."""
        k = self.k or {"gapped_kmer": 4, "onehot": 1}.get(self.kind, 5)
        return self.min_k or k, k

    @property
    def penalties(self) -> list[float]:
        """Strengths to try."""
        return self.alphas or (LINEAR_ALPHAS if self.fit == "linear" else SPARSE_ALPHAS)

    @model_validator(mode="after")
    def _fits_together(self):
        low, k = self.letters
        if low > k:
            raise ValueError(f"min_k {low} is above k {k}")
        if self.kind == "gapped_kmer" and (self.min_k or not k <= self.word_bp):
            raise ValueError(f"gapped_kmer: k {k} letters within word_bp {self.word_bp}, and no min_k")
        if self.positions and self.kind not in ("kmer", "gapped_kmer"):
            raise ValueError("'positions' goes with 'kmer' and 'gapped_kmer'")
        if (self.kind == "pwm") != (self.motifs is not None):
            raise ValueError("'motifs' names the motifs of kind 'pwm'")
        if min(self.penalties) <= 0 or (self.fit in ("lasso", "elastic_net") and max(self.penalties) >= 1):
            raise ValueError(f"alphas {self.penalties}: above 0 and, with 'lasso' and 'elastic_net', below 1")
        if not all(0 < ratio <= 1 for ratio in self.l1_ratios):
            raise ValueError(f"l1_ratios {self.l1_ratios}: above 0, at most 1")
        if min(self.context_bp) < 0 or min(self.central_bp or [1]) < 1 or min(self.leaves) < 2:
            raise ValueError("context_bp from 0 on, central_bp from 1 on, leaves from 2 on")
        return self
