"""Which regions a mutagenesis map covers: records of a BED file, or rows that the runs were tested on.

Sequences of tables lie on no genome: genome and contig are empty, start and window_start are -1.

Tables of regions have the columns name, genome, contig, start and end (0-based, half-open), strand (1, -1 or 0),
window_start (first base that the network is shown, without margin) and record (line of the file, 0 if none).
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.formats.bedtext import read_bed
from seqmill.formats.placing import Placer
from seqmill.formats.text import line_blocks
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import N_CODE, GenomeReader
from seqmill.stores.parts import folds_of
from seqmill.training.seen import rows_of

NAME_LETTERS = 100
_COLUMNS = ["name", "genome", "contig", "start", "end", "strand", "record", "window_start"]
_LOG = logging.getLogger("seqmill")


def read_regions(path: str | Path, genome: GenomeReader, window_bp: int | None) -> pd.DataFrame:
    """Regions of a BED file, in its order; the window of each is centred on it.

    Records of length zero and on contigs that the genome lacks are left out with a warning; with a genome that is a
    piece of an assembly so are those beyond the end of a contig.

    Parameters
    ----------
    path : BED3 to BED12, plain or gzip: name in column 4, strand in column 6.
    window_bp : bases that the network sees, the longest region; None for regions of any length that are cut into tiles
        (`seqmill.effects.maps.tiles`), whose windows are not known yet.

    Raises
    ------
    InputError
        The file cannot be read (with the line), no region is left, one is longer than the window, ends past its contig
        or holds nothing but N.
    """
    counts: Counter[str] = Counter()
    placer = Placer(path, genome.sizes, genome.partial, counts, keep_straddling=False)
    contigs, names = list(genome.sizes), _names(path)
    rows, records = [], 0
    for block in read_bed(path, "bed", counts):
        kept, contig = placer.place(block)
        records += len(block.start)
        for row, index in zip(kept.tolist(), contig.tolist()):
            start, end, line = int(block.start[row]), int(block.end[row]), block.line(row)
            place = f"{contigs[index]}:{start}-{end}"
            if window_bp is not None and end - start > window_bp:
                raise InputError(
                    path,
                    f"{place} has {end - start:,} bp, the network sees {window_bp:,}; cut it into shorter regions, or "
                    "set tile_bp",
                    record=line,
                )
            strand = 0 if block.strand is None else int(block.strand[row])
            rows.append((names.get(line) or place, contigs[index], start, end, strand, line))
    placer.finish()
    counts.pop("comment lines", None)
    left_out = "; ".join(f"{reason}: {number:,}" for reason, number in counts.items())
    if not rows:
        raise InputError(path, f"0 of {records:,} regions left ({left_out})")
    if left_out:
        _LOG.warning("%s: %d of %d regions left out (%s)", path, records - len(rows), records, left_out)
    table = pd.DataFrame(rows, columns=["name", "contig", "start", "end", "strand", "record"])
    table["genome"] = genome.name
    if window_bp is None:
        return table
    table["window_start"] = (table["start"] + table["end"]) // 2 - window_bp // 2
    _check_known(path, table, genome)
    return table


def _names(path: str | Path) -> dict[int, str]:
    """Column 4 of each line that has one, printable and not longer than `NAME_LETTERS`."""
    found = {}
    for number, raw in line_blocks(path):
        for offset, line in enumerate(raw.split(b"\n")):
            fields = line.rstrip(b"\r").decode("utf-8", "replace").split("\t")
            if len(fields) > 3 and fields[3].strip() not in ("", "."):
                name = "".join(letter if letter.isprintable() else " " for letter in fields[3].strip())
                found[number + offset] = name[:NAME_LETTERS]
    return found


def _check_known(path: str | Path, table: pd.DataFrame, genome: GenomeReader) -> None:
    """Regions of N only are refused, of more than half N warned of."""
    many, first = 0, 0
    for row in table.itertuples():
        unknown = np.mean(genome.codes(row.contig, row.start, row.end) == N_CODE)
        if unknown == 1:
            raise InputError(
                path, f"{row.contig}:{row.start}-{row.end} is all N, there is nothing to edit", record=row.record
            )
        if unknown > 0.5:
            many, first = many + 1, first or row.record
    if many:
        _LOG.warning("%s: %d region(s) are more than half N (first: line %d)", path, many, first)


def tested_rows(
    reader: Any, genome: GenomeReader, infos: Sequence[Mapping[str, Any]], count: int, where: str
) -> pd.DataFrame:
    """The first rows of the test parts of some runs, taken in turn from each fold.

    Parameters
    ----------
    reader : DatasetReader. genome : of the rows.
    infos : content of ``model.json`` of the runs. count : rows. where : for messages.

    Raises
    ------
    InputError
        The runs were tested on no row with a place on ``genome``.
    """

    def on_genome(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[(rows["start"] >= 0) & (rows["genome"] == genome.name) & rows["contig"].isin(list(genome.sizes))]

    rows = _in_turn(reader, infos, count, where, on_genome)
    if not len(rows):
        raise InputError(
            where, f"no test row of dataset {reader.name} has a place on genome {genome.name}; give 'regions' instead"
        )
    place = rows["contig"] + ":" + rows["start"].astype(str) + "-" + rows["end"].astype(str)
    rows = rows.assign(name=rows["name"].where(rows["name"] != "", place), window_start=rows["start"], record=0)
    return rows[_COLUMNS].reset_index(drop=True)


def _in_turn(
    reader: Any,
    infos: Sequence[Mapping[str, Any]],
    count: int,
    where: str,
    choose: Callable[[pd.DataFrame], pd.DataFrame],
) -> pd.DataFrame:
    """``count`` chosen rows of the test parts, one of each fold in turn; the index is their number in the dataset."""
    parts = []
    for fold in dict.fromkeys(info["fold"] for info in infos):
        rows = choose(rows_of(reader, folds_of(reader, fold, "test")))
        parts.append(rows.head(count).assign(turn=np.arange(min(count, len(rows)))))
    rows = pd.concat(parts)
    rows = rows[~rows.index.duplicated()].sort_values("turn", kind="stable").head(count)
    if 0 < len(rows) < count:
        _LOG.warning("%s: only %d of %d windows: there are no more test rows", where, len(rows), count)
    return rows


def tested_sequences(
    reader: Any, infos: Sequence[Mapping[str, Any]], count: int, where: str
) -> tuple[pd.DataFrame, list[np.ndarray], pd.DataFrame]:
    """Of a table of sequences the first rows of the test parts, taken in turn from each fold.

    Returns
    -------
    The table of regions, ``start`` -1 and ``end`` the length - 1; the sequences, uint8 (bp,) without the N that fill
    them up; and their rows of the dataset.

    Raises
    ------
    InputError
        The test parts are empty, or a sequence is all N.
    """
    rows = _in_turn(reader, infos, count, where, lambda rows: rows)
    if not len(rows):
        raise InputError(where, f"the test parts of dataset {reader.name} are empty")
    name = next(name for name, spec in reader.inputs.items() if spec.kind == "sequence")
    sequences = []
    for number in rows.index:
        codes = reader.read(f"inputs/{name}", number, number + 1)[0]
        known = np.flatnonzero(codes < N_CODE)
        if not len(known):
            raise InputError(where, f"row {number} of dataset {reader.name} is all N, there is nothing to edit")
        sequences.append(codes[: known[-1] + 1])
    names = [text or f"sequence {number + 1}" for number, text in zip(rows.index, rows["name"])]
    lengths = np.array([len(codes) for codes in sequences])
    table = rows.assign(
        name=names, genome="", contig="", start=-1, end=lengths - 1, strand=1, record=0, window_start=-1
    )
    return table[_COLUMNS].reset_index(drop=True), sequences, rows
