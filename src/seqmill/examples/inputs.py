"""`build_input`: one named input of a dataset."""

from pathlib import Path

from seqmill.config.datasets import Dataset
from seqmill.examples.kinds import builder, input_names
from seqmill.examples.writing import write
from seqmill.stores.dataset import open_rows, read_rows

__all__ = ["build_input", "input_names"]


def build_input(
    out: str | Path, *, name: str, dataset: Dataset, input_name: str, rows: str | Path, genomes: dict[str, Path]
) -> None:
    """Write one input.

    Parameters
    ----------
    out : folder ``.../{dataset}.zarr/inputs/{input_name}``. name : name of the dataset.
    rows : finished folder of `seqmill.examples.rows.build_rows`. genomes : assembly -> genome store.
    """
    genomes = {key: Path(path) for key, path in genomes.items()}
    table, marker = read_rows(rows), open_rows(rows)
    array = builder(dataset).input_array(
        name=name, dataset=dataset, input_name=input_name, rows=table, rows_attrs=marker.attrs, genomes=genomes
    )
    write(out, name, array, len(table), rows, dataset)
