"""Things from a user's own Python file, named as "path/to/file.py:Class"."""

import importlib.util
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import InputError


def load_named(reference: str, what: str) -> tuple[str, str, Any]:
    """Run the file and take the thing out of it; ``what`` (with its article) is for messages.

    Returns
    -------
    Path of the file, name in it, what has that name (None if nothing has). Raises InputError where there is no such
    file or it cannot be imported.
    """
    path, _, name = reference.rpartition(":")
    spec = importlib.util.spec_from_file_location(f"seqmill_user_{Path(path).stem}", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise InputError(path, f"no such Python file with {what}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(path, f"cannot be imported: {type(error).__name__}: {error}") from error
    return path, name, getattr(module, name, None)
