"""What the last run found: counts of nouns, each network beside each baseline, and where the report is."""

from pathlib import Path
from typing import Any

from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import MARKER, read_marker

# Where the finished nouns of a kind lie below the results.
NOUNS = {
    "genome": "genome/*",
    "tracks": "tracks/*",
    "datasets": "datasets/*",
    "models": "models/*/*",
    "predictions": "predictions/*/*",
    "searches": "searches/*/*",
    "curves": "curves/*",
    "maps": "maps/*.zarr",
    "motifs": "motifs/*",
    "variants": "variants/*",
    "measured": "measured/*",
}
_PAIR = ["target", "network", "baseline", "fold", "seed"]
_SHOWN = [*_PAIR, "runs", "metric", "network_value", "baseline_value", "difference", "ci_low", "ci_high", "tracks"]
_SHOWN += ["verdict", "sentence"]


def summarise(results: Path) -> dict[str, Any]:
    """Read what the nouns below ``results`` say.

    Returns
    -------
    ``nouns``: number of finished ones by kind. ``variants``: for each set how many were scored, and left out for which
    reason. ``truth``: how well maps find planted motifs, rows of ``report/truth.tsv``. ``comparisons``: for each
    dataset, target, network and baseline the first metric (mean over tracks and runs), None where undefined.
    ``report``: path of the page, None without one.

    Raises InputError if ``results`` is no folder.
    """
    import pandas as pd

    if not results.is_dir():
        raise InputError(results, "is not a folder of results" if results.exists() else "does not exist")
    nouns: dict[str, int] = {}
    comparisons: list[dict[str, Any]] = []
    for noun, places in NOUNS.items():
        if found := len(list(results.glob(f"{places}/{MARKER}"))):
            nouns[noun] = found
    sets = [read_marker(path.parent).attrs for path in sorted(results.glob(f"variants/*/{MARKER}"))]
    truth = results / "report/truth.tsv"
    for path in sorted((results / "evaluation").glob(f"*/{MARKER}")):
        table = pd.read_csv(path.parent / "comparison.tsv", sep="\t", dtype={"fold": str, "seed": str})
        table = table[table["fold"] == "all"].drop_duplicates(_PAIR)[_SHOWN]
        comparisons += [{"dataset": path.parent.name, **row} for row in _rows(table)]
    report = results / "report/index.html"
    return {
        "nouns": nouns,
        "variants": [{key: attrs[key] for key in ("set", "records", "scored", "dropped")} for attrs in sets],
        "truth": _rows(pd.read_csv(truth, sep="\t")) if truth.is_file() else [],
        "comparisons": comparisons,
        "report": str(report.absolute()) if report.is_file() else None,
    }


def _rows(table: Any) -> list[dict[str, Any]]:
    """Rows of a table; None where there is no value."""
    table = table.astype(object)
    return table.where(table.notna(), None).to_dict("records")


def summary_lines(found: dict[str, Any], results: Path) -> list[str]:
    """The summary for people, from what `summarise` found below ``results``; the last line is where the report is."""
    lines = [f"{noun:<12} {count}" for noun, count in found["nouns"].items()]
    lines += [f"{row['dataset']}: {row['target']}: {row['sentence']}" for row in found["comparisons"]]
    for row in found["truth"]:
        if row["motif"] == "all motifs" and row["auroc"] is not None:
            bases = f"AUROC {row['auroc']:.3f} of planted motif bases against {row['against']}"
            lines.append(f"map {row['map']}: {row['target']}: {bases}")
    for row in found["variants"]:
        left_out = "".join(f", {count:,} left out ({reason})" for reason, count in row["dropped"].items())
        lines.append(f"variants {row['set']}: {row['scored']:,} scored{left_out}")
    lines.append(f"report: {found['report'] or f'not written yet ({results}/report/index.html)'}")
    return lines
