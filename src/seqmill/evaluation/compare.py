"""Two models beside each other: paired differences on the same resamples, their intervals, and a verdict in words."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqmill.evaluation.resample import MIN_BLOCKS, intervals
from seqmill.evaluation.runs import ALL, ENSEMBLE, Line, pooled_pair
from seqmill.evaluation.scores import Scores
from seqmill.evaluation.summaries import enough_blocks, parts_of, summary
from seqmill.metrics.bootstrap import TOO_FEW
from seqmill.metrics.catalogue import describe

COMPARED = (
    *("target", "metric", "over", "group", "fold", "seed", "runs", "network", "baseline", "baseline_kind"),
    *("network_value", "baseline_value", "difference", "ci_low", "ci_high"),
    *("tracks", "tracks_better", "tracks_clearly_better", "tracks_clearly_worse", "blocks", "verdict", "sentence"),
)
COMPARED_TRACKS = (
    *("target", "metric", "fold", "seed", "runs", "network", "baseline", "baseline_kind", "track", "group"),
    *("n", "n_pos", "network_value", "baseline_value", "difference", "ci_low", "ci_high", "blocks", "verdict"),
)
BETTER, WORSE, EVEN = "better than", "worse than", "no clear difference"
AGAINST = {"network": ("published", "baseline"), "published": ("baseline",)}


def verdict(low: float, high: float, reason: str, *, lower_is_better: bool = False) -> str:
    """A difference in words, from its 95 % interval."""
    if reason:
        return reason
    if lower_is_better:
        low, high = -high, -low
    return BETTER if low > 0 else WORSE if high < 0 else EVEN


def sentence(row: dict[str, Any]) -> str:
    """The verdict of one line of the comparison table in a sentence."""
    metric = describe(row["metric"])
    what = metric.label
    if row["over"] != "target" and row["tracks"] > 1:
        what += f", mean of {row['tracks']} tracks" + (f" of {row['group']}" if row["group"] else "")
    elif row["group"]:
        what += f" of {row['group']}"
    values = f"{what}: {row['network_value']:.3f} vs {row['baseline_value']:.3f}, difference {row['difference']:+.3f}"
    which = [f"fold {row['fold']}"] if row["fold"] != ALL else []
    which += {ALL: [], ENSEMBLE: ["seeds averaged"]}.get(row["seed"], [f"seed {row['seed']}"])
    network = row["network"] + (f" ({', '.join(which)})" if which else "")
    names = f"{network} and {row['baseline']}"
    runs = f" ({row['runs']} runs)" if row["runs"] > 1 else ""
    if row["verdict"] == TOO_FEW:
        return (
            f"too few blocks to tell {names} apart ({row['blocks']}, at least {MIN_BLOCKS} are needed): {values}{runs}"
        )
    if row["verdict"] not in (BETTER, WORSE, EVEN):
        return f"{names}: {values}{runs}; {row['verdict']}"
    start = (
        f"no clear difference between {names}"
        if row["verdict"] == EVEN
        else f"{network} is {row['verdict']} {row['baseline']}"
    )
    lower = "; lower is better" if metric.lower_is_better else ""
    bounds = f" [{row['ci_low']:+.3f}, {row['ci_high']:+.3f}] over {row['blocks']} blocks"
    return f"{start}: {values}{bounds}{runs}{lower}"


def opponents(lines: Sequence[Line]) -> Iterator[tuple[Line, Line]]:
    """Each network with each published prediction and baseline, each published prediction with each baseline."""
    for ours in lines:
        for theirs in lines:
            if theirs.kind in AGAINST.get(ours.kind, ()):
                yield ours, theirs


class Difference:
    """Difference of two scores of the same tracks, one metric.

    Attributes
    ----------
    both : (tracks,) bool, defined for both. value : (tracks,) float64. resampled : (resamples, tracks) float64.
    """

    def __init__(self, ours: Scores, theirs: Scores, metric: int):
        self.ours, self.theirs, self.metric = ours, theirs, metric
        self.value = ours.value[metric] - theirs.value[metric]
        self.resampled = ours.resampled[metric].astype(np.float64) - theirs.resampled[metric]
        self.both = ~np.isnan(self.value)
        self.blocks = enough_blocks(ours)

    def verdicts(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Low and high (tracks,) of each track's interval, and its verdict."""
        low, high, reasons = intervals(self.resampled, self.blocks)
        lower = describe(self.ours.metrics[self.metric]).lower_is_better
        words = [verdict(*bounds, lower_is_better=lower) for bounds in zip(low, high, reasons)]
        for j in np.flatnonzero(~self.both):
            low[j] = high[j] = np.nan
            words[j] = f"undefined: {self._reason(int(j))}"
        return low, high, words

    def _reason(self, track: int) -> str:
        key = (self.metric, track)
        return self.ours.reasons.get(key) or self.theirs.reasons.get(key) or "no value"


