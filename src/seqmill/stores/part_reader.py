"""A dataset of which only some folds can be read: what a search must not see, no code of it can reach by mistake."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from seqmill.stores.arrays import Result
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.parts import folds_of


class PartReader(DatasetReader):
    """A dataset whose only run is one of given folds, without a test part.

    Parameters
    ----------
    run : name of the run. parts : folds of its "train" and its "valid" part.
    """

    def __init__(self, folder: str | Path, run: str, parts: Mapping[str, Sequence[str]]):
        super().__init__(folder)
        self.runs = {run: {"train": list(parts["train"]), "valid": list(parts["valid"]), "test": []}}
        folds = {*parts["train"], *parts["valid"]}
        self._shown = [(part["start"], part["stop"]) for part in self.parts if part["fold"] in folds]

    def read_async(self, key: str, start: int, stop: int) -> Result:
        """As of `DatasetReader`. Raises PermissionError if any of the rows is in another fold."""
        shown = sum(max(0, min(stop, high) - max(start, low)) for low, high in self._shown)
        if shown < max(0, min(stop, self.n) - max(start, 0)):
            raise PermissionError(f"{self.folder}: rows {start} to {stop} of {key} are not all in the folds to be read")
        return super().read_async(key, start, stop)


def inner_parts(reader: DatasetReader, run: str, inner: str) -> list[dict[str, list[str]]]:
    """Parts on which settings for a run are compared; none of them holds a row of its test part.

    Parameters
    ----------
    inner : "valid": once, on the run's own validation part. "folds": each training fold is left out once, with the
        inner part that was carved out of it, and validated on.
    """
    train, valid, test = (folds_of(reader, run, part) for part in ("train", "valid", "test"))
    assert not {*test} & {*train, *valid}
    if inner == "valid":
        return [{"train": train, "valid": valid}]
    found = []
    for left_out in train:
        family = [left_out, *(name for name in valid if name == f"{left_out}.valid")]
        found.append({"train": [name for name in train if name != left_out], "valid": family})
    return found
