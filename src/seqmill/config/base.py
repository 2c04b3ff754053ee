"""The base of every configuration section: unknown keys are errors with a suggestion."""

import difflib
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, model_validator

from seqmill.config.remote import source_of

# Names that users of other systems know, and ours.
ALIASES = {
    "lr": "learning_rate",
    "epochs": "max_epochs",
    "train_epochs_max": "max_epochs",
    "early_stopping": "patience",
    "random_state": "seed",
    "random_seed": "seed",
    "seq_len": "window_bp",
    "seq_length": "window_bp",
    "sequence_length": "window_bp",
    "in_window": "window_bp",
    "out_window": "length_bp",
    "rc": "reverse_complement",
    "augment_rc": "reverse_complement",
    "max_jitter": "max_jitter_bp",
    "augment_shift": "max_jitter_bp",
    "negative_ratio": "ratio",
    "exclusion_lists": "blacklist",
}


def expand(path: str | Path) -> Path:
    """Path with ``${NAME}`` replaced from the environment. Raises ValueError if the variable is not set."""
    text = os.path.expandvars(str(path))
    if "$" in text:
        raise ValueError(f"{path}: the environment variable is not set")
    return Path(text)


def _fetched(value: Any, info: ValidationInfo) -> Any:
    """A remote location becomes the path of its fetched file: ``context["file"]`` looks it up in the lock."""
    look_up = (info.context or {}).get("file")
    if look_up and isinstance(value, str) and source_of(value) != "local":
        return look_up(value)
    return value


File = Annotated[Path, BeforeValidator(_fetched), AfterValidator(expand)]


class Section(BaseModel):
    """A part of the configuration. Frozen; unknown keys are refused and the nearest known key is named."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _suggest(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                cls.check_key(str(key))
        return values

    @classmethod
    def check_key(cls, key: str) -> None:
        """Raise ValueError with a suggestion if ``key`` is no key of this section."""
        known = set(cls.model_fields)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            alias = ALIASES.get(key)
            hint = alias if alias in known else (near[0] if near else None)
            tail = f"; did you mean '{hint}'?" if hint else f"; known keys: {', '.join(sorted(known))}"
            raise ValueError(f"unknown key '{key}'{tail}")

    def source_files(self) -> list[Path]:
        """Every file that this section and the sections inside it name, in the order of the fields."""
        return _files([getattr(self, name) for name in type(self).model_fields])


def _files(values: Any) -> list[Path]:
    found: list[Path] = []
    for value in values:
        if isinstance(value, Path):
            found.append(value)
        elif isinstance(value, Section):
            found += value.source_files()
        elif isinstance(value, list | tuple):
            found += _files(value)
        elif isinstance(value, dict):
            found += _files(value.values())
    return found
