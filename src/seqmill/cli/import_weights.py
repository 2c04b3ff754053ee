"""The verb that makes a model from weights of another program."""

import argparse

from seqmill.cli.settings import say
from seqmill.runtime.errors import InputError


def import_weights(arguments: argparse.Namespace) -> int:
    from seqmill.config.imported import Imported
    from seqmill.config.problems import check_settings
    from seqmill.config.yamlfile import read_yaml

    file = check_settings(Imported, read_yaml(arguments.file), str(arguments.file))
    if not arguments.show and arguments.out is None:
        raise InputError("--out", "name the folder to write, or --show to write nothing")

    from seqmill.training.devices import require_device

    require_device("cpu", 1)
    from seqmill.training import imported

    if arguments.show:
        lines = imported.compared(file, arguments.weights, arguments.file)
        say(arguments, {"verb": "import-weights", "tensors": lines}, lines)
        return 0
    found = imported.import_weights(arguments.out, file, arguments.weights, arguments.file)
    say(arguments, {"verb": "import-weights", "written": [str(arguments.out)], **found}, [arguments.out])
    return 0
