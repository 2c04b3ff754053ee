"""Plain YAML, read strictly: no tags, no key twice."""

from pathlib import Path
from typing import Any

import yaml

from seqmill.runtime.errors import InputError


class _Loader(yaml.SafeLoader):
    pass


def _mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict:
    lines: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=deep)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"expected string, got {type(key).__name__} for key {key!r}; quote it", key_node.start_mark
            )
        if key in lines:
            raise yaml.constructor.ConstructorError(
                None, None, f"key '{key}' given twice (lines {lines[key]},{line})", key_node.start_mark
            )
        lines[key] = line
    return yaml.SafeLoader.construct_mapping(loader, node, deep=deep)


def _unknown_tag(loader: _Loader, suffix: str, node: yaml.Node) -> None:
    raise yaml.constructor.ConstructorError(None, None, "unsafe YAML tag; plain YAML only", node.start_mark)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_multi_constructor("!", _unknown_tag)
_Loader.add_multi_constructor("tag:", _unknown_tag)
for _tag in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge"):
    _name = f"tag:yaml.org,2002:{_tag}"
    if _tag != "map" and _name in yaml.SafeLoader.yaml_constructors:
        _Loader.add_constructor(_name, yaml.SafeLoader.yaml_constructors[_name])


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises InputError with the line for tags, repeated keys, bad syntax or encoding."""
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise InputError(path, error.problem or "not YAML", record=line) from None
    except yaml.YAMLError as error:
        raise InputError(path, f"not YAML: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(path, f"expected 'key: value' lines, found a {type(value).__name__}")
    return value
