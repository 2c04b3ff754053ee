"""The metric table of a dataset: every network and baseline, with intervals, and each network beside each baseline.

Reads predictions stores and nothing else.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.evaluation.resample import RESAMPLES, Blocks, draw, interval, make_blocks
from seqmill.evaluation.scores import TargetScores, score_target
from seqmill.runtime.errors import InputError

SEED = 20_251
PLACE = ["genome", "contig", "start", "end", "strand", "name", "source_row"]
COLUMNS = [
    "model",
    "kind",
    "fold",
    "seed",
    "target",
    "target_kind",
    "over",
    "track",
    "metric",
    "value",
    "n",
    "n_pos",
    "prevalence",
    "ci_low",
    "ci_high",
    "blocks",
    "note",
]
COMPARED = [
    "target",
    "metric",
    "fold",
    "network",
    "seed",
    "baseline",
    "network_value",
    "baseline_value",
    "difference",
    "ci_low",
    "ci_high",
    "tracks",
    "tracks_better",
    "blocks",
    "verdict",
]
OTHER_ROWS = "not comparable: the predictions are of different rows"


@dataclass
class Judged:
    """One set of predictions with its scores."""

    attrs: dict[str, Any]
    rows_digest: str
    blocks: Blocks
    scores: dict[str, TargetScores] = field(default_factory=dict)


def _rows_digest(rows: pd.DataFrame) -> str:
    values = pd.util.hash_pandas_object(rows[PLACE], index=False).to_numpy()
    return hashlib.sha256(values.tobytes()).hexdigest()


def judge(folder: Path) -> Judged:
    """Score all targets of one predictions store."""
    from seqmill.stores.predictions import PredictionsReader

    reader = PredictionsReader(folder)
    rows = reader.rows()
    blocks = make_blocks(rows, reader.attrs["bootstrap_unit"])
    judged = Judged(reader.attrs, _rows_digest(rows), blocks)
    draws = draw(blocks, SEED)
    for target in reader.targets:
        judged.scores[target] = score_target(reader, target, blocks, draws)
    return judged


def _over_tracks(function: Any, values: np.ndarray) -> np.ndarray:
    """``function`` over the tracks that are defined (last axis); NaN if none is."""
    defined = ~np.isnan(values).all(axis=-1)
    out = np.full(values.shape[:-1], np.nan)
    if defined.any():
        out[defined] = function(values[defined], axis=-1)
    return out


def _metric_rows(judged: Judged) -> Iterator[dict[str, Any]]:
    """Lines of the metric table for one set of predictions."""
    run = {key: judged.attrs[key] for key in ("model", "kind", "fold", "seed")}
    for target, scores in judged.scores.items():
        for i, metric in enumerate(scores.metrics):
            common = {
                **run,
                "target": target,
                "target_kind": scores.kind,
                "metric": metric,
                "blocks": judged.blocks.count,
            }
            for name, function in (("median of tracks", np.nanmedian), ("mean of tracks", np.nanmean)):
                value = _over_tracks(function, scores.value[i][None])[0]
                low, high, note = interval(_over_tracks(function, scores.resampled[i]), judged.blocks.count)
                undefined = int(np.isnan(scores.value[i]).sum())
                if np.isnan(value):
                    low, high, note = np.nan, np.nan, "undefined for every track"
                elif undefined:
                    note = "; ".join(filter(None, [note, f"{undefined} of {len(scores.tracks)} tracks undefined"]))
                found = {"value": value, "n": int(scores.n.sum()), "ci_low": low, "ci_high": high, "note": note}
                if scores.kind == "binary":
                    found |= {"n_pos": int(scores.positives.sum())}
                    found["prevalence"] = found["n_pos"] / found["n"] if found["n"] else np.nan
                yield {**common, "over": name, "track": "", **found}
            for j, track in enumerate(scores.tracks):
                low, high, note = interval(scores.resampled[i, :, j], judged.blocks.count)
                if (i, j) in scores.reasons:
                    low, high, note = np.nan, np.nan, f"undefined: {scores.reasons[i, j]}"
                found = {
                    "value": scores.value[i, j],
                    "n": int(scores.n[j]),
                    "ci_low": low,
                    "ci_high": high,
                    "note": note,
                }
                if scores.kind == "binary":
                    found["n_pos"] = int(scores.positives[j])
                    found["prevalence"] = scores.positives[j] / scores.n[j] if scores.n[j] else np.nan
                yield {**common, "over": "track", "track": track, **found}


def verdict(low: float, high: float, reason: str) -> str:
    """The difference in words, from its 95 % interval."""
    if reason:
        return reason
    return "better than" if low > 0 else "worse than" if high < 0 else "no clear difference"


def _compare(network: Judged, baseline: Judged, target: str) -> Iterator[dict[str, Any]]:
    """Lines of the comparison table for one pair: difference of the means over tracks, on the same resamples."""
    ours, theirs = network.scores[target], baseline.scores[target]
    for i, metric in enumerate(ours.metrics):
        line = {
            "target": target,
            "metric": metric,
            "fold": network.attrs["fold"],
            "network": network.attrs["model"],
            "seed": network.attrs["seed"],
            "baseline": baseline.attrs["model"],
            "blocks": network.blocks.count,
        }
        if network.rows_digest != baseline.rows_digest or ours.tracks != theirs.tracks or ours.kind != theirs.kind:
            yield {**line, "verdict": OTHER_ROWS}
            continue
        both = ~np.isnan(ours.value[i]) & ~np.isnan(theirs.value[i])
        if not both.any():
            yield {**line, "tracks": 0, "verdict": "undefined for every track"}
            continue
        difference = ours.resampled[i][:, both].astype(np.float64) - theirs.resampled[i][:, both]
        low, high, reason = interval(_over_tracks(np.nanmean, difference), network.blocks.count)
        our_value, their_value = float(ours.value[i][both].mean()), float(theirs.value[i][both].mean())
        yield {
            **line,
            "network_value": our_value,
            "baseline_value": their_value,
            "difference": our_value - their_value,
            "ci_low": low,
            "ci_high": high,
            "tracks": int(both.sum()),
            "tracks_better": int((ours.value[i] > theirs.value[i])[both].sum()),
            "verdict": verdict(low, high, reason),
        }


def _table(rows: list[dict[str, Any]], columns: list[str], whole: tuple[str, ...]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    for column in whole:
        table[column] = table[column].astype("Int64")
    numbers = table.select_dtypes("float").columns
    table[numbers] = table[numbers].round(9)  # the last digits depend on the threads of the linear algebra
    return table


def _write(part: Path, name: str, table: pd.DataFrame) -> None:
    table.to_csv(part / f"{name}.tsv", sep="\t", index=False, lineterminator="\n", float_format="%.6g")


def _same_dataset(everyone: list[Judged], name: str) -> None:
    digests = {judged.attrs["dataset_digest"] for judged in everyone}
    if len(digests) > 1:
        which = ", ".join(f"{j.attrs['model']} {j.attrs['fold']}.{j.attrs['seed']}" for j in everyone)
        raise InputError(name, f"predictions ({which}) were made from different versions of the dataset; predict again")


def _pairs(everyone: list[Judged]) -> Iterator[tuple[Judged, Judged, str]]:
    """Each network with each baseline of the same fold, for each target that both predict."""
    for network in everyone:
        for baseline in everyone:
            kinds = network.attrs["kind"] != "baseline", baseline.attrs["kind"] == "baseline"
            if all(kinds) and network.attrs["fold"] == baseline.attrs["fold"]:
                for target in network.scores:
                    if target in baseline.scores:
                        yield network, baseline, target


def evaluate(out: Path, *, name: str, predictions: list[Path]) -> None:
    """Judge all predictions on one dataset.

    Parameters
    ----------
    out : folder to write: ``metrics.tsv`` and ``metrics.parquet`` (a line for each model, fold, seed, target, track
        and metric, and for the median and mean over tracks), ``comparison.tsv`` (each network against each baseline
        of the same fold, on the same resamples of the same blocks).
    name : of the dataset.
    predictions : predictions stores, all of this dataset.

    Raises InputError if they were made from different versions of the dataset.
    """
    from seqmill.stores.layout import noun_folder, upstream
    from seqmill.stores.tables import write_table

    parameters = {"name": name, "resamples": RESAMPLES, "seed": SEED}
    made_from = upstream(*predictions)
    with noun_folder(out, noun="evaluation", label=name, inputs=made_from, parameters=parameters) as (part, attrs, _):
        everyone = [judge(Path(folder)) for folder in predictions]
        everyone.sort(
            key=lambda j: (j.attrs["kind"] == "baseline", *(j.attrs[key] for key in ("model", "fold", "seed")))
        )
        _same_dataset(everyone, name)
        table = _table([row for judged in everyone for row in _metric_rows(judged)], COLUMNS, ("n", "n_pos", "blocks"))
        _write(part, "metrics", table)
        write_table(part / "metrics.parquet", table)
        compared = [
            row for network, baseline, target in _pairs(everyone) for row in _compare(network, baseline, target)
        ]
        _write(part, "comparison", _table(compared, COMPARED, ("tracks", "tracks_better", "blocks")))
        units = sorted({judged.blocks.unit for judged in everyone})
        attrs |= {"resamples": RESAMPLES, "seed": SEED, "block_units": units}
