"""Whether networks can be built and trained as configured, asked before any data are read.

``python -m seqmill.training.check`` reads ``{"models": {name: section}, "searches": {name: section}}`` as JSON from
standard input; it is a process of its own because this needs jax, which the workflow itself never imports.
"""

import json
import sys

from seqmill.config.models import Model
from seqmill.config.search import Search, corners, lay
from seqmill.models.registry import read_settings
from seqmill.runtime.errors import InputError
from seqmill.training.optimizers import make_optimizer


def check_model(name: str, model: Model, section: str = "models") -> None:
    """Raise InputError that names the model or search for an unknown architecture, setting or optimiser."""
    try:
        read_settings(model.architecture, model.settings)
        make_optimizer(model.training.optimizer, steps=2)
    except InputError as error:
        raise InputError(f"{section}.{name}", str(error)) from None


def check_search(name: str, search: Search, model: Model) -> None:
    """The same for every end and every choice of a search's space."""
    for settings in corners(search):
        check_model(name, lay(model, settings, f"searches.{name}"), "searches")


def main() -> int:
    asked = json.load(sys.stdin)
    models = {name: Model.model_validate(section) for name, section in asked["models"].items()}
    try:
        for name, model in models.items():
            check_model(name, model)
        for name, section in asked.get("searches", {}).items():
            search = Search.model_validate(section)
            check_search(name, search, models[search.model])
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
