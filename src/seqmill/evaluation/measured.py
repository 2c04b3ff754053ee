"""How well predictions agree with measured effects: each element, each predictor, intervals, and what stands beside.

Nothing is chosen by looking at the measured values: a network is judged by the mean over all tracks of a target, by
the tracks that were stated beforehand, and by every track. Two controls stand beside: the measured values shuffled
within the element (``random``), and the measured values themselves (``perfect``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqmill.metrics.agreement import Draws, area, ceiling, correlation, percentiles, sign_agreement, wilson
from seqmill.metrics.bootstrap import MIN_BLOCKS, TOO_FEW, Interval
from seqmill.stores.measured import KMER, MEASURED, NETWORK, SUMMARY, Column

PEARSON, SPEARMAN, SIZE, SIGN, AUROC = "pearson", "spearman", "spearman of sizes", "sign", "auroc"
RANDOM, PERFECT, CEILING = "random", "perfect", "ceiling"
MEAN, STATED, TRACK = "mean of tracks", "stated tracks", "track"
ALL = "all elements"
METRICS = {
    "saturation": (PEARSON, SPEARMAN, SIZE),
    "mpra": (PEARSON, SPEARMAN, SIZE),
    "qtl": (SIGN, SPEARMAN, AUROC),
    "pairs": (SIGN,),
}
UNSIGNED = (SIZE, AUROC)
"""Metrics that judge how large effects are, whatever their sign."""
Key = tuple[str, str, str, str, str, str]  # metric, predictor, target, over, track, against


@dataclass(frozen=True)
class Line:
    """One predictor as a vector of predictions (rows,)."""

    predictor: str
    target: str
    over: str
    track: str
    signed: bool
    values: np.ndarray


def lines_of(table: pd.DataFrame, columns: Sequence[Column], stated: Sequence[str] | None) -> list[Line]:
    """All predictors: of tracks their mean, the mean of those stated, and each; the others as they are."""
    found: list[Line] = []
    others: list[Line] = []
    groups: dict[tuple[str, str], list[Column]] = {}
    for column in columns:
        if column.track:
            groups.setdefault((column.predictor, column.target), []).append(column)
        else:
            values = table[column.name].to_numpy(np.float64)
            others.append(Line(column.predictor, "", "", "", column.signed, values))
    for (predictor, target), tracks in groups.items():
        values = table[[column.name for column in tracks]].to_numpy(np.float64)
        found.append(Line(predictor, target, MEAN, "", True, values.mean(axis=1)))
        named = [i for i, column in enumerate(tracks) if column.track in (stated or ())]
        if named:
            found.append(Line(predictor, target, STATED, "", True, values[:, named].mean(axis=1)))
        if len(tracks) > 1:
            found += [Line(predictor, target, TRACK, c.track, True, values[:, i]) for i, c in enumerate(tracks)]
    return found + others


def judge(
    table: pd.DataFrame,
    columns: Sequence[Column],
    *,
    kind: str,
    stated: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of every predictor with the measured values of every element.

    Parameters
    ----------
    table : rows of a `measured` store. columns : of predictions. kind : of the section. stated : tracks named
        beforehand. resamples, seed : of blocks of rows, and of shuffles.

    Returns
    -------
    `SUMMARY`. Lines with ``against`` are the network less that baseline, on the rows that both score. With several
    elements ``all elements`` is the mean over them, its interval from blocks drawn within each.
    """
    rows: list[dict[str, Any]] = []
    sums: dict[Key, list[Any]] = {}
    elements = list(dict.fromkeys(table["element"]))
    for number, element in enumerate(elements):
        part = table[table["element"] == element]
        one = _Element(element, part, kind, resamples, [seed, number])
        for key, value, resampled, row in one.judged(lines_of(part, columns, stated)):
            rows.append(row)
            if len(elements) > 1 and key[1] != CEILING:
                total = sums.setdefault(key, [0, 0.0, 0.0, 0, 0, 0])
                if np.isfinite(value):
                    enough = row["blocks"] >= MIN_BLOCKS
                    for i, more in enumerate((1, value, resampled, row["n"], row["blocks"], enough)):
                        total[i] = total[i] + more
    rows += [_all_line(key, *total) for key, total in sums.items()]
    return pd.DataFrame(rows, columns=list(SUMMARY))


