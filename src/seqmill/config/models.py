"""The sections of one model and of the report."""

from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from seqmill.config.augment import Augment
from seqmill.config.base import Section
from seqmill.config.heads import Head
from seqmill.config.transfer import Initial


class Optimizer(Section):
    """An optax optimiser by name."""

    name: str = Field("adam", description="Function of optax: adam, adamw, rmsprop, sgd, ...")
    learning_rate: float = Field(1e-3, gt=0)
    settings: dict[str, float] = Field(default_factory=dict, description="Further arguments of the optax function.")
    weight_decay: float | None = Field(
        None, ge=0, description="L2 penalty: this times the weight joins its gradient (adamw's own is in settings)."
    )
    schedule: str = Field(
        "constant", description="constant, cosine, linear, exponential, polynomial, or a schedule of optax by name."
    )
    schedule_settings: dict[str, float] = Field(
        default_factory=dict, description="Further arguments of the schedule, e.g. decay_rate of exponential."
    )
    warmup_steps: int = Field(0, ge=0, description="Steps of a linear rise to the learning rate, before the schedule.")
    global_clipnorm: float | None = Field(None, gt=0)
    max_weight_norm: float | None = Field(
        None, gt=0, description="Largest norm of the weights that lead into one unit; they are scaled down to it."
    )


class PoolShare(Section):
    """How much of a batch comes from one pool."""

    pool: str
    ratio: float = Field(1.0, gt=0)


class Training(Section):
    """The training of one model."""

    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        128, description="Examples of a step; 'auto' takes the largest power of two that fits into the memory."
    )
    max_batch_size: int = Field(1024, ge=1, description="Largest that 'batch_size: auto' takes.")
    memory_fraction: float = Field(
        0.8, gt=0, le=1, description="Share of the device's memory, or the machine's, for 'batch_size: auto'."
    )
    max_epochs: int = Field(10, ge=1, description="Passes over the largest pool's training rows.")
    epoch_steps: int | None = Field(
        None, ge=1, description="Steps between two validations, if they are not to be those of such a pass."
    )
    max_steps: int | None = Field(None, ge=1)
    patience: int = Field(3, ge=1, description="Passes without a better validation loss before training stops.")
    optimizer: Optimizer = Optimizer()
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Of what the network computes in a step; parameters, statistics, losses, validation are float32.",
    )
    accumulate: int = Field(
        1, ge=1, description="Compute a batch in so many equal parts, one after the other: less memory, one step."
    )
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Validate, predict with and write moving averages of what is learned, e.g. 0.999."
    )
    skip_spikes: float | None = Field(
        None,
        gt=1,
        description="Skip steps whose loss or gradient norm is not finite or above so many times its running median.",
    )
    reverse_complement: bool = Field(True, description="Random strand, where the dataset allows it.")
    max_jitter_bp: int = Field(0, ge=0, description="Largest random shift; a multiple of every bin, within the margin.")
    augment: Augment | None = Field(None, description="Random changes of sequences in training; none if none.")
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1)
    device: Literal["cpu", "gpu", "tpu"] = "cpu"
    xla_threads: int = Field(1, ge=1, description="Threads of the CPU backend; part of what fixes the result's bits.")
    devices: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        1, description="Devices of each process; batches are dealt to all of them in equal parts."
    )
    processes: int = Field(
        1, ge=1, description="Processes that share each batch; on this machine, or where the cluster starts them."
    )
    lanes: int = Field(
        1,
        ge=1,
        description="Equal parts that the training rows are dealt to, each with its own order and its part of every "
        "batch. A multiple of processes lets each read its own rows; with 1 all read all.",
    )
    shard_parameters: bool = Field(
        False, description="Keep large parameters in parts on the devices, for networks too large for one."
    )
    sequence_shards: int = Field(
        1, ge=1, description="Devices that share the positions of a window, for windows too long for one."
    )
    train_fraction: float = Field(1.0, gt=0, le=1, description="Prefix of the training rows, for learning curves.")
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="Longest time between two saved states, from which a stopped training goes on."
    )

    @model_validator(mode="after")
    def _parts(self):
        if self.batch_size != "auto" and self.batch_size % self.accumulate:
            raise ValueError(f"accumulate {self.accumulate} does not divide batch_size {self.batch_size}")
        return self


class Objective(Section):
    """What training makes small. A plain name is an objective with its defaults."""

    name: str = Field("supervised", description="supervised, autoencoder, or path/to/file.py:Class.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Settings of the objective.")

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(core)]}


class Prediction(Section):
    """How a trained network is applied. A change repeats predictions, not the training."""

    strands: Literal["auto", "forward"] = Field(
        "auto", description="'auto' averages both strands where the network was trained on both."
    )
    shifts_bp: list[int] = Field(
        default_factory=lambda: [0],
        min_length=1,
        description="Average over windows moved by so many bp, within margin_bp of the dataset; 0 must be among them.",
    )
    ensemble: bool = Field(
        True, description="With several seeds, also the mean of their predictions, as seed 'mean' of each fold."
    )
    batch_size: int | None = Field(None, ge=1, description="Examples at a time; as in training if none.")

    @model_validator(mode="after")
    def _shifts(self):
        if 0 not in self.shifts_bp or len(set(self.shifts_bp)) < len(self.shifts_bp):
            raise ValueError(f"shifts_bp {self.shifts_bp} must hold 0, and no number twice")
        return self


class Model(Section):
    """One network on one dataset. Folds and seeds are separate jobs."""

    architecture: str = Field(description="Name in the registry of networks.")
    dataset: str
    targets: dict[str, Head] | None = Field(
        None, description="Targets to learn, each with the weight or the section of its head; all if none."
    )
    pools: list[PoolShare] | None = Field(None, description="Pools of a batch; all, by size, if none.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Settings of the architecture.")
    objective: Objective = Objective()
    training: Training = Training()
    initial: Initial | None = Field(None, description="Start from a trained model; fresh parameters if none.")
    search: str | None = Field(
        None, description="Take the settings that this search chose, in each fold its own; those written here if none."
    )
    prediction: Prediction = Prediction()
    folds: list[str] | None = Field(None, description="Folds to train; all if none.")

    @model_validator(mode="after")
    def _lora(self):
        if self.initial is not None and self.initial.lora is not None and self.training.optimizer.max_weight_norm:
            raise ValueError("optimizer.max_weight_norm limits kernels, which initial.lora keeps fixed; leave one out")
        return self


class Report(Section):
    """The page at the end."""

    title: str = "seqmill report"
