"""The sections of one model and one baseline."""

from typing import Any, Literal

from pydantic import Field

from seqmill.config.base import Section


class Optimizer(Section):
    """An optax optimiser by name."""

    name: str = Field("adam", description="Function of optax: adam, adamw, rmsprop, sgd, ...")
    learning_rate: float = Field(1e-3, gt=0)
    settings: dict[str, float] = Field(default_factory=dict, description="Further arguments of the optax function.")
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    global_clipnorm: float | None = Field(None, gt=0)


class PoolShare(Section):
    """How much of a batch comes from one pool."""

    pool: str
    ratio: float = Field(1.0, gt=0)


class Training(Section):
    """The training of one model."""

    batch_size: int = Field(128, ge=1)
    max_epochs: int = Field(10, ge=1, description="Passes over the largest pool's training rows.")
    max_steps: int | None = Field(None, ge=1)
    patience: int = Field(3, ge=1, description="Passes without a better validation loss before training stops.")
    optimizer: Optimizer = Optimizer()
    reverse_complement: bool = Field(True, description="Random strand, where the dataset allows it.")
    profile_loss: Literal["poisson", "mse"] = Field("poisson", description="Loss of profile targets, for each bin.")
    max_jitter_bp: int = Field(0, ge=0, description="Largest random shift; a multiple of every bin, within the margin.")
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1)
    device: Literal["cpu", "gpu", "tpu"] = "cpu"
    xla_threads: int = Field(1, ge=1, description="Threads of the CPU backend; part of what fixes the result's bits.")
    train_fraction: float = Field(1.0, gt=0, le=1, description="Prefix of the training rows, for learning curves.")


class Model(Section):
    """One network on one dataset. Folds and seeds are separate jobs."""

    architecture: str = Field(description="Name in the registry of networks.")
    dataset: str
    targets: dict[str, float] | None = Field(None, description="Target to weight of its loss; all with 1 if none.")
    pools: list[PoolShare] | None = Field(None, description="Pools of a batch; all, by size, if none.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Settings of the architecture.")
    training: Training = Training()
    folds: list[str] | None = Field(None, description="Folds to train; all if none.")


class Baseline(Section):
    """A simple model on the same dataset, judged by the same predictions format."""

    kind: Literal["kmer"] = Field(description="'kmer': ridge or logistic regression on k-mer counts.")
    dataset: str
    targets: list[str] | None = None
    k: int = Field(5, ge=1, le=8)
    alphas: list[float] = Field(default_factory=lambda: [0.1, 1.0, 10.0, 100.0, 1000.0], min_length=1)
    max_train_rows: int | None = Field(None, ge=1)
    folds: list[str] | None = None


class Report(Section):
    """The page at the end."""

    title: str = "seqmill report"
