"""`build_target`: one array group of a named target, with its mask where integers have gaps."""

import shutil
from dataclasses import replace
from pathlib import Path

from seqmill.config.datasets import Dataset
from seqmill.config.sheet import Track
from seqmill.examples.kinds import builder
from seqmill.examples.sources import Array
from seqmill.examples.writing import write
from seqmill.runtime.locks import artefact_lock
from seqmill.stores.dataset import open_rows, read_rows


def mask_folder(target: str | Path) -> Path:
    """Where the mask of ``.../targets/{target}/{group}`` lies: ``.../mask/{target}/{group}``."""
    target = Path(target)
    return target.parents[2] / "mask" / target.parent.name / target.name


def build_target(
    out: str | Path,
    *,
    name: str,
    dataset: Dataset,
    target_name: str,
    group: str,
    tracks: list[Track],
    rows: str | Path,
    track_stores: dict[str, Path],
    genomes: dict[str, Path],
) -> None:
    """Write one group of tracks of a target, and its mask if integer values are missing.

    Parameters
    ----------
    out : folder ``.../{dataset}.zarr/targets/{target}/{group}``. name : name of the dataset.
    tracks : of the group, in the order of the array; none for tables.
    rows : finished folder of `seqmill.examples.rows.build_rows`.
    track_stores : track name -> track store. genomes : assembly -> genome store.

    Raises
    ------
    InputError : tracks, bins or columns do not fit the target.
    """
    table, marker = read_rows(rows), open_rows(rows)
    array = builder(dataset).target_array(
        name=name,
        dataset=dataset,
        target_name=target_name,
        group=group,
        tracks=tracks,
        rows=table,
        rows_attrs=marker.attrs,
        track_stores={key: Path(path) for key, path in track_stores.items()},
        genomes={key: Path(path) for key, path in genomes.items()},
    )
    mask = mask_folder(out)
    if array.mask is not None:
        spec = replace(array.spec, role="mask", dtype="bool")
        present = Array(spec, array.mask, made_from=array.made_from)
        write(mask, name, present, len(table), rows, dataset)
    elif mask.exists():
        with artefact_lock(mask):
            shutil.rmtree(mask)  # of an earlier build, when something was missing
    write(out, name, array, len(table), rows, dataset)
