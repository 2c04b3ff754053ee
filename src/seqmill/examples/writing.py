"""Puts a built array on disk."""

from pathlib import Path

from seqmill.config.datasets import Dataset
from seqmill.examples.sources import Array
from seqmill.stores.dataset import CHUNK_BYTES, write_array
from seqmill.stores.layout import upstream


def chunk_examples(dataset: Dataset, bytes_per_example: int) -> int:
    """The dataset's ``chunk_examples``, halved until a chunk of the array is small enough to be read whole."""
    chunk = dataset.chunk_examples
    while chunk % 2 == 0 and chunk * bytes_per_example > CHUNK_BYTES:
        chunk //= 2
    return chunk


def write(out: str | Path, name: str, array: Array, n: int, rows: str | Path, dataset: Dataset) -> None:
    """Write ``array`` and close its blocks, whether it ends well or not."""
    try:
        write_array(
            out,
            name=name,
            spec=array.spec,
            n=n,
            blocks=array.blocks,
            inputs=upstream(*array.made_from, rows),
            chunk_examples=chunk_examples(dataset, array.spec.bytes_per_example),
        )
    finally:
        close = getattr(array.blocks, "close", None)
        if close:
            close()
