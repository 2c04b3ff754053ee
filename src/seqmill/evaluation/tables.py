"""The tables of a dataset: every network, baseline and published prediction, with intervals, alone and beside others.

Reads predictions stores and nothing else.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqmill.evaluation.compare import COMPARED, COMPARED_TRACKS, compare, compare_tracks, opponents, sentence
from seqmill.evaluation.figures import draw_target
from seqmill.evaluation.resample import RESAMPLES
from seqmill.evaluation.runs import ALL, SEED, Line, Run, lines_of, open_runs, pooled
from seqmill.evaluation.summaries import COLUMNS, metric_rows

WHOLE = ("runs", "n", "n_pos", "blocks", "tracks", "tracks_better", "tracks_clearly_better", "tracks_clearly_worse")
TABLES = {"metrics": COLUMNS, "comparison": COMPARED, "comparison_tracks": COMPARED_TRACKS}
Row = dict[str, Any]


def _metrics(runs: Sequence[Run], lines: Sequence[Line], target: str) -> Iterator[Row]:
    """Lines of the metric table: pooled over folds and seeds, then of each run."""
    for line in lines:
        for scores in pooled(line, target):
            yield from metric_rows(scores, _of(line.model, line.kind, ALL, line.seed, target))
    for run in runs:
        for scores in run.scores(target):
            yield from metric_rows(scores, _of(run.model, run.kind, run.fold, run.seed, target))


def _of(model: str, kind: str, fold: str, seed: str, target: str) -> Row:
    return {"model": model, "kind": kind, "fold": fold, "seed": seed, "target": target}


def _comparison(lines: Sequence[Line], target: str) -> Iterator[Row]:
    """Lines of the comparison table: pooled, then of each run."""
    pairs = [pair for pair in opponents(lines) if all(line.folds(target) for line in pair)]
    each = [
        (Line(ours.model, ours.kind, run.seed, (run,)), theirs, fold)
        for ours, theirs in pairs
        for fold, runs in ours.folds(target).items()
        for run in runs
        if fold in theirs.folds(target)
    ]
    for ours, theirs, fold in [*((*pair, ALL) for pair in pairs), *each]:
        for row in compare(ours, theirs, target, fold, ours.seed):
            yield {**row, "sentence": sentence(row)} if "difference" in row else row


def _track_rows(lines: Sequence[Line], target: str) -> Iterator[Row]:
    for ours, theirs in opponents(lines):
        yield from compare_tracks(ours, theirs, target, ours.seed)


def _table(rows: list[Row], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    for column in set(columns) & set(WHOLE):
        table[column] = table[column].astype("Int64")
    numbers = table.select_dtypes("float").columns
    table[numbers] = table[numbers].round(9)  # the last digits depend on the threads of the linear algebra
    return table


def _join(tables: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else _table([], columns)


def _write(part: Path, name: str, table: pd.DataFrame) -> None:
    table.to_csv(part / f"{name}.tsv", sep="\t", index=False, lineterminator="\n", float_format="%.6g")


def evaluate(out: Path, *, name: str, predictions: Sequence[Path], figures: bool = True) -> None:
    """Judge all predictions on one dataset.

    Parameters
    ----------
    out : folder to write: ``metrics.tsv`` and ``metrics.parquet`` (each model, fold, seed, target, track and metric,
        and tracks in one number), ``comparison.tsv`` (each network beside each baseline and published prediction of
        the same fold, on the same resamples of the same blocks), ``comparison_tracks.tsv`` (the same for each
        track), ``figures/``; their columns stand in ``docs/output.md``.
    name : of the dataset.
    predictions : predictions stores, all of this dataset.
    figures : draw them, too.

    Raises
    ------
    InputError
        They were made from different versions of the dataset, or hold NaN.
    """
    from seqmill.stores.layout import noun_folder, upstream
    from seqmill.stores.tables import write_table

    parameters = {"name": name, "resamples": RESAMPLES, "seed": SEED}
    made_from = upstream(*predictions)
    with noun_folder(out, noun="evaluation", label=name, inputs=made_from, parameters=parameters) as (part, attrs, _):
        runs = open_runs(predictions, name)
        lines = lines_of(runs)
        tables: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
        drawn: list[dict[str, str]] = []
        for target in dict.fromkeys(target for run in runs for target in run.reader.targets):
            judged = [run for run in runs if target in run.reader.targets]
            made = {
                "metrics": _table(list(_metrics(judged, lines, target)), COLUMNS),
                "comparison": _table(list(_comparison(lines, target)), COMPARED),
                "comparison_tracks": _table(list(_track_rows(lines, target)), COMPARED_TRACKS),
            }
            for key, table in made.items():
                tables[key].append(table)
            for run in judged:
                run.forget()
            if figures:
                drawn += draw_target(part / "figures", target, lines, made["metrics"], made["comparison_tracks"])
        for key, found in tables.items():
            table = _join(found, TABLES[key])
            _write(part, key, table)
            if key == "metrics":
                write_table(part / "metrics.parquet", table)
        units = sorted({run.blocks.unit for run in runs})
        attrs |= {"resamples": RESAMPLES, "seed": SEED, "block_units": units}
        attrs["figures"] = [{**figure, "file": f"figures/{figure['file']}"} for figure in drawn]
