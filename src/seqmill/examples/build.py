"""Everything that jobs call to build a dataset, in order: rows, inputs, targets, then `finish`."""

from seqmill.examples.inputs import build_input, input_names
from seqmill.examples.rows import build_rows
from seqmill.examples.targets import build_target
from seqmill.stores.dataset import finish_dataset as finish

__all__ = ["build_input", "build_rows", "build_target", "finish", "input_names"]