def _all_line(key: Key, count: int, value: float, resampled: Any, n: int, blocks: int, enough: int) -> dict[str, Any]:
    interval = Interval(None, None, blocks, TOO_FEW)
    if count and enough == count:
        interval = percentiles(resampled / count, blocks)
    mean = value / count if count else np.nan
    row = _row(ALL, key, n, blocks, mean, interval)
    row["note"] = "; ".join(filter(None, [f"mean over {count} elements", interval.reason]))
    return row


def _row(element: str, key: Key, n: int, blocks: int, value: float, interval: Interval, p: float = np.nan) -> dict:
    low, high = (np.nan if bound is None else bound for bound in (interval.low, interval.high))
    found: dict[str, Any] = dict(zip(("metric", "predictor", "target", "over", "track", "against"), key))
    found |= {"element": element, "n": n, "blocks": blocks, "value": value}
    return {**found, "ci_low": low, "ci_high": high, "p": p, "note": interval.reason}


Judged = Iterator[tuple[Key, float, np.ndarray, dict[str, Any]]]


class _Element:
    """Rows of one element, and the draws that all its predictors share."""

    def __init__(self, name: str, table: pd.DataFrame, kind: str, resamples: int, seed: list[int]):
        self.name, self.table, self.kind = name, table, kind
        self.measured = table["measured"].to_numpy(np.float64)
        self.effect = (table["role"] == MEASURED).to_numpy()
        self.resamples, self.seed = resamples, seed
        self._draws: dict[bool, Draws] = {}

    def judged(self, lines: Sequence[Line]) -> Judged:
        """Key, value, resampled values and the line of the summary: of predictors, differences and controls."""
        for metric in METRICS[self.kind]:
            rows, truth = self._truth(metric)
            if len(truth) < 2 or (metric != SIGN and np.ptp(truth) == 0):
                continue
            if metric == SPEARMAN and self.kind == "qtl" and len(np.unique(truth)) < 3:
                continue  # directions alone: the share of signs says it
            fit = [line for line in lines if line.signed or metric in UNSIGNED]
            if metric == SIZE and all(line.signed for line in lines):
                continue
            draws = self._draws_of(metric)
            predicted = np.stack([line.values[rows] for line in fit], axis=1)
            if metric in UNSIGNED:
                signed = np.array([line.signed for line in fit])
                predicted = np.where(signed, np.abs(predicted), predicted)
            yield from self._lines(metric, truth, predicted, fit, draws)
            yield from self._differences(metric, truth, predicted, fit, draws)
            yield from self._controls(metric, rows, truth, draws)

    def _truth(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Which rows a metric uses, and what it compares predictions with."""
        if metric == AUROC:
            return np.arange(len(self.table)), self.effect.astype(np.float64)
        rows = np.flatnonzero(self.effect & np.isfinite(self.measured))
        if metric == SIGN:
            rows = rows[self.measured[rows] != 0]
        truth = self.measured[rows]
        return rows, np.abs(truth) if metric == SIZE else truth

    def _draws_of(self, metric: str) -> Draws:
        rows, _ = self._truth(metric)
        seed = int(np.random.SeedSequence(self.seed).generate_state(1)[0])
        return Draws(self.table["block"].to_numpy(str)[rows], self.resamples, seed)

    def _score(
        self, metric: str, truth: np.ndarray, predicted: np.ndarray, draws: Draws
    ) -> tuple[np.ndarray, np.ndarray]:
        if metric == SIGN:
            return sign_agreement(truth, predicted, draws)
        if metric == AUROC:
            return area(truth > 0, predicted, draws)
        return correlation(truth, predicted, draws, ranked=metric in (SPEARMAN, SIZE))

    def _lines(
        self, metric: str, truth: np.ndarray, predicted: np.ndarray, fit: Sequence[Line], draws: Draws
    ) -> Judged:
        values, resampled = self._score(metric, truth, predicted, draws)
        for i, line in enumerate(fit):
            key = metric, line.predictor, line.target, line.over, line.track, ""
            n = int(np.isfinite(predicted[:, i]).sum())
            interval, p = draws.interval(resampled[:, i]), np.nan
            if metric == SIGN and n:
                interval, p = self._binomial(truth, predicted[:, i], float(values[i]), n)
            row = _row(self.name, key, n, draws.count, float(values[i]), interval, p)
            yield key, float(values[i]), resampled[:, i], row

    def _binomial(self, truth: np.ndarray, predicted: np.ndarray, share: float, n: int) -> tuple[Interval, float]:
        """Wilson's interval of a share of signs, and the two-sided p of a fair coin; predictions of 0 say nothing."""
        from scipy.stats import binomtest

        said = np.isfinite(predicted) & (predicted != 0)
        right = int((np.sign(predicted[said]) == np.sign(truth[said])).sum())
        p = float(binomtest(right, int(said.sum())).pvalue) if said.any() else np.nan
        silent = int(np.isfinite(predicted).sum() - said.sum())
        note = f"{silent} predictions of 0 count one half" if silent else ""
        if n < MIN_BLOCKS:
            return Interval(None, None, n, TOO_FEW), p
        return Interval(*wilson(share, n), n, note), p

    def _differences(
        self, metric: str, truth: np.ndarray, predicted: np.ndarray, fit: Sequence[Line], draws: Draws
    ) -> Judged:
        """The network less each baseline, paired, on the rows that both score."""
        for i, ours in enumerate(fit):
            if ours.predictor != NETWORK or ours.over == TRACK:
                continue
            for j, theirs in enumerate(fit):
                other = (theirs.target, theirs.over) != (ours.target, ours.over)
                if theirs.predictor == NETWORK or (theirs.predictor == KMER and other):
                    continue
                both = predicted[:, [i, j]]
                both = np.where(np.isfinite(both).all(axis=1, keepdims=True), both, np.nan)
                values, resampled = self._score(metric, truth, both, draws)
                key = metric, NETWORK, ours.target, ours.over, "", theirs.predictor
                value, less = float(values[0] - values[1]), resampled[:, 0] - resampled[:, 1]
                n = int(np.isfinite(both[:, 0]).sum())
                yield key, value, less, _row(self.name, key, n, draws.count, value, draws.interval(less))

    def _controls(self, metric: str, rows: np.ndarray, truth: np.ndarray, draws: Draws) -> Judged:
        """Measured values shuffled within the element, measured values themselves, and what their noise allows."""
        rng = np.random.default_rng([*self.seed, 1])
        one = Draws(np.arange(len(truth)), 1, 0)
        step, found = max(1, 8_000_000 // len(truth)), []
        for first in range(0, self.resamples, step):
            count = min(step, self.resamples - first)
            shuffled = np.stack([rng.permutation(truth) for _ in range(count)], axis=1)
            if metric == SIGN:
                shuffled = rng.integers(0, 2, shuffled.shape) * 2.0 - 1
            found.append(self._score(metric, truth, shuffled, one)[0])
        random = np.concatenate(found)
        key = metric, RANDOM, "", "", "", ""
        value = float(np.nanmean(random))
        yield key, value, random, _row(self.name, key, len(truth), draws.count, value, percentiles(random, draws.count))
        key = metric, PERFECT, "", "", "", ""
        values, resampled = self._score(metric, truth, truth[:, None], one)
        again = np.repeat(resampled[:, 0], self.resamples)
        row = _row(self.name, key, len(truth), draws.count, float(values[0]), Interval(None, None, draws.count))
        yield key, float(values[0]), again, row
        if metric == PEARSON:
            most = ceiling(self.measured[rows], self.table["error"].to_numpy(np.float64)[rows])
            if np.isfinite(most):
                key = metric, CEILING, "", "", "", ""
                row = _row(self.name, key, len(truth), draws.count, most, Interval(None, None, draws.count))
                yield key, most, random, row
