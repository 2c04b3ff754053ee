"""What is wrong with a configuration, in words: pydantic's errors without its own names."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from seqmill.runtime.errors import InputError

Chosen = TypeVar("Chosen", bound=BaseModel)

# Keys that take one of several kinds of values.
_EXPECTED = {
    "test": "a list of contigs or a fraction such as 0.2",
    "valid": "a list of contigs or a fraction such as 0.2",
    "column": "a name or a list of names",
}
_EXPECTED |= dict.fromkeys(("tracks", "avoid"), "'all', a list of tracks or {column: value}")


def check_settings(section: type[Chosen], settings: Mapping[str, Any], where: str) -> Chosen:
    """Settings of a network or objective as its section. Raises InputError that names the first wrong key."""
    try:
        return section(**settings)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or None
        raise InputError(where, problem["msg"].removeprefix("Value error, "), record=key) from None


def problems_in_words(error: ValidationError, values: dict[str, Any]) -> list[str]:
    """One text for each key, in the order of the errors: key, what was expected, what was found.

    Parameters
    ----------
    values : the mapping that was checked.
    """
    said: dict[str, str] = {}
    for problem in error.errors():
        keys, one_of_several = _place(problem["loc"], values, missing=problem["type"] == "missing")
        key = ".".join(keys) or "top level"
        found = "" if isinstance(problem["input"], dict) else f", found {problem['input']!r}"
        text = problem["msg"].removeprefix("Value error, ")
        if one_of_several and keys[-1] in _EXPECTED:
            text = f"expected {_EXPECTED[keys[-1]]}"
            found = f", found {problem['input']!r}"
        elif problem["type"] == "union_tag_invalid":
            context = problem["ctx"]
            key = f"{key}.kind"
            text = f"Input should be {' or '.join(context['expected_tags'].rsplit(', ', 1))}, found {context['tag']!r}"
        elif problem["type"] == "union_tag_not_found":
            text = "the key 'kind' is missing"
        elif problem["type"] == "string_type" and found:  # YAML reads NO and 12:30 as a bool and a number
            text = f"expected string, got {type(problem['input']).__name__}; quote it"
        said.setdefault(key, f"{key}: {text}{found}")
    return list(said.values())


def _place(loc: tuple[str | int, ...], values: Any, *, missing: bool) -> tuple[list[str], bool]:
    """Keys of the file that lead to a problem, and whether the last thing there may be of several kinds.

    pydantic puts the member of a union that it tried among the keys ("peaks", "list[str]"); no such key is in the file.
    """
    keys: list[str] = []
    tag = False
    for i, part in enumerate(loc):
        inside = isinstance(values, dict) and part in values
        inside |= isinstance(values, list) and isinstance(part, int) and part < len(values)
        tag = not inside and not (missing and i == len(loc) - 1)
        if not tag:
            keys.append(str(part))
            values = values[part] if inside else None
    return keys, tag
