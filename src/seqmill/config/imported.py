"""The file of ``seqmill import-weights``: which network the weights are for, and which of its tensors is which."""

from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic_core import CoreSchema

from seqmill.config.base import Section


class ImportedTarget(Section):
    """What an output of the network is. The kind decides the function behind it, as in training."""

    kind: Literal["binary", "quantity", "fraction", "count", "class", "distribution", "profile"] = "binary"
    tracks: list[str] | Annotated[int, Field(ge=1)] = Field(description="Names, or their number.")
    bins: int | None = Field(None, ge=1, description="Of a profile, in the middle of the window.")
    bin_bp: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _profile(self):
        if (self.kind == "profile") != (self.bins is not None):
            raise ValueError("a profile has 'bins', and other kinds have none")
        return self

    @property
    def names(self) -> list[str]:
        return self.tracks if isinstance(self.tracks, list) else [str(number) for number in range(self.tracks)]


class Tensor(Section):
    """Where one tensor of the network comes from. A plain name is that tensor of the file."""

    tensor: str | None = Field(None, description="Name in the file.")
    value: float | None = Field(None, description="Or a number, for all of it: what the other program leaves out.")
    transpose: list[int] | None = Field(None, description="Axes of theirs in the order of ours; by the layer if none.")
    flatten: Literal["none"] | Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(
        None, description="[channels, positions] that PyTorch flattened before this dense layer; found if none."
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, value: Any) -> Any:
        return {"tensor": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self):
        if (self.tensor is None) == (self.value is None):
            raise ValueError("give either 'tensor' or 'value'")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(core)]}


class Imported(Section):
    """A network and the weights that are brought into it."""

    architecture: str = Field(description="Name in the registry of networks, or path/to/file.py:Class.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Settings of the architecture.")
    window_bp: int = Field(ge=1, description="Bases that the network reads.")
    targets: dict[str, ImportedTarget] = Field(min_length=1)
    both_strands: bool = Field(False, description="Average predictions over both strands.")
    framework: Literal["pytorch", "keras"] | None = Field(
        None, description="Whose layout the tensors have; by the file if none."
    )
    bases: str = Field("ACGT", description="Order of the bases in the one-hot input of the other program.")
    epsilon: float | None = Field(
        None,
        gt=0,
        description="Of their batch normalisation; by the file, else 1e-5 (PyTorch) or 1e-3 (Keras) if none.",
    )
    layers: dict[str, str] = Field(default_factory=dict, description="Layer of ours: layer of theirs.")
    tensors: dict[str, Tensor] = Field(default_factory=dict, description="Tensor of ours: tensor of theirs.")
    ignore: list[str] = Field(default_factory=list, description="Tensors of theirs that are not wanted; * for any.")

    @field_validator("bases")
    @classmethod
    def _permutation(cls, value: str) -> str:
        if sorted(value) != list("ACGT"):
            raise ValueError(f"{value!r} is no order of the bases A, C, G and T")
        return value
