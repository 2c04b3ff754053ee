"""Labels of the training rows: what they tell the heads, and labels from which nothing can be learned."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from seqmill.config.heads import Head, check_heads
from seqmill.runtime.errors import InputError
from seqmill.stores.geometry import crop_margin
from seqmill.training.heads import FittedHead, fit_weights
from seqmill.training.kinds import Statistics, check_labels, fit_scaling
from seqmill.training.loader import batch_keys, plain_batches
from seqmill.training.losses import loss_of

# Rows from which means and spreads of labels are taken: rows are shuffled inside each part, so a prefix is a sample.
STATISTICS_ROWS = 65_536
_STATISTICS_BATCH = 1024
_NAMED = 5


def label_statistics(reader: Any, name: str, ranges: Sequence[tuple[int, int]]) -> Statistics:
    """Statistics of one target over (at most about `STATISTICS_ROWS` of) some rows, as they are judged: no margins."""
    rows = sum(stop - start for start, stop in ranges)
    share = min(1.0, STATISTICS_ROWS / max(rows, 1))
    sample = [(start, start + max(1, round(share * (stop - start)))) for start, stop in ranges]
    spec = reader.targets[name]
    statistics = Statistics(max(1, len(spec.tracks)), max(1, spec.bp_per_bin))
    keys = [key for key in batch_keys(reader, [name]) if not key.startswith("inputs/")]
    for batch, count in plain_batches(reader, sample, batch_size=_STATISTICS_BATCH, keys=keys):
        mask = batch.get(f"mask/{name}")
        values = crop_margin(batch[f"targets/{name}"][:count], spec)
        statistics.add(values, None if mask is None else crop_margin(mask[:count], spec))
    return statistics


def fit_heads(
    reader: Any, sections: Mapping[str, Head], ranges: Sequence[tuple[int, int]], label: str
) -> tuple[dict[str, FittedHead], dict[str, Statistics], list[str]]:
    """Check the training labels of all targets, take their scalings and weights.

    Parameters
    ----------
    sections : of the heads, by target. ranges : rows of the training part. label : of the run, for messages.

    Returns
    -------
    Heads, statistics of the training labels, and what is odd but no error (warned of here).
    """
    fitted, every, notes = {}, {}, []
    check_heads(sections, {name: reader.targets[name].kind for name in sections}, label)
    for name, head in sections.items():
        spec, statistics = reader.targets[name], label_statistics(reader, name, ranges)
        loss = loss_of(spec.kind, head.loss)
        constant = check_labels(name, spec, loss, statistics, str(reader.folder))
        if constant:
            notes.append(
                f"target {name}: {len(constant)} of {len(spec.tracks)} tracks have one value in all training rows: "
                + _some(constant)
            )
        if loss.counts and not statistics.whole.all():
            tracks = [track for track, whole in zip(spec.tracks, statistics.whole) if not whole]
            notes.append(
                f"target {name}: loss {head.loss} is for raw counts; normalised tracks: {_some(tracks)}",
            )
        class_weights, track_weights = fit_weights(name, spec, head, statistics, label)
        fitted[name] = FittedHead(spec.kind, head, fit_scaling(loss, statistics), class_weights, track_weights)
        every[name] = statistics
    for note in notes:
        logging.getLogger("seqmill").warning("%s: %s", label, note)
    return fitted, every, notes


def check_valid_labels(reader: Any, targets: Sequence[str], ranges: Sequence[tuple[int, int]], fold: str) -> None:
    """Raise InputError for a target without any label in the validation rows: nothing would stop its training."""
    for name in targets:
        if not label_statistics(reader, name, ranges).count.any():
            raise InputError(
                reader.folder, f"target {name!r} has no label in the validation rows of run {fold}", record=name
            )


def _some(tracks: Sequence[str]) -> str:
    return ", ".join(tracks[:_NAMED]) + (f" and {len(tracks) - _NAMED} more" if len(tracks) > _NAMED else "")