def compare(ours: Line, theirs: Line, target: str, fold: str, seed: str) -> Iterator[dict[str, Any]]:
    """Lines of the comparison table for two models on the folds (or the one fold) that both have."""
    common = {"target": target, "fold": fold, "seed": seed, "network": ours.model, "baseline": theirs.model}
    common |= {"baseline_kind": theirs.kind}
    found = pooled_pair(ours, theirs, target, fold)
    if isinstance(found, str):
        common |= {"group": "", "verdict": found, "sentence": f"{ours.model} and {theirs.model}: {found}"}
        runs = next(iter(ours.folds(target).values()))
        for scores in runs[0].scores(target):
            over = next(parts_of(scores))[0]
            yield from ({**common, "over": over, "metric": metric, "runs": len(ours.runs)} for metric in scores.metrics)
        return
    for mine, other in zip(*found):
        for i, metric in enumerate(mine.metrics):
            difference = Difference(mine, other, i)
            words = np.array(difference.verdicts()[2])
            sign = -1 if describe(metric).lower_is_better else 1
            for over, group, chosen in parts_of(mine):
                line = {**common, "metric": metric, "over": over, "group": group, "runs": mine.runs}
                yield line | _compare_part(difference, chosen & difference.both, words, sign)


def _compare_part(difference: Difference, both: np.ndarray, words: np.ndarray, sign: int) -> dict[str, Any]:
    ours, theirs, i = difference.ours, difference.theirs, difference.metric
    counted = {"blocks": ours.blocks, "tracks": int(both.sum())}
    if not both.any():
        return counted | {"verdict": "undefined for every track", "sentence": "undefined for every track"}
    low, high, reasons = intervals(summary(np.nanmean, difference.resampled[:, both])[:, None], difference.blocks)
    return counted | {
        "network_value": float(ours.value[i][both].mean()),
        "baseline_value": float(theirs.value[i][both].mean()),
        "difference": float(difference.value[both].mean()),
        "ci_low": low[0],
        "ci_high": high[0],
        "tracks_better": int((sign * difference.value[both] > 0).sum()),
        "tracks_clearly_better": int((words[both] == BETTER).sum()),
        "tracks_clearly_worse": int((words[both] == WORSE).sum()),
        "verdict": verdict(low[0], high[0], reasons[0], lower_is_better=sign < 0),
    }


def compare_tracks(ours: Line, theirs: Line, target: str, seed: str) -> Iterator[dict[str, Any]]:
    """Lines of the paired table of tracks for two models, pooled over the folds that both have."""
    found = pooled_pair(ours, theirs, target)
    if isinstance(found, str):
        return
    for mine, other in zip(*found):
        if mine.whole:
            continue
        for i, metric in enumerate(mine.metrics):
            difference = Difference(mine, other, i)
            for j, (low, high, words) in enumerate(zip(*difference.verdicts())):
                yield {
                    "target": target,
                    "metric": metric,
                    "fold": ALL,
                    "seed": seed,
                    "runs": mine.runs,
                    "network": ours.model,
                    "baseline": theirs.model,
                    "baseline_kind": theirs.kind,
                    "track": mine.tracks[j],
                    "group": mine.groups[j],
                    "n": int(mine.n[i, j]),
                    "n_pos": int(mine.positives[j]) if mine.positives[j] >= 0 else None,
                    "network_value": mine.value[i, j],
                    "baseline_value": other.value[i, j],
                    "difference": difference.value[j],
                    "ci_low": low,
                    "ci_high": high,
                    "blocks": mine.blocks,
                    "verdict": words,
                }
