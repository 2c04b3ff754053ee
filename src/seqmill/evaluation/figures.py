"""Which figures a target gets, what each shows, and the list of them that the report reads."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.names import slug
from seqmill.evaluation.curves import MAX_THIN, MAX_TRACKS, draw_curves
from seqmill.evaluation.kinds import KINDS
from seqmill.evaluation.profiles import draw_profiles
from seqmill.evaluation.runs import ALL, ENSEMBLE, KIND_ORDER, Line, Run
from seqmill.evaluation.scatter import draw_scatter, draw_tracks
from seqmill.formats.drawing import save
from seqmill.metrics.catalogue import describe
from seqmill.stores.specs import track_names

MAX_MODELS = 6
MAX_PAIRS = 4
Model = tuple[str, str, list[Run]]


def models_of(lines: Sequence[Line], target: str, score: Callable[[str], float]) -> list[Model]:
    """Name, kind and runs of the models that are drawn, the best of each kind first.

    Of each model its ensembles, or the first seed of each fold. ``score`` is of a model, larger is better.
    """
    averaged = {line.model for line in lines if line.seed == ENSEMBLE and line.folds(target)}
    found = []
    for line in lines:
        if line.seed == ENSEMBLE or line.model not in averaged:
            runs = [runs[0] for runs in line.folds(target).values()]
            if runs:
                found.append((line.model, line.kind, runs))
    return sorted(found, key=lambda model: (KIND_ORDER.index(model[1]), -score(model[0])))[:MAX_MODELS]


def draw_target(
    folder: Path, target: str, lines: Sequence[Line], metrics: pd.DataFrame, pairs: pd.DataFrame
) -> Iterator[dict[str, str]]:
    """Draw all figures of one target into ``folder``.

    Parameters
    ----------
    metrics, pairs : lines of the metric table and of the paired table of tracks for this target.

    Yields
    ------
    For each figure: ``file`` (its name in ``folder``), ``what`` ("curves", "scatter", "profiles", "tracks"),
    ``target``, ``title``, ``caption`` (what is seen and how to read it) and ``alt`` (for those who do not see it).
    """
    pooled = metrics[(metrics["fold"] == ALL) & (metrics["over"] == "track")]
    if pooled.empty:
        return
    kind = pooled["target_kind"].iloc[0]
    first = {"binary": "auroc", "class": "auroc", "count": "log_pearson"}.get(kind, "pearson")
    means = pooled[pooled["metric"] == first].groupby("model")["value"].mean().fillna(-1)
    models = models_of(lines, target, lambda model: float(means.get(model, -1)))
    names = track_names(models[0][2][0].reader.targets[target])
    models = [model for model in models if track_names(model[2][0].reader.targets[target]) == names]
    if not any(run.reader.n for _, _, runs in models for run in runs):
        return
    if kind in ("binary", "class"):
        yield _curves(folder, target, models, names, pooled)
    elif kind in ("quantity", "fraction", "count", "beta_binomial"):
        yield _scatter(folder, target, kind, models, names, pooled)
    elif kind == "profile":
        yield from _profiles(folder, target, models, names, pooled)
    if kind in KINDS and len(names) > 1:
        yield from _tracks(folder, target, pooled, pairs)


def _values(pooled: pd.DataFrame, model: str, metric: str, names: Sequence[str]) -> np.ndarray:
    lines = pooled[(pooled["model"] == model) & (pooled["metric"] == metric)].drop_duplicates("track", keep="last")
    return lines.set_index("track")["value"].reindex(names).to_numpy(float)


def _ranked(pooled: pd.DataFrame, model: str, metric: str, names: Sequence[str]) -> list[int]:
    """Places of the tracks from the highest value to the lowest, undefined ones left out."""
    values = _values(pooled, model, metric, names)
    return [int(i) for i in np.argsort(-values, kind="stable") if not np.isnan(values[i])]


def _spaced(places: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of ``places``, evenly spaced, both ends among them."""
    if len(places) <= most:
        return list(places)
    return [places[i] for i in np.linspace(0, len(places) - 1, most).round().astype(int)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _figure(target: str, what: str, file: str, title: str, caption: str, alt: str) -> dict[str, str]:
    return {"file": file, "what": what, "target": target, "title": title, "caption": caption, "alt": alt}


def _curves(folder: Path, target: str, models: list[Model], names: list[str], pooled: pd.DataFrame) -> dict[str, str]:
    every = _ranked(pooled, models[0][0], "auroc", names) or list(range(len(names)))
    tracks = _spaced(every, MAX_TRACKS)
    share = pooled[(pooled["model"] == models[0][0]) & (pooled["metric"] == "auroc")]["prevalence"].mean()
    file = f"{slug(target)}.curves.svg"
    save(draw_curves(models, target, tracks, float(share)), folder / file)
    some = "" if len(tracks) == len(every) else f" ({len(tracks)} of {len(every)}, evenly spaced by AUROC)"
    thin = (
        f" Thin lines: single tracks of the best network and the best baseline (at most {MAX_THIN})."
        if len(tracks) > 1
        else ""
    )
    several = f"the mean over tracks{some}" if len(tracks) > 1 else "the track"
    caption = (
        f"Left, ROC curves: how many true sites are found for how many false calls; the higher, the better. Right, "
        f"precision against recall: how pure the calls are when so many true sites are found; guessing gives the "
        f"prevalence. Thick lines: {several}, mean over folds.{thin}"
    )
    alt = f"ROC and precision-recall curves of {_listed([name for name, _, _ in models])} on {target}."
    return _figure(target, "curves", file, f"{target}: ROC and precision-recall curves", caption, alt)


def _scatter(
    folder: Path, target: str, kind: str, models: list[Model], names: list[str], pooled: pd.DataFrame
) -> dict[str, str]:
    metric = "log_pearson" if kind == "count" else "pearson"
    shown = [next((m for m in models if m[1] == k), None) for k in ("network", "published", "baseline")]
    drawn = [model for model in shown if model is not None]
    ranked = _ranked(pooled, drawn[0][0], metric, names) or list(range(len(names)))
    tracks = [(place, names[place]) for place in _spaced(ranked, 3)]
    score = {(name, track): _values(pooled, name, metric, [track])[0] for name, _, _ in drawn for _, track in tracks}
    file = f"{slug(target)}.scatter.svg"
    save(draw_scatter(drawn, target, kind, tracks, score), folder / file)
    some = (
        "" if len(tracks) == len(names) else " Shown are the best, the middle and the worst track of the first model."
    )
    caption = (
        "Predicted against measured values of all test rows; on the dashed diagonal both are equal. Where there are "
        f"many rows, darker cells hold more of them (logarithmic). r is Pearson's, mean over folds and seeds.{some}"
    )
    alt = f"Predicted against measured {target} by {_listed([name for name, _, _ in drawn])}."
    return _figure(target, "scatter", file, f"{target}: predicted and measured", caption, alt)


def _profiles(
    folder: Path, target: str, models: list[Model], names: list[str], pooled: pd.DataFrame
) -> Iterator[dict[str, str]]:
    leader = models[0]
    ranked = _ranked(pooled, leader[0], "pearson", names)
    if not ranked:
        return
    track = ranked[len(ranked) // 2]
    run = next(run for run in leader[2] if run.reader.n)
    shown = [(leader[0], leader[1], run)]
    for name, kind, runs in models[1:]:
        same = [other for other in runs if other.rows == run.rows]
        if same and kind != leader[1] and kind not in [seen for _, seen, _ in shown]:
            shown.append((name, kind, same[0]))
    drawn = draw_profiles(shown, target, track, names[track])
    if drawn is None:
        return
    figure, windows = drawn
    file = f"{slug(target)}.profiles.svg"
    save(figure, folder / file)
    which = "the track" if len(names) == 1 else "the track with the median Pearson r"
    caption = (
        f"Three test windows of {names[track]} ({which}), picked from {windows} by Pearson r of {leader[0]} within the "
        "window: near the 90th, the 50th and the 10th percentile. Grey: measured; lines: predicted, in the same units."
    )
    alt = f"Measured and predicted {names[track]} along three test windows, a good, a middling and a poor one."
    yield _figure(target, "profiles", file, f"{target}: example windows", caption, alt)


def _tracks(folder: Path, target: str, pooled: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[dict[str, str]]:
    if pairs.empty:
        return
    metrics = list(pairs["metric"].unique())
    wanted = metrics[:2] if metrics[:2] == ["auroc", "auprc"] else metrics[:1]
    averaged = set(pairs.loc[pairs["seed"] == ENSEMBLE, "network"])
    pairs = pairs[(pairs["seed"] == ENSEMBLE) | ~pairs["network"].isin(averaged)]
    groups = list(pairs.groupby(["network", "baseline", "seed"], sort=False))
    for (network, baseline, seed), lines in groups[:MAX_PAIRS]:
        defined = set(lines.loc[lines["difference"].notna(), "metric"])
        metrics = [metric for metric in wanted if metric in defined]
        if not metrics:
            continue
        alone = pooled[((pooled["model"] == network) & (pooled["seed"] == seed)) | (pooled["model"] == baseline)]
        bounds = {
            (row.model, row.track, row.metric): (row.ci_low, row.ci_high)
            for row in alone[alone["metric"].isin(metrics)].itertuples()
        }
        file = f"{slug(target)}.{slug(network)}-{slug(baseline)}.tracks.svg"
        save(draw_tracks(lines, bounds, metrics), folder / file)
        averaging = " (seeds averaged)" if seed == ENSEMBLE else ""
        side = "above" if describe(metrics[0]).lower_is_better else "below"
        bars = "Bars: 95 % intervals of each alone; colour: whether the paired difference is clear."
        known = any(pd.notna(low) for low, _ in bounds.values())
        caption = (
            f"Each mark is one track: {network}{averaging} against {baseline}. Tracks {side} the dashed diagonal are "
            f"predicted better by {baseline}; the worst tracks are named. "
            f"{bars if known else 'There are too few blocks for intervals.'}"
        )
        alt = f"{describe(metrics[0]).label} of each track of {target}: {network} against {baseline}."
        yield _figure(target, "tracks", file, f"{target}: {network} and {baseline}, track by track", caption, alt)
