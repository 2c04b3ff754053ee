"""The mean of the predictions of several runs of a model, with their standard deviation."""

from pathlib import Path

import numpy as np

from seqmill.runtime.errors import InputError
from seqmill.stores.layout import upstream
from seqmill.stores.predictions import Block, PredictionsReader, PredictionsWriter

MEAN = "mean"  # in place of a seed
NOT_AVERAGED = "none"  # kind of targets whose numbers mean something else in each model, as those of an embedding
SLAB_BYTES = 64_000_000


class RunningMean:
    """Mean and standard deviation of values that come one after another (Welford 1962, Technometrics 4:419).

    Parameters
    ----------
    shape : of the values, (examples, ...).
    """

    def __init__(self, shape: tuple[int, ...]):
        self.count = np.zeros((shape[0], *[1] * (len(shape) - 1)))
        self._mean, self._squares = np.zeros(shape), np.zeros(shape)

    def add(self, values: np.ndarray, used: np.ndarray | None = None) -> None:
        """Count ``values`` of all examples, or of those where ``used`` (examples,) bool is True."""
        use = np.ones(self.count.shape, bool) if used is None else used.reshape(self.count.shape)
        self.count += use
        difference = np.where(use, values - self._mean, 0.0)
        self._mean += difference / np.maximum(self.count, 1)
        self._squares += difference * (values - self._mean)

    def mean(self) -> np.ndarray:
        """float32, 0 for examples without a value."""
        return self._mean.astype(np.float32)

    def spread(self) -> np.ndarray:
        """Standard deviation (of the population: 0 for one value), float32."""
        return np.sqrt(self._squares / np.maximum(self.count, 1)).astype(np.float32)


def _check_alike(members: list[PredictionsReader]) -> None:
    """Members are runs of one model on one fold: the same rows of the same dataset, different seeds."""
    first = members[0]
    rows = first.rows()
    for member in members[1:]:
        for key in ("kind", "model", "dataset", "dataset_digest", "fold", "part", "both_strands", "shifts_bp"):
            mine, other = first.attrs.get(key), member.attrs.get(key)
            if mine != other:
                raise InputError(
                    member.folder, f"{key} is {other}, that of {first.folder} is {mine}; predict both again"
                )
        if member.targets != first.targets or not member.rows().equals(rows):
            raise InputError(member.folder, f"targets or rows differ from those of {first.folder}; predict both again")
    seeds = [member.attrs["seed"] for member in members]
    if len(set(seeds)) < len(seeds):
        raise InputError(first.folder, f"seeds {seeds} are not all different")


def average_seeds(out: str | Path, *, members: list[Path]) -> None:
    """Write the mean over seeds of predictions (probabilities, values, expected signal) and their spread.

    Parameters
    ----------
    out : ``…/predictions/{model}/{fold}.mean.zarr``.
    members : predictions stores of the seeds of one fold. Their order does not matter.

    Targets of kind "none" are left out.

    Raises
    ------
    InputError
        There are no members, they are of different rows or models, or they hold nothing that can be averaged.
    """
    readers = sorted(map(PredictionsReader, members), key=lambda reader: reader.attrs["seed"])
    if not readers:
        raise InputError(out, "a mean needs predictions of at least one seed, found none")
    _check_alike(readers)
    first = readers[0]
    specs = {name: spec for name, spec in first.targets.items() if spec.kind != NOT_AVERAGED}
    if not specs:
        raise InputError(first.folder, "its predictions mean something else in each model and cannot be averaged")
    attrs = {key: value for key, value in first.attrs.items() if key not in ("name", "inputs", "recorded")}
    attrs |= {"seed": MEAN, "seeds": [reader.attrs["seed"] for reader in readers]}
    name, rows = f"{attrs['model']}/{attrs['fold']}.{MEAN}", first.rows()
    width = sum(int(np.prod(spec.shape_per_example, dtype=np.int64)) for spec in specs.values())
    step = max(1, SLAB_BYTES // (32 * max(1, width)))
    inputs = upstream(*[reader.folder for reader in readers])
    with PredictionsWriter(out, name, attrs, specs, inputs=inputs, spread=True) as writer:
        for start in range(0, first.n, step):
            stop = min(start + step, first.n)
            blocks: dict[str, Block] = {}
            for target, spec in specs.items():
                values = RunningMean((stop - start, *spec.shape_per_example))
                for reader in readers:
                    values.add(reader.predicted(target, start, stop))
                known = first.truth(target, start, stop), first.mask(target, start, stop)
                blocks[target] = (values.mean(), *known, values.spread())
            writer.append(rows.iloc[start:stop], blocks)
