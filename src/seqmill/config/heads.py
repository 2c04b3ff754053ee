"""The section of one head: how one target of a dataset is learned."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from seqmill.config.base import Section
from seqmill.runtime.errors import InputError

# Losses that a target kind may be learned by; the first is the default. `seqmill.training.losses` has the functions.
LOSSES: dict[str, tuple[str, ...]] = {
    "binary": ("cross_entropy",),
    "quantity": ("mse", "huber"),
    "fraction": ("cross_entropy", "mse"),
    "count": ("poisson", "log_mse"),
    "profile": ("poisson", "mse", "multinomial", "poisson_multinomial"),
    "class": ("cross_entropy",),
    "distribution": ("cross_entropy",),
    "beta_binomial": ("likelihood",),
    "contact": ("mse", "huber"),
}


class Head(Section):
    """How one target is learned. In ``targets`` a plain number is a head with that weight."""

    weight: float = Field(1.0, ge=0, description="Weight of this target's loss.")
    loss: str | None = Field(
        None, description="Loss of the target; the first one of its kind if none (see the table in docs/usage.md)."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of each label that is spread evenly over the classes: binary and class."
    )
    class_weights: Literal["balanced"] | list[float] | dict[str, float | list[float]] | None = Field(
        None,
        description="Binary: [negative, positive] for all tracks, or for tracks by name; class: a list in the order of "
        "the classes, or by name; 'balanced': all rows / (classes × rows of the class), from the training rows.",
    )
    track_weights: dict[str, float] = Field(default_factory=dict, description="Weight of tracks by name; others 1.")
    total: str | None = Field(
        None,
        description="With the multinomial loss: the count target whose prediction the predicted shape is multiplied "
        "with; the mean total of the training rows if none.",
    )
    scale_free: bool = Field(
        True,
        description="With the multinomial loss: divide it by the mean total of the training rows; false: the plain "
        "likelihood, beside which papers give the weights of their other losses.",
    )
    shape_weight: float = Field(
        5.0, gt=0, description="With poisson_multinomial: weight of the shape against the total (5 as in Borzoi)."
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_weight(cls, value: Any) -> Any:
        return {"weight": value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "number", "minimum": 0}, handler(core)]}


def loss_name(kind: str, head: Head) -> str:
    """Name of the loss of a head on a target of this kind."""
    return head.loss or LOSSES[kind][0]


def check_heads(heads: Mapping[str, Head], kinds: Mapping[str, str], where: str) -> None:
    """Refuse settings of heads that do not fit the kinds of their targets.

    Parameters
    ----------
    heads : of the targets that a model learns, by name. kinds : target name -> kind. where : for messages.
    """
    for name, head in heads.items():
        kind, place = kinds[name], f"{where}.targets.{name}"
        if kind not in LOSSES:
            raise InputError(place, f"a target of kind '{kind}' has no loss and cannot be learned")
        if head.loss is not None and head.loss not in LOSSES[kind]:
            known = ", ".join(LOSSES[kind])
            raise InputError(place, f"loss '{head.loss}' does not fit kind '{kind}'; it takes {known}")
        loss = loss_name(kind, head)
        for key, given, fits, takes in (
            ("label_smoothing", head.label_smoothing > 0, kind in ("binary", "class"), "kinds binary and class"),
            ("class_weights", head.class_weights is not None, kind in ("binary", "class"), "kinds binary and class"),
            (
                "track_weights",
                bool(head.track_weights),
                kind not in ("class", "distribution"),
                "targets whose tracks are not classes",
            ),
            ("total", head.total is not None, loss == "multinomial", "the multinomial loss"),
            ("scale_free: false", not head.scale_free, loss == "multinomial", "the multinomial loss"),
        ):
            if given and not fits:
                raise InputError(place, f"{key} is for {takes}; this is kind '{kind}' with loss '{loss}'")
        if head.total is not None and (head.total not in heads or kinds[head.total] != "count"):
            counts = ", ".join(key for key in heads if kinds[key] == "count") or "none"
            raise InputError(place, f"total {head.total!r} is no count target of this model; it has: {counts}")
