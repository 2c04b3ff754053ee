"""What to say of a training that ended: whether the network learned more than the mean of its labels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmill.training.augment import View, crop
from seqmill.training.heads import FittedHead, TargetLoss
from seqmill.training.kinds import Statistics
from seqmill.training.objectives import labels_of

_CERTAIN = 1e-6


def mean_output(head: FittedHead, statistics: Statistics) -> np.ndarray | None:
    """Raw outputs (track,) that predict the mean of the training labels; None where one number does not say it."""
    mean = statistics.total / np.maximum(statistics.count, 1)
    if head.kind == "beta_binomial":
        return None
    if head.kind in ("class", "distribution"):
        return np.log(np.maximum(mean, _CERTAIN))
    if head.kind in ("binary", "fraction"):
        mean = np.clip(mean, _CERTAIN, 1 - _CERTAIN)
        return np.log(mean) - np.log1p(-mean)
    return np.zeros(len(mean))  # raw outputs are relative to the mean


def mean_loss(
    view: View,
    heads: Mapping[str, FittedHead],
    statistics: Mapping[str, Statistics],
    batches: Iterator[tuple[Mapping[str, Any], int]],
) -> float | None:
    """Loss over ``batches`` (arrays, rows that are real) of predicting the mean of the training labels everywhere.

    It is the weighted sum over the targets of their mean losses, as of `Supervised`; None if that cannot be said.
    """
    outputs = {name: mean_output(head, statistics[name]) for name, head in heads.items()}
    raw = {name: output for name, output in outputs.items() if output is not None}
    if not heads or len(raw) < len(heads):
        return None

    @jax.jit
    def losses(batch: Mapping[str, Any], rows: Any) -> dict[str, TargetLoss]:
        shown = {key: crop(array, view.targets[key.partition("/")[2]], None) for key, array in batch.items()}
        found = {}
        for name, head in heads.items():
            truth, present = labels_of(shown, name)
            present &= rows.reshape(-1, *[1] * (present.ndim - 1))
            constant = raw[name] if truth.ndim > 1 else raw[name][0]
            found[name] = head.losses(jnp.broadcast_to(jnp.asarray(constant, jnp.float32), truth.shape), truth, present)
        return found

    sums = []
    for batch, count in batches:
        arrays = {key: array for key, array in batch.items() if key != "row"}
        sums.append(jax.device_get(losses(arrays, np.arange(len(batch["row"])) < count)))
    return sum(
        head.weight * float(np.sum([np.float64(part[name].total) for part in sums]))
        / max(1, sum(int(part[name].labels) for part in sums))
        for name, head in heads.items()
    )  # fmt: skip


def learning_notes(history: Sequence[Mapping[str, float]], mean: float | None, learning_rate: float) -> list[str]:
    """Sentences on a training that learned nothing; none for one that did.

    Parameters
    ----------
    history : entries with epoch, train_loss and valid_loss.
    mean : validation loss of predicting the training mean, None if unknown.
    """
    cure = f"try another learning_rate (now {learning_rate:g}) or more passes, and check the labels"
    best = min(history, key=lambda entry: entry["valid_loss"])
    notes = []
    if mean is not None and not best["valid_loss"] < mean:
        notes.append(
            f"the best validation loss ({best['valid_loss']:.4g}, pass {best['epoch']}) is not below that of "
            f"predicting the mean of the training labels ({mean:.4g}): nothing was learned; {cure}"
        )
    losses = [entry["train_loss"] for entry in history]
    if len(losses) > 1 and min(losses[1:]) >= losses[0]:
        notes.append(f"the training loss never fell below that of the first pass ({losses[0]:.4g}); {cure}")
    return notes
