"""The table of all configuration keys, for ``config/README.md``. Written by ``python -m seqmill.config.reference``."""

import inspect
import sys
import types
import typing
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from seqmill.config.base import Section
from seqmill.config.root import Config
from seqmill.config.sheet import Track

BEGIN = "<!-- the tables below are generated: python -m seqmill.config.reference config/README.md -->\n"


def _type(annotation: Any) -> str:
    """Type in words a user knows."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(argument) for argument in arguments if argument is not type(None)))
    if origin is typing.Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"name: {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", Any: "any"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _sections(annotation: Any) -> list[type[Section]]:
    """Sections that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for argument in typing.get_args(annotation) for section in _sections(argument)]


def _default(field: Any) -> str:
    if field.is_required():
        return "**required**"
    value = field.default if field.default is not PydanticUndefined else field.default_factory()
    if isinstance(value, Section):
        return ""
    return "" if value in (None, {}, [], "") else f"`{value}`"


def table(section: type[Section]) -> str:
    """One section as a Markdown table."""
    lines = [f"### {section.__name__}", "", inspect.cleandoc(section.__doc__ or ""), ""]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def as_text() -> str:
    """All sections, in the order in which they are met from the top."""
    found: list[type[Section]] = [Config]
    for section in found:
        for field in section.model_fields.values():
            found += [other for other in _sections(field.annotation) if other not in found]
    return BEGIN + "\n" + "\n".join(table(section) for section in found) + "\n" + table(Track)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(path.read_text().partition(BEGIN)[0] + as_text())
