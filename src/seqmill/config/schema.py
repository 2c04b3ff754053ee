"""The configuration's JSON schema, for Snakemake and for editors. Written by ``python -m seqmill.config.schema``."""

import json
import sys
from pathlib import Path
from typing import Any

from seqmill.config.root import Config


def _inline(value: Any, definitions: dict[str, Any]) -> Any:
    """Replace every ``$ref`` by what it stands for: Snakemake's validator does not follow references."""
    if isinstance(value, dict):
        if "$ref" in value:
            name = value["$ref"].rpartition("/")[2]
            rest = {key: item for key, item in value.items() if key != "$ref"}
            return _inline({**definitions[name], **rest}, definitions)
        return {key: _inline(item, definitions) for key, item in value.items() if key != "discriminator"}
    if isinstance(value, list):
        return [_inline(item, definitions) for item in value]
    return value


def config_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the configuration, without references."""
    schema = Config.model_json_schema()
    definitions = schema.pop("$defs", {})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_inline(schema, definitions)}


def as_text() -> str:
    return json.dumps(config_schema(), indent=1) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(as_text())
