"""The section of a training that starts from a trained model: what is taken over, and what of it may change."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from seqmill.config.base import Section, expand

Folder = Annotated[Path, AfterValidator(expand)]


class Lora(Section):
    """Low-rank changes of kernels that stay fixed themselves (Hu et al. 2021, arXiv 2106.09685)."""

    rank: int = Field(8, ge=1, description="Columns of the first, rows of the second matrix of a change.")
    alpha: float | None = Field(
        None, gt=0, description="A change is alpha / rank times the product of its matrices; rank if none."
    )
    layers: list[str] | None = Field(
        None, min_length=1, description="Names of layers, or of what they lie in; all dense and convolutions if none."
    )


class Initial(Section):
    """A trained model to start from, and what of it may change.

    A model of this configuration: its run of the same fold, and of the same seed or its only one. Or a folder.
    """

    model: str | None = Field(None, description="Another model of this configuration.")
    folder: Folder | None = Field(
        None, description="Or the folder of a trained model; {fold} and {seed} in it become those of the run."
    )
    datasets: list[Folder] = Field(
        default_factory=list,
        description="With 'folder': folders of the datasets that it was trained on, for the check for leaks.",
    )
    unchecked: bool = Field(
        False, description="Accept that an earlier model may have seen test rows, where its dataset is not given."
    )
    parts: Literal["trunk", "all", "heads"] = Field(
        "trunk", description="Take over everything but the heads, the heads too, or the heads only."
    )
    freeze: Literal["trunk"] | Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="Keep fixed: the trunk, or layers by their names or by what they lie in."
    )
    learning_rates: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Factors of the learning rate, by names of layers or of what they lie in."
    )
    lora: Lora | None = Field(None, description="Keep the trunk fixed and learn low-rank changes of its kernels.")

    @model_validator(mode="after")
    def _consistent(self):
        if (self.model is None) == (self.folder is None):
            raise ValueError("name either a 'model' of this configuration or the 'folder' of a trained one")
        if self.datasets and self.folder is None:
            raise ValueError("'datasets' is for 'folder'; those of a model of this configuration are known")
        if self.lora is not None and self.freeze is not None:
            raise ValueError("'lora' keeps the trunk fixed already; leave 'freeze' out")
        return self

    def folder_of(self, fold: str, seed: int) -> Path | None:
        """Folder of the trained model for one run; None for a model of the configuration."""
        if self.folder is None:
            return None
        return Path(str(self.folder).replace("{fold}", fold).replace("{seed}", str(seed)))
