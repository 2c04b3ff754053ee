"""Splits of sequence tables: by given parts, or units (rows with their copies, or groups) drawn at random."""

import numpy as np

from seqmill.config.datasets import Split
from seqmill.examples.splits import PARTS, balance, draw_shares
from seqmill.runtime.errors import InputError


def split_table(
    split: Split, given: list[str], units: np.ndarray, where: str
) -> tuple[list[str], np.ndarray, dict[str, dict[str, list[str]]]]:
    """Folds of the rows of a table.

    Parameters
    ----------
    given : part that file or column names for each row, "" if none.
    units : int64 (n,), rows of one unit stay together: a group, or the copies of one sequence.

    Returns
    -------
    folds : their names. number : int64 (n,), fold of each row. runs : folds of each run by use.
    """
    count = int(units.max()) + 1 if len(units) else 0
    sizes = np.bincount(units, minlength=count).tolist()
    if split.kind == "folds":
        if count < split.k:
            raise InputError(where, f"{count} units to split, too few for split.k {split.k}")
        number = np.array(balance(sizes, split.k, split.seed))[units]
        return _nested(split, number, units)
    if split.kind == "given":
        number = np.array([_part(part, split, where) for part in given], dtype=np.int64)
    elif split.kind == "blocks":
        shares = [_share(split, part, where) for part in ("test", "valid")]
        if not shares[0] or sum(shares) >= 1:
            raise InputError(where, "split.test (and split.valid) must be fractions that leave something for training")
        number = np.array(draw_shares(sizes, shares, split.seed), dtype=np.int64)[units]
    else:
        raise InputError(where, f"split.kind '{split.kind}' is for genomes; a table takes given, folds or blocks")
    if not np.any(number == 0):
        raise InputError(where, "the split leaves no row for training")
    if not np.any(number == 1) and split.inner_valid:
        number[_inner(number == 0, units, split, 0)] = 1
    return list(PARTS), number, {"0": {part: [part] for part in PARTS}}


def _part(part: str, split: Split, where: str) -> int:
    name = split.rename.get(part, part)
    if name not in PARTS:
        raise InputError(
            where,
            f"split.kind 'given': part {part!r} is none of {', '.join(PARTS)}; give 'fold' with each file, or "
            "windows.fold_column, and map other names with split.rename",
        )
    return PARTS.index(name)


def _share(split: Split, part: str, where: str) -> float:
    value = getattr(split, part)
    if isinstance(value, list) or (value is not None and not 0 < value < 1):
        raise InputError(where, f"split.{part} must be a fraction between 0 and 1 for a table, found {value!r}")
    return value or 0.0


def _nested(split: Split, number: np.ndarray, units: np.ndarray):
    """k folds, each with an inner part for the early stopping of the runs that train on it."""
    folds = [str(fold) for fold in range(split.k)]
    number = number.astype(np.int64)
    inner = []
    for fold in range(split.k):
        chosen = _inner(number == fold, units, split, fold) if split.inner_valid else np.zeros(len(number), bool)
        inner.append(f"{fold}.valid" if chosen.any() else "")
        if chosen.any():
            folds.append(inner[fold])
            number[chosen] = len(folds) - 1
    runs = {}
    for fold in range(split.k):
        others = [other for other in range(split.k) if other != fold]
        runs[str(fold)] = {
            "train": [str(other) for other in others],
            "valid": [inner[other] for other in others if inner[other]],
            "test": [name for name in (str(fold), inner[fold]) if name],
        }
    return folds, number, runs


def _inner(mine: np.ndarray, units: np.ndarray, split: Split, salt: int) -> np.ndarray:
    """Rows of whole units, drawn at random from ``mine``, that make about the share ``inner_valid``; bool (n,)."""
    counts = np.bincount(units[mine], minlength=int(units.max()) + 1)
    found = np.flatnonzero(counts)
    order = found[np.random.default_rng([split.seed, 3, salt]).permutation(len(found))]
    total = np.cumsum(counts[order])
    taken = order[: int(np.searchsorted(total, split.inner_valid * mine.sum(), side="right"))]
    chosen = np.zeros(len(counts), dtype=bool)
    chosen[taken if len(taken) < len(order) else taken[:-1]] = True
    return mine & chosen[units]
