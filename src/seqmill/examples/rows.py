"""`build_rows`: which windows, in which pool and fold; what was dropped and why."""

import time
from pathlib import Path

from seqmill.config.datasets import Dataset
from seqmill.examples.kinds import builder
from seqmill.examples.sources import Sources, file_digests
from seqmill.stores.dataset import write_rows
from seqmill.stores.layout import upstream


def build_rows(
    out: str | Path,
    *,
    name: str,
    dataset: Dataset,
    genomes: dict[str, Path],
    blacklists: dict[str, Path] | None = None,
    tracks: dict[str, Path] | None = None,
    assemblies: dict[str, str] | None = None,
    roles: dict[str, list[str]] | None = None,
    grid_bp: int = 1,
) -> None:
    """Write the rows of a dataset: ``rows.parquet``, ``dropped.tsv`` and their marker.

    Parameters
    ----------
    out : folder ``.../{dataset}.zarr/rows``.
    name : name of the dataset.
    genomes : assembly -> genome store. blacklists : assembly -> BED file.
    tracks : name -> track store of the peak tracks that choose windows. assemblies : name -> assembly of each.
    roles : "windows", "avoid", "targets/{target}" -> names of the tracks that centre windows, that negatives avoid,
        and that label windows; a role that is not given has all tracks.
    grid_bp : least common multiple of the bins of the signal tracks; windows are moved onto them.

    Raises
    ------
    InputError : nothing is left, or a setting does not fit the genome or the tracks.
    """
    sources = Sources(
        {key: Path(path) for key, path in genomes.items()},
        {key: Path(path) for key, path in (blacklists or {}).items()},
        {key: Path(path) for key, path in (tracks or {}).items()},
        dict(assemblies or {}),
        dict(roles or {}),
        grid_bp,
    )
    since = time.monotonic()
    rows = builder(dataset).choose_rows(name=name, dataset=dataset, sources=sources)
    write_rows(
        out,
        name=name,
        rows=rows.table,
        dropped=rows.tally.frame(),
        runs=rows.runs,
        window_bp=rows.window_bp,
        margin_bp=rows.margin_bp,
        reverse_complement=rows.reverse_complement,
        bootstrap_unit=rows.bootstrap_unit,
        inputs=upstream(*rows.made_from),
        parameters={"dataset": dataset.model_dump(mode="json")},
        attrs={"files": file_digests(dataset), **rows.attrs},
        since=since,
    )
