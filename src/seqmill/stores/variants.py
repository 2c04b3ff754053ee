"""Scores of a set of variants: one row for each ALT allele of the file, in its order.

::

    variants/{set}/   marker.json run.json
       scores.parquet     contig, position_1based, id, ref, alt, status ("ok", or why it is not scored), runs (how many
                          runs of the network scored it), then float32 "{target}|{track}|{effect}", null if not scored
       scores.tsv.gz      the same as text
       scores.vcf.gz      the scored alleles, sorted, with index: INFO fields SM_{target}_{effect}, a value a track
       dropped.tsv        reason, count, first record and what it says
       background.parquet   where there is one: its alleles with maf, tss_bp, gc and their effects
       haplotypes.parquet, haplotypes_dropped.tsv   where asked for: variants of one window together
"""

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.formats.variants import OK
from seqmill.formats.vcf_out import BACKGROUND_N, Field, VcfWriter
from seqmill.runtime.errors import InputError
from seqmill.stores.layout import check_file, open_noun

SCORES, TEXT, VCF, DROPPED = "scores.parquet", "scores.tsv.gz", "scores.vcf.gz", "dropped.tsv"
GROUP_BYTES = 32_000_000
BACKGROUND = "background.parquet"
HAPLOTYPES, HAPLOTYPES_DROPPED = "haplotypes.parquet", "haplotypes_dropped.tsv"
_PLACE_COLUMNS = ("contig", "position_1based", "id", "ref", "alt", "status", "runs")
# Columns that stand between place and effects where variants are compared with a background.
MATCHED_COLUMNS = ("stratum", "background_n")
AXIS_COLUMNS = ("maf", "tss_bp", "gc")


def score_column(target: str, track: str, effect: str) -> str:
    """Name of a column of effects."""
    return f"{target}|{track}|{effect}"


def schema(columns: Sequence[str], more: Sequence[str] = ()) -> Any:
    """Arrow schema of the scores, ``columns`` are those of effects, ``more`` stand before them."""
    import pyarrow as pa

    kinds = dict.fromkeys(_PLACE_COLUMNS, pa.string()) | {"position_1based": pa.int64(), "runs": pa.int32()}
    further = {"stratum": pa.string(), "background_n": pa.int32()} | dict.fromkeys(AXIS_COLUMNS, pa.float64())
    kinds |= {name: further[name] for name in more}
    return pa.schema([*kinds.items(), *((column, pa.float32()) for column in columns)])


def table(place: Mapping[str, Sequence[Any]], values: np.ndarray, columns: Sequence[str]) -> Any:
    """Arrow table of a block of alleles.

    Parameters
    ----------
    place : the first columns, and others that stand before effects. values : float32 (n, effects), NaN if not scored.
    """
    import pyarrow as pa

    more = [name for name in place if name not in _PLACE_COLUMNS]
    kinds = schema(columns, more)
    arrays = [pa.array(place[name], kinds.field(name).type, from_pandas=True) for name in (*_PLACE_COLUMNS, *more)]
    arrays += [pa.array(np.ascontiguousarray(column), from_pandas=True) for column in np.asarray(values, np.float32).T]
    return pa.Table.from_arrays(arrays, schema=kinds)


