"""Searches for settings of a model, and curves of its scores over the size of the data."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from seqmill.config.base import Section
from seqmill.config.models import Model
from seqmill.config.problems import problems_in_words
from seqmill.runtime.errors import InputError

ROOTS = ("settings", "training", "objective", "targets", "pools")
# What a search must not decide: it would change what a trial costs or which runs there are, not what is learned.
FIXED = {
    *("training.seeds", "training.device", "training.devices", "training.processes", "training.xla_threads"),
    *("training.checkpoint_seconds", "training.train_fraction"),
}


class Choice(Section):
    """What one setting may be: one of some values, or a number between two ends."""

    choices: list[Any] | None = Field(None, min_length=1, description="Values to choose from, of any kind.")
    low: int | float | None = Field(None, description="Smallest value; whole numbers if both ends are.")
    high: int | float | None = Field(None, description="Largest value, which may be taken.")
    log: bool = Field(False, description="Draw from the logarithm.")
    step: int | float | None = Field(None, gt=0, description="Distance of the values from 'low' on.")

    @model_validator(mode="after")
    def _one_kind(self):
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("give either 'choices', or 'low' and 'high'")
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("'choices' stand alone, without low, high, log or step")
            return self
        assert self.low is not None and self.high is not None
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("'log' needs a low above 0, and no step")
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"step {self.step} must be a whole number, as low and high are")
        return self

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> list[Any]:
        """All choices, or the smallest and the largest number."""
        return self.choices if self.choices is not None else [self.low, self.high]


class Search(Section):
    """A search for the settings of a model, in each of its folds apart; the test part of the fold is not read."""

    model: str = Field(description="Model of this configuration whose settings are searched.")
    space: dict[str, Choice] = Field(
        min_length=1, description="Key in the model's section, e.g. training.optimizer.learning_rate, to its values."
    )
    trials: int = Field(50, ge=1, description="Settings tried in each fold; with more of them a search goes on.")
    workers: int = Field(1, ge=1, description="Jobs that share the trials of a fold.")
    inner: Literal["valid", "folds"] = Field(
        "valid",
        description="Judge on the run's own validation part, or leave each of its training folds out once.",
    )
    sampler: Literal["tpe", "random"] = Field("tpe", description="How settings are drawn.")
    pruner: Literal["median", "halving", "none"] = Field("median", description="What stops trials that do not promise.")
    startup_trials: int = Field(8, ge=1, description="Trials before the sampler and the pruner learn from them.")
    seed: int = Field(0, ge=0, description="Of what is drawn. Trials themselves have the first seed of the model.")
    folds: list[str] | None = Field(None, description="Folds to search in; those of the model if none.")

    @model_validator(mode="after")
    def _keys(self):
        for key in self.space:
            if key in FIXED:
                raise ValueError(f"space: {key} cannot be searched")
            if key.partition(".")[0] not in ROOTS or "" in key.split("."):
                raise ValueError(f"space: key {key!r} must begin with {', '.join(ROOTS)}")
        return self


class Curve(Section):
    """Scores of a model that is trained on growing parts of the training rows."""

    model: str = Field(description="Model of this configuration.")
    fractions: list[float] = Field(
        default_factory=lambda: [0.05, 0.1, 0.2, 0.5, 1.0], min_length=1, description="Of the training rows, 0 to 1."
    )
    seeds: list[int] | None = Field(None, min_length=1, description="Seeds of each size; those of the model if none.")
    folds: list[str] | None = Field(None, description="Folds; those of the model if none.")

    @model_validator(mode="after")
    def _fractions(self):
        if any(not 0 < fraction <= 1 for fraction in self.fractions):
            raise ValueError(f"fractions {self.fractions} must be above 0 and at most 1")
        if len({name_of_fraction(fraction) for fraction in self.fractions}) < len(self.fractions):
            raise ValueError(f"fractions {self.fractions}: two are alike to six digits")
        return self


def name_of_fraction(fraction: float) -> str:
    """A share of the rows as part of a path, without a point.

    >>> name_of_fraction(0.05), name_of_fraction(1.0)
    ('0p05', '1')
    """
    return f"{fraction:.6f}".rstrip("0").rstrip(".").replace(".", "p")


def lay(model: Model, settings: Mapping[str, Any], where: str) -> Model:
    """A model's section with some settings put in, by dotted key; it takes no settings from a search any more.

    Raises InputError for a key or a value that the section does not take.
    """
    values = model.model_dump(mode="json", exclude_unset=True)
    values.pop("search", None)
    for key, value in settings.items():
        *path, last = key.split(".")
        place = values
        for part in path:
            inner = place.get(part)
            if inner is None:
                inner = place[part] = {}
            if not isinstance(inner, dict):
                raise InputError(where, f"space: {key} lies inside {part}, which is {json.dumps(inner)}")
            place = inner
        place[last] = value
    try:
        return Model.model_validate(values)
    except ValidationError as error:
        raise InputError(where, f"space: {'; '.join(problems_in_words(error, values)[:3])}") from None


def one_fraction(model: Model, fraction: float) -> Model:
    """A model's section that is trained on a share of the rows that it would be trained on."""
    share = fraction * model.training.train_fraction
    return model.model_copy(update={"training": model.training.model_copy(update={"train_fraction": share})})


def corners(search: Search) -> list[dict[str, Any]]:
    """Settings that show whether every end and every choice is taken: the first of all keys, then one changed each."""
    first = {key: choice.ends()[0] for key, choice in search.space.items()}
    others = [{**first, key: value} for key, choice in search.space.items() for value in choice.ends()[1:]]
    return [first, *others]


def search_scope(search: Search) -> Search:
    """What decides the trials of one fold, beside the model: not how many there are, who makes them, or other folds."""
    return search.model_copy(update={"trials": 1, "workers": 1, "folds": None})
