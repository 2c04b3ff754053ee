"""What a search chose in one fold: a folder of the best settings, all trials, and what mattered.

``best.json`` (sealed) holds the settings by dotted key, their trial and its value; ``trials.tsv`` a line a trial;
``importance.tsv`` a line a setting; ``trials.svg`` draws them. ``figure`` stands for what draws it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import Marker, read_marker, seal, unseal
from seqmill.stores.layout import check_file, noun_folder, open_noun, upstream, version

BEST, TRIALS, IMPORTANCE, FIGURE = "best.json", "trials.tsv", "importance.tsv", "trials.svg"


def write_tsv(path: Path, table: pd.DataFrame) -> None:
    """A table as text, nine significant digits, the same bytes for the same numbers."""
    table.to_csv(path, sep="\t", index=False, lineterminator="\n", float_format="%.9g")


def write_search(
    folder: str | Path,
    *,
    name: str,
    fold: str,
    trials: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    best: Mapping[str, Any],
    importance: Mapping[str, float],
    dataset: str | Path,
    parameters: dict[str, Any],
    seconds: float,
    draw: Callable[[Path, pd.DataFrame, Sequence[str], Mapping[str, float]], None],
) -> Marker:
    """Write what a search chose in one fold.

    Parameters
    ----------
    folder : ``…/searches/{search}/{fold}``. name : of the search.
    trials : each with number, state, value (None without one), passes, reason and "settings" by dotted key.
    keys : of the settings. best : "settings", "trial", "value". importance : by key; empty if it cannot be told.
    dataset : folder of the dataset. parameters : for the run record. seconds : from start to end of each trial,
        together.
    draw : writes the figure to a path, given the table of trials, the keys and the importance.
    """
    rows = [
        {
            **{column: trial[column] for column in ("number", "state", "value", "passes")},
            **{key: _text(trial["settings"].get(key)) for key in keys},
            "reason": trial["reason"],
        }
        for trial in trials
    ]
    table = pd.DataFrame(rows, columns=["number", "state", "value", "passes", *keys, "reason"])
    inputs = upstream(dataset)
    with noun_folder(folder, noun="search", label=name, inputs=inputs, parameters=parameters) as (part, attrs, record):
        write_tsv(part / TRIALS, table)
        shares = pd.DataFrame({"setting": list(importance), "share": list(importance.values())})
        write_tsv(part / IMPORTANCE, shares)
        atomic_write(part / BEST, seal({**best, "search": name, "fold": fold, "format": version("search")}))
        draw(part / FIGURE, table, keys, importance)
        attrs |= {"fold": fold, "trials": len(rows)}
        record["training_seconds"] = round(seconds, 3)
    return read_marker(folder)


def _text(value: Any) -> Any:
    """A number as it is, anything else as JSON."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return value if plain or value is None else json.dumps(value)


def read_best(folder: str | Path) -> dict[str, Any]:
    """``best.json`` of a search in one fold, checked: "settings", "trial", "value", "seed". Raises DamageError."""
    return unseal(check_file(folder, open_noun(folder, "search"), BEST))