def write_tables(
    folder: Path,
    blocks: Iterable[Any],
    *,
    columns: Sequence[str],
    genome: str,
    sizes: Mapping[str, int],
    fields: Sequence[Field],
    more: Sequence[str] = (),
) -> None:
    """Write the three forms of the scores from blocks of rows, one block in memory at a time.

    Parameters
    ----------
    blocks : Arrow tables of `schema`. columns : of effects, in the order of the values of ``fields``.
    genome, sizes : of the contigs, for the header of the VCF. more : columns that stand before those of effects.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv
    import pyarrow.parquet

    kinds = schema(columns, more)
    compared = [BACKGROUND_N] if "background_n" in more else []
    vcf = VcfWriter(folder / VCF, genome, sizes, fields, compared)
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with (
        open(folder / TEXT, "wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as text,
        pyarrow.parquet.ParquetWriter(folder / SCORES, kinds, compression="zstd") as parquet,
    ):
        names = ["".join(c if c.isprintable() else " " for c in name) for name in kinds.names]
        text.write(("\t".join(names) + "\n").encode())
        waiting: list[Any] = []
        for block in blocks:
            waiting.append(block)
            if sum(part.nbytes for part in waiting) >= GROUP_BYTES:
                parquet.write_table(pa.concat_tables(waiting))
                waiting = []
            plain = [
                pc.replace_substring_regex(column, '[\t\r\n"]', "_") if pa.types.is_string(column.type) else column
                for column in block.columns
            ]
            pyarrow.csv.write_csv(pa.Table.from_arrays(plain, schema=kinds), text, options)
            scored = block.filter(pc.equal(block["status"], OK))
            values = [scored[name].to_numpy() for name in columns]
            contig, place, label, ref, alt = (scored[name].to_pylist() for name in _PLACE_COLUMNS[:5])
            whole = [scored[name].to_numpy() for name in ("runs", "background_n")[: 1 + len(compared)]]
            if len(scored):
                vcf.append(contig, place, label, ref, alt, np.stack(whole, axis=1), np.stack(values, axis=1))
        if waiting:
            parquet.write_table(pa.concat_tables(waiting))
    vcf.finish()


def write_background(folder: Path, blocks: Iterable[Any]) -> None:
    """Write the scored alleles of a background, one block in memory at a time."""
    import pyarrow.parquet

    writer = None
    for block in blocks:
        writer = writer or pyarrow.parquet.ParquetWriter(folder / BACKGROUND, block.schema, compression="zstd")
        writer.write_table(block)
    if writer is not None:
        writer.close()


def haplotype_schema(columns: Sequence[str]) -> Any:
    """Arrow schema of haplotypes, ``columns`` are those of effects."""
    import pyarrow as pa

    kinds = {"contig": pa.string(), "start_1based": pa.int64(), "end_1based": pa.int64(), "variants": pa.string()}
    kinds |= {"n_variants": pa.int32(), "carriers": pa.int32(), "first_carrier": pa.string(), "runs": pa.int32()}
    return pa.schema([*kinds.items(), *((column, pa.float32()) for column in columns)])


def haplotype_table(place: Mapping[str, Sequence[Any]], values: np.ndarray, columns: Sequence[str]) -> Any:
    """Arrow table of some haplotypes; ``values`` is float (n, effects), NaN where there is none."""
    import pyarrow as pa

    kinds = haplotype_schema(columns)
    arrays = [pa.array(place[name], kinds.field(name).type) for name in place]
    arrays += [pa.array(np.ascontiguousarray(column), from_pandas=True) for column in np.asarray(values, np.float32).T]
    return pa.Table.from_arrays(arrays, schema=kinds)


def write_haplotypes(folder: Path, blocks: Iterable[Any], columns: Sequence[str]) -> None:
    """Write the scores of haplotypes, one block in memory at a time; a table without rows if there are none."""
    import pyarrow.parquet

    kinds = haplotype_schema(columns)
    with pyarrow.parquet.ParquetWriter(folder / HAPLOTYPES, kinds, compression="zstd") as writer:
        for block in blocks:
            writer.write_table(block)


class VariantsReader:
    """Scores of a set of variants, opened for reading.

    Attributes
    ----------
    attrs : of the marker: set, model, genome, file, file_sha256, effects, n (alleles), scored, ref_match (share of REF
        alleles that agree with the genome), dropped (reason -> alleles), targets (name -> `TargetSpec` as JSON),
        columns (of effects), models (run -> alleles that it scored), both_strands, shifts_bp; where asked for also
        statistics, place_columns, background and haplotypes.
    n : alleles. columns : names of the columns of effects. digest : of the marker.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.marker = open_noun(self.folder, "variants")
        self.digest, self.attrs = self.marker.digest, self.marker.attrs
        self.n: int = self.attrs["n"]
        self.columns: list[str] = self.attrs["columns"]
        self.place_columns: list[str] = [*_PLACE_COLUMNS, *self.attrs.get("place_columns", ())]
        self._checked: Path | None = None

    def table(self, columns: Sequence[str] | None = None, rows: int = 1 << 16) -> Iterator[pd.DataFrame]:
        """Rows in the order of the file, at most ``rows`` at a time; NaN where an allele is not scored.

        Raises
        ------
        DamageError : the table is not as it was written. KeyError : a column that it does not have.
        """
        import pyarrow.parquet

        known = [*self.place_columns, *self.columns]
        for column in columns or ():
            if column not in known:
                raise KeyError(f"{self.folder} has no column {column}; it has {', '.join(known[:20])}")
        if self._checked is None:
            self._checked = check_file(self.folder, self.marker, SCORES)
        with pyarrow.parquet.ParquetFile(self._checked) as file:
            for batch in file.iter_batches(batch_size=rows, columns=list(columns) if columns else known):
                yield batch.to_pandas()

    def dropped(self) -> pd.DataFrame:
        """What was not scored: reason, count, first (record) and example."""
        return self._reasons(DROPPED)

    def haplotypes_dropped(self) -> pd.DataFrame:
        """What was not made a haplotype, as `dropped`."""
        return self._reasons(HAPLOTYPES_DROPPED)

    def haplotypes(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Scores of the haplotypes, all columns or some. DamageError if there are none or they are not as written."""
        return pd.read_parquet(check_file(self.folder, self.marker, HAPLOTYPES), columns=columns)

    def _reasons(self, name: str) -> pd.DataFrame:
        path = check_file(self.folder, self.marker, name)
        return pd.read_csv(path, sep="\t", keep_default_na=False, dtype={"first": str})

    def top(self, target: str, track: str, effect: str, n: int) -> pd.DataFrame:
        """The ``n`` alleles with the largest effects, whatever their sign; the first columns and ``value``."""
        column = score_column(target, track, effect)
        if column not in self.columns:
            raise InputError(self.folder, f"has no {effect} of track {track!r} of target {target!r}")
        best = pd.DataFrame()
        for rows in self.table([*_PLACE_COLUMNS, column]):
            found = rows.rename(columns={column: "value"}).dropna(subset=["value"])
            joined = pd.concat([best, found], ignore_index=True) if len(best) else found
            order = np.argsort(-joined["value"].abs().to_numpy(), kind="stable")[:n]
            best = joined.iloc[order].reset_index(drop=True)
        return best
