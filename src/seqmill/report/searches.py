"""What the report says of searches for settings, and of curves over the size of the training data."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqmill.config.names import slug
from seqmill.evaluation.learning_curves import POINTS, SUMMARY
from seqmill.evaluation.searches import FIGURE as SCORES_FIGURE
from seqmill.evaluation.searches import SCORES
from seqmill.metrics.catalogue import describe
from seqmill.report.figures import svg_uri
from seqmill.report.words import number
from seqmill.runtime.marker import RECORD, unseal
from seqmill.stores.layout import check_file, open_noun
from seqmill.stores.search import FIGURE, IMPORTANCE, TRIALS, read_best

MAX_DRAWN = 5
"""Folds of a search whose figure is in the page."""
STATES = {"complete": "whole", "pruned": "stopped early", "fail": "failed"}
SAMPLERS = {"tpe": "a tree-structured Parzen estimator", "random": "chance alone"}
INNER = {"valid": "the run’s own validation part", "folds": "each training fold of the run, left out once"}
MEASURES = ("loss", "score")
Item = dict[str, Any]


def gather_searches(searches: Sequence[Path], scores: Sequence[Path]) -> list[Item]:
    """The section on searches.

    Parameters
    ----------
    searches : folders of what each search chose in each of its folds. scores : those of their nested scores.

    Returns
    -------
    For each search its "settings" (a line each, with what was chosen in each fold), "folds" with their trials, and
    "scores": nested beside optimistic, a line a fold and one of their mean.
    """
    found: dict[str, list[Item]] = {}
    for folder in searches:
        fold = _fold(Path(folder))
        found.setdefault(fold["search"], []).append(fold)
    judged = {score["name"]: score for score in (_scores(Path(folder)) for folder in scores)}
    return [_search(name, folds, judged.get(name)) for name, folds in found.items()]


def _table(folder: Path, noun: str, file: str, text: Sequence[str] = ()) -> pd.DataFrame:
    """A table of a noun; the columns ``text`` stay as they are written."""
    kinds = dict.fromkeys(text, str)
    return pd.read_csv(check_file(folder, open_noun(folder, noun), file), sep="\t", dtype=kinds, na_filter=True)


def _fold(folder: Path) -> Item:
    """What a search chose in one fold."""
    marker, best = open_noun(folder, "search"), read_best(folder)
    keys = list(best["settings"])
    table = _table(folder, "search", TRIALS, [*keys, "state", "reason"])
    keys = [column for column in table.columns if column in keys]
    table = table.sort_values(["value", "number"], na_position="last", kind="stable")
    states = table["state"].value_counts()
    shares = _table(folder, "search", IMPORTANCE, ["setting"]).set_index("setting")["share"].to_dict()
    section = unseal(folder / RECORD).get("parameters", {}).get("search", {}) if (folder / RECORD).exists() else {}
    return {
        "search": str(marker.attrs["name"]),
        "fold": str(marker.attrs["fold"]),
        "section": section,
        "keys": keys,
        "chosen": best["settings"],
        "shares": shares,
        "best": best["trial"],
        "value": best["value"],
        "inner": best["inner"],
        "counts": [{"what": words, "n": int(states.get(state, 0))} for state, words in STATES.items()],
        "lines": [
            {
                "number": int(line["number"]),
                "state": STATES.get(line["state"], line["state"]),
                "value": float(line["value"]),
                "passes": int(line["passes"]),
                "settings": ["–" if pd.isna(line[key]) else _short(line[key]) for key in keys],
                "reason": "" if pd.isna(line["reason"]) else str(line["reason"]),
            }
            for line in table.to_dict("records")
        ],
        "figure": svg_uri(check_file(folder, marker, FIGURE).read_bytes()),
    }


def _short(value: Any) -> str:
    """A setting for a table: four digits of a fraction, JSON for what is no number."""
    value = json.loads(value) if isinstance(value, str) else value
    if not isinstance(value, float):
        return json.dumps(value)
    text = f"{value:.4g}"
    return number(value, 4) if "e" in text else text


def _range(choice: Mapping[str, Any] | None) -> str:
    """What a setting may be, in words."""
    if not choice:
        return "–"
    if choice.get("choices") is not None:
        return " or ".join(_short(value) for value in map(json.dumps, choice["choices"]))
    step = f", in steps of {_short(choice['step'])}" if choice.get("step") else ""
    return f"{_short(choice['low'])} to {_short(choice['high'])}{', logarithmic' if choice.get('log') else ''}{step}"


def _search(name: str, folds: list[Item], scores: Item | None) -> Item:
    first = folds[0]
    section, space = first["section"], first["section"].get("space", {})
    settings = []
    for key in first["keys"]:
        shares = [fold["shares"][key] for fold in folds if key in fold["shares"]]
        settings.append(
            {
                "key": key,
                "range": _range(space.get(key)),
                "share": sum(shares) / len(shares) if shares else None,
                "chosen": [_short(json.dumps(fold["chosen"].get(key))) for fold in folds],
            }
        )
    settings.sort(key=lambda line: -(line["share"] or 0.0))
    for place, fold in enumerate(folds):
        fold["figure"] = fold["figure"] if place < MAX_DRAWN else ""
    return {
        "name": name,
        "model": str(section.get("model", "")),
        "trials": len(first["lines"]),
        "sampler": SAMPLERS.get(section.get("sampler", ""), ""),
        "inner": INNER[first["inner"]],
        "settings": settings,
        "told": any(line["share"] is not None for line in settings),
        "folds": [{key: value for key, value in fold.items() if key != "section"} for fold in folds],
        "scores": scores,
    }


def _scores(folder: Path) -> Item:
    """Nested scores of one search beside the optimistic ones."""
    marker, table = open_noun(folder, "search-scores"), _table(folder, "search-scores", SCORES, ["fold", "settings"])
    columns = [f"{how}_{what}" for how in ("optimistic", "nested") for what in MEASURES]
    lines = [
        {"fold": f"fold {line['fold']}", **{key: line[key] for key in columns}} for line in table.to_dict("records")
    ]
    mean = {key: float(table[key].mean()) for key in columns}
    if len(lines) > 1:
        lines.append({"fold": "mean over folds", **mean})
    known = bool(table[["optimistic_score", "nested_score"]].notna().all(axis=None))
    what = "score" if known else "loss"
    return {
        "name": str(marker.attrs["name"]),
        "lines": lines,
        "known": known,
        "sentence": f"a nested {what} of {number(mean[f'nested_{what}'])} on test parts that no trial has read, beside "
        f"the optimistic {number(mean[f'optimistic_{what}'])} of the best trials",
        "figure": svg_uri(check_file(folder, marker, SCORES_FIGURE).read_bytes()),
    }


def gather_curves(curves: Sequence[Path]) -> list[Item]:
    """The section on curves over the size of the training data: for each target its figure, and for each metric the
    sizes with the mean over runs, and every run."""
    found = []
    for folder in map(Path, curves):
        marker = open_noun(folder, "curve")
        points = _table(folder, "curve", POINTS, ["fold", "seed"])
        summary = _table(folder, "curve", SUMMARY)
        targets = []
        for target in marker.attrs["targets"]:
            file = f"figures/{slug(target)}.svg"
            drawn = svg_uri(check_file(folder, marker, file).read_bytes()) if file in marker.files else ""
            mine = points["target"] == target, summary["target"] == target
            targets.append({"name": target, "figure": drawn, "metrics": _metrics(points[mine[0]], summary[mine[1]])})
        found.append(
            {
                "name": str(marker.attrs["name"]),
                "sizes": len(marker.attrs["fractions"]),
                "folds": int(points["fold"].nunique()),
                "seeds": int(points["seed"].nunique()),
                "targets": targets,
            }
        )
    return found


def _metrics(points: pd.DataFrame, summary: pd.DataFrame) -> list[Item]:
    found = []
    for (over, metric), lines in summary.groupby(["over", "metric"], sort=False):
        about, each = describe(metric), points[(points["over"] == over) & (points["metric"] == metric)]
        runs = [
            {"run": f"fold {fold}, seed {seed}", "values": [float(v) for v in run.sort_values("fraction")["value"]]}
            for (fold, seed), run in each.groupby(["fold", "seed"], sort=False)
        ]
        keys = ("rows", "runs", "mean", "min", "max", "std")
        sizes = [
            {**{key: line[key] for key in keys}, "share": f"{100 * line['fraction']:g} %"}
            for line in lines.to_dict("records")
        ]
        item = {"label": about.label, "over": over, "reading": about.reading, "sizes": sizes, "runs": runs}
        found.append(item | {"sentence": _growth(about.label, sizes)})
    return found


def _growth(label: str, sizes: Sequence[Mapping[str, Any]]) -> str:
    """What the last step in size brought, beside how much runs of one size differ; empty where that is not known."""
    if len(sizes) < 2:
        return ""
    before, last = sizes[-2], sizes[-1]
    change = last["mean"] - before["mean"]
    if change != change:
        return ""
    rows = f"From {number(before['rows'])} to {number(last['rows'])} training rows"
    shares = f"({before['share']} to {last['share']} of all)"
    text = f"{rows} {shares} the mean {label} goes from {number(before['mean'])} to {number(last['mean'])}"
    return text + (f"; runs of the larger size differ by {number(last['std'])}." if last["std"] == last["std"] else ".")
