"""`build_input`: one named input of a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from seqmill.config.datasets import Dataset
from seqmill.config.sheet import Track
from seqmill.examples.kinds import CONTROL, builder, input_names
from seqmill.examples.writing import write
from seqmill.stores.dataset import open_rows, read_rows

__all__ = ["build_input", "input_names"]


def build_input(
    out: str | Path,
    *,
    name: str,
    dataset: Dataset,
    input_name: str,
    rows: str | Path,
    genomes: dict[str, Path],
    tracks: Sequence[Track] = (),
    track_stores: Mapping[str, str | Path] | None = None,
) -> None:
    """Write one input.

    Parameters
    ----------
    out : folder ``.../{dataset}.zarr/inputs/{input_name}``. name : name of the dataset.
    rows : finished folder of `seqmill.examples.rows.build_rows`. genomes : assembly -> genome store.
    tracks : of the control, in the order of the array; track_stores : track name -> track store. None for others.
    """
    genomes = {key: Path(path) for key, path in genomes.items()}
    table, marker = read_rows(rows), open_rows(rows)
    module = builder(dataset)
    if input_name == CONTROL:
        stores = {key: Path(path) for key, path in (track_stores or {}).items()}
        array = module.control_array(name=name, dataset=dataset, tracks=list(tracks), rows=table, track_stores=stores)
    else:
        array = module.input_array(
            name=name, dataset=dataset, input_name=input_name, rows=table, rows_attrs=marker.attrs, genomes=genomes
        )
    write(out, name, array, len(table), rows, dataset)
