"""Row tables as Parquet with the same bytes for the same rows."""

from pathlib import Path

import pandas as pd


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write ``table`` without index and without anything that tells when or by which pandas it was written."""
    import pyarrow
    import pyarrow.parquet

    data = pyarrow.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    strings = [
        field.with_type(pyarrow.string()) if pyarrow.types.is_large_string(field.type) else field
        for field in data.schema
    ]
    pyarrow.parquet.write_table(data.cast(pyarrow.schema(strings)), path, compression="zstd", row_group_size=1 << 17)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of `write_table`."""
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path, partitioning=None).to_pandas()
