"""A track sheet from a study of SRA, ENA or GEO: one row an experiment."""

import re
from collections.abc import Iterable

from seqmill.sources.ena import Run
from seqmill.sources.encode_search import COLUMNS


def sheet_rows(runs: Iterable[Run], genome: str = "") -> list[dict[str, str]]:
    """Rows of a track sheet, columns as `seqmill.sources.encode_search.COLUMNS`, sorted by experiment.

    ``assay`` is the archives' library_strategy, which has no word for many assays: correct it where it says too little.

    Parameters
    ----------
    genome : name of the genome of the configuration.
    """
    by_experiment: dict[str, list[Run]] = {}
    for run in runs:
        by_experiment.setdefault(run.experiment or run.run, []).append(run)
    rows = []
    for experiment, members in sorted(by_experiment.items()):
        first = members[0]
        told = [first.organism, f"{len(members)} run{'s' if len(members) > 1 else ''}", first.layout.lower()]
        row = {
            "track": _name(first.title, experiment),
            "location": experiment,
            "format": "fastq",
            "assembly": genome,
            "assay": first.strategy,
            "biosample": first.title,
            "description": ", ".join(word for word in told if word),
        }
        rows.append({column: row.get(column, "") for column in COLUMNS})
    return rows


def _name(title: str, experiment: str) -> str:
    text = re.sub(r"[^A-Za-z0-9.+()]+", "-", title).strip("-.+()")[:80]
    return f"{text}_{experiment}" if text else experiment
