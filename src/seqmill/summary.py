"""What the last run found: counts of nouns, each network beside each baseline, and where the report is."""

from pathlib import Path
from typing import Any

from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import MARKER

NOUNS = ("genome", "tracks", "datasets", "models", "predictions")
_PAIR = ["target", "network", "baseline", "fold", "seed"]
_SHOWN = [*_PAIR, "runs", "metric", "network_value", "baseline_value", "difference", "ci_low", "ci_high", "tracks"]
_SHOWN += ["verdict", "sentence"]


def summarise(results: Path) -> dict[str, Any]:
    """Read what the nouns below ``results`` say.

    Returns
    -------
    ``nouns``: number of finished ones by kind; ``comparisons``: for each dataset, target, network and baseline the
    first metric (mean over tracks and runs), None where undefined; ``report``: path of the page, None without one.

    Raises InputError if ``results`` is no folder.
    """
    import pandas as pd

    if not results.is_dir():
        raise InputError(results, "is not a folder of results" if results.exists() else "does not exist")
    nouns, comparisons = {}, []
    for noun in NOUNS:
        depth = "*/*" if noun in ("models", "predictions") else "*"
        found = len(list((results / noun).glob(f"{depth}/{MARKER}")))
        if found:
            nouns[noun] = found
    for path in sorted((results / "evaluation").glob(f"*/{MARKER}")):
        table = pd.read_csv(path.parent / "comparison.tsv", sep="\t", dtype={"fold": str, "seed": str})
        table = table[table["fold"] == "all"].drop_duplicates(_PAIR)[_SHOWN].astype(object)
        for row in table.where(table.notna(), None).to_dict("records"):
            comparisons.append({"dataset": path.parent.name, **row})
    report = results / "report/index.html"
    return {
        "nouns": nouns,
        "comparisons": comparisons,
        "report": str(report.absolute()) if report.is_file() else None,
    }


def summary_lines(found: dict[str, Any], results: Path) -> list[str]:
    """The summary for people, from what `summarise` found below ``results``; the last line is where the report is."""
    lines = [f"{noun:<12} {count}" for noun, count in found["nouns"].items()]
    lines += [f"{row['dataset']}: {row['target']}: {row['sentence']}" for row in found["comparisons"]]
    lines.append(f"report: {found['report'] or f'not written yet ({results}/report/index.html)'}")
    return lines
