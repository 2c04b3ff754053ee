"""Saving beside a training that goes on: the loop copies its state to the host, a thread writes the copy.

The thread holds Python's lock for moments only: hashing and writing of large buffers give it free.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqmill.runtime.files import atomic_path


def host_copies(leaves: Sequence[Any]) -> list[np.ndarray]:
    """Arrays on the host that share no memory with ``leaves``, of the same bits, shapes and dtypes.

    What `jax.device_get` gives can be a view of the device's buffer, which the next step takes and overwrites.
    """
    return [np.array(leaf, order="C") for leaf in jax.device_get(list(leaves))]


def write_arrays(path: Path, arrays: Sequence[np.ndarray]) -> str:
    """Write arrays as bytes to a safetensors file, named "0", "1", ...

    It is written piece by piece: no second copy in memory, as the library's own writer makes one. The form is that of
    https://github.com/huggingface/safetensors#format: 8 bytes of length, the header (JSON, padded with spaces), data.

    Returns
    -------
    SHA-256 of the file, hex.
    """
    header, end = {}, 0
    for number, array in enumerate(arrays):
        header[str(number)] = {"dtype": "U8", "shape": [array.nbytes], "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with atomic_path(path) as part, open(part, "wb") as handle:
        pieces: list[bytes | memoryview] = [len(text).to_bytes(8, "little"), text]
        pieces += [array.reshape(-1).view(np.uint8).data for array in arrays]
        for piece in pieces:
            handle.write(piece)
            digest.update(piece)
    return digest.hexdigest()


class InBackground:
    """Runs one piece of work at a time in a thread.

    The interpreter does not end before that thread has.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Run ``work``, once the work before has ended; raises the error of that one."""
        self.wait()

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, name="seqmill-save")
        self._thread.start()

    def wait(self) -> None:
        """Return when nothing runs; raises the error of the work that has ended, once."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error
