"""Whether networks can be built and trained as configured, asked before any data are read.

``python -m seqmill.training.check`` reads ``{"models": {name: section}}`` as JSON from standard input; it is a process
of its own because this needs jax, which the workflow itself never imports.
"""

import json
import sys

from seqmill.config.models import Model
from seqmill.models.registry import read_settings
from seqmill.runtime.errors import InputError
from seqmill.training.optimizers import make_optimizer


def check_model(name: str, model: Model) -> None:
    """Raise InputError that names the model for an unknown architecture, setting or optimiser."""
    try:
        read_settings(model.architecture, model.settings)
        make_optimizer(model.training.optimizer, steps=2)
    except InputError as error:
        raise InputError(f"models.{name}", str(error)) from None


def main() -> int:
    for name, section in json.load(sys.stdin)["models"].items():
        try:
            check_model(name, Model.model_validate(section))
        except InputError as error:
            print(error, file=sys.stderr)
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
