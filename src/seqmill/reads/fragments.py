"""What is left of a library after all filters: its fragments (paired reads) or reads, as a table by contig.

Signal, peaks and quality read this table, never the alignments; only spliced coverage of RNA needs those. A Parquet
file with one row group a contig: int32 ``start``, int32 ``end`` (0-based, half-open) and int8 ``strand`` (1, -1, or 0
where it is not known; that of read 1), sorted by start, end, strand.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqmill.runtime.errors import DamageError

_META = b"seqmill"


class Fragments(NamedTuple):
    """Fragments of one contig: int32 start, end (n,), 0-based half-open, and int8 strand (n,), sorted."""

    start: np.ndarray
    end: np.ndarray
    strand: np.ndarray

    @staticmethod
    def of(start: np.ndarray, end: np.ndarray, strand: np.ndarray) -> "Fragments":
        """Sorted by start, end, strand."""
        order = np.lexsort((strand, end, start))
        return Fragments(start[order].astype(np.int32), end[order].astype(np.int32), strand[order].astype(np.int8))


def write_fragments(path: str | Path, sizes: Mapping[str, int], paired: bool, pieces: Mapping[str, Fragments]) -> None:
    """Write the table.

    Parameters
    ----------
    sizes : contig -> length in bp, of the genome, in its order. paired : rows are whole fragments, else single reads.
    pieces : contig -> its fragments; contigs that are not there have none. Looked up once each, in order.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {"sizes": dict(sizes), "paired": paired}
    schema = pa.schema([("start", pa.int32()), ("end", pa.int32()), ("strand", pa.int8())], {_META: json.dumps(about)})
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["strand"]) as writer:
        for contig in sizes:
            found = pieces.get(contig) or Fragments(*(np.zeros(0, kind) for kind in ("i4", "i4", "i1")))
            table = pa.table([pa.array(column) for column in found], schema=schema)
            writer.write_table(table, row_group_size=max(1, len(found.start)))


class FragmentTable:
    """A table of fragments, opened.

    Attributes
    ----------
    sizes : contig -> bp. paired : whole fragments, else single reads. total : number of rows.
    """

    def __init__(self, path: str | Path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(path)
            about = json.loads(self._file.schema_arrow.metadata[_META])
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise DamageError(f"{path}: is no table of fragments ({error})") from None
        self.path = Path(path)
        self.sizes: dict[str, int] = about["sizes"]
        self.paired: bool = about["paired"]
        self.total: int = self._file.metadata.num_rows
        self._group = {contig: number for number, contig in enumerate(self.sizes)}

    def contig(self, name: str) -> Fragments:
        """All fragments of a contig."""
        table = self._file.read_row_group(self._group[name])
        return Fragments(*(table.column(column).to_numpy() for column in ("start", "end", "strand")))

    def __iter__(self) -> Iterator[tuple[str, Fragments]]:
        """Contig and its fragments, in the genome's order."""
        for contig in self.sizes:
            yield contig, self.contig(contig)


def pooled(tables: list[FragmentTable], contig: str) -> Fragments:
    """Fragments of one contig of several tables together, sorted."""
    parts = [table.contig(contig) for table in tables]
    return Fragments.of(*(np.concatenate([part[column] for part in parts]) for column in range(3)))
