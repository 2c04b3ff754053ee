"""Variants from VCF, BCF and tables, as a stream of records, and the alleles they hold.

VCF text is read here, line by line and not by pysam: that reader does not say which line is bad, and is slower.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqmill.formats.text import line_blocks, magic_bytes, open_binary, regular_file
from seqmill.formats.variant_records import Records, decoded, no_records, position
from seqmill.formats.variant_tables import text_table
from seqmill.runtime.errors import InputError
from seqmill.runtime.isolate import IsolatedWorker

LINE, RECORD = "line", "record"
TEXT_BYTES = 1 << 20
_COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT"]
_CONTIG = re.compile(r"##contig=<(?:[^\"]*,)?ID=([^,>]+)(?:,[^\"]*?)?,length=([0-9]+)")


@dataclass
class VariantFile:
    """An opened file of variants.

    Attributes
    ----------
    path : of the file. format : "vcf", "bcf", "tsv", "csv" or "parquet". unit : what ``number`` counts (line, record).
    sizes : contig -> bp, where a header states it; complete for text after the first block.
    notes : what was accepted and should be known. more : column of a table to keep; of a VCF or BCF, if not empty, all
    behind ALT. samples : of a VCF or BCF, known after the first block where ``more`` is set.
    """

    path: Path
    format: str
    columns: Mapping[str, str] = field(default_factory=dict)
    position_base: int = 1
    sizes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    more: str = ""
    samples: list[str] = field(default_factory=list)

    @property
    def unit(self) -> str:
        return RECORD if self.format in ("bcf", "parquet") else LINE

    def blocks(self, size: int) -> Iterator[Records]:
        """All records, ``size`` at a time; the last block may be smaller. InputError names a bad line."""
        kept = no_records()
        for records in self._pieces():
            kept = kept.joined(records)
            first = 0
            while len(kept.start) - first >= size:
                yield kept.part(first, first + size)
                first += size
            kept = kept.part(first, len(kept.start))
        if kept.start:
            yield kept

    def _pieces(self) -> Iterator[Records]:
        if self.format == "vcf":
            yield from _vcf(self)
        elif self.format in ("tsv", "csv"):
            delimiter = "\t" if self.format == "tsv" else ","
            yield from text_table(self.path, delimiter, self.columns, self.position_base, self.more)
        else:
            reader = {"bcf": "Bcf", "parquet": "ParquetTable"}[self.format]
            table: dict[str, Any] = {"columns": dict(self.columns), "base": self.position_base}
            table = {} if self.format == "bcf" else table
            table |= {"more": self.more}
            with IsolatedWorker(
                f"seqmill.formats.variant_tables:{reader}", str(self.path), where=str(self.path), **table
            ) as worker:
                self.sizes = worker.call("sizes")
                self.samples = worker.call("samples") if self.format == "bcf" else []
                while (records := worker.call("block")) is not None:
                    yield Records(*records)


def open_variants(
    path: str | Path, *, columns: Mapping[str, str] | None = None, position_base: int = 1, more: str = ""
) -> VariantFile:
    """A file of variants, its format told by its content, tables by their ending.

    Parameters
    ----------
    path : VCF (plain, gzip or BGZF; no index is needed), BCF, Parquet, or a table with a header line.
    columns : of a table: contig, position, ref, alt or id -> its name there. position_base : of a table.
    more : keep what stands beside the alleles, see `VariantFile`.

    Raises
    ------
    InputError : a file that cannot be read, or of no known ending.
    """
    path = regular_file(path)
    endings = {ending.lower() for ending in path.suffixes}
    if magic_bytes(path) == b"PAR1":
        kind = "parquet"
    else:
        with open_binary(path) as handle:
            head = handle.read(12)
        if not head:
            raise InputError(path, "is empty")
        if head[:3] == b"BCF":
            kind = "bcf"
        elif head == b"##fileformat" or ".vcf" in endings:
            kind = "vcf"
        elif ".csv" in endings:
            kind = "csv"
        elif endings & {".tsv", ".txt", ".tab"}:
            kind = "tsv"
        else:
            raise InputError(path, "is neither VCF, BCF nor Parquet; a table is called .tsv or .csv (or .gz of these)")
    if columns and kind in ("vcf", "bcf"):
        raise InputError(path, f"'columns' is for tables; this is {kind.upper()}")
    return VariantFile(path, kind, columns or {}, position_base, more=more)


def _vcf(file: VariantFile) -> Iterator[Records]:
    path, header = file.path, False
    for first, block in line_blocks(path, TEXT_BYTES):
        out = no_records()
        contigs, starts, ids, refs, alts, numbers, _ = out
        rest: list[str] = []
        for number, line in enumerate(decoded(path, first, block).split("\n"), first):
            if not line:
                continue
            fields = line.split("\t", 5)
            if line[0] == "#":
                if found := _CONTIG.match(line):
                    file.sizes[found[1]] = int(found[2])
                elif line.startswith("#CHROM"):
                    if fields[:5] != _COLUMNS:
                        raise InputError(path, f"header is not {' '.join(_COLUMNS)} ..., tab-separated", record=number)
                    header = True
                    file.samples = fields[5].split("\t")[4:] if len(fields) > 5 else []
                continue
            if len(fields) < 5:
                raise InputError(
                    path,
                    f"{len(fields)} tab-separated column(s), expected at least 5 (CHROM POS ID REF ALT)",
                    record=number,
                )
            if not header:
                file.notes.append("no header line (#CHROM ...): the first columns are read as CHROM POS ID REF ALT")
                header = True
            start = position(fields[1], path, number, 1, "" if numbers else "; a header line starts with #CHROM")
            if not fields[0] or not fields[3]:
                raise InputError(path, f"{'CHROM' if fields[3] else 'REF'} is empty", record=number)
            contigs.append(fields[0])
            starts.append(start)
            ids.append(fields[2] or ".")
            refs.append(fields[3])
            alts.append(fields[4])
            numbers.append(number)
            if file.more:
                rest.append(fields[5] if len(fields) > 5 else "")
        yield out._replace(more=rest)


# What keeps an allele from being scored. Places first, then REF, then ALT.
OK = "ok"
NO_CONTIG, POSITION_0, BEYOND = "contig not in the genome", "position 0", "beyond the end of the contig"
BAD_REF, OTHER_REF = "REF is not ACGT", "REF differs from the genome"
NO_ALT, STAR, SYMBOLIC = "no ALT", "ALT is * (deleted by another record)", "symbolic ALT (<DEL>, ...)"
BREAKEND, BAD_ALT, SAME = "breakend", "ALT is not ACGT", "ALT equals REF"
TOO_LONG, SEEN = "allele longer than half the window", "seen"
_SINGLE = {*"ACGT"}
_BASES = re.compile("[ACGT]+")


def judge_alt(ref: str, alt: str, limit: int) -> str:
    """`OK` or why this ALT allele is not scored.

    Parameters
    ----------
    ref, alt : upper-case. limit : longest allele, bp.
    """
    if alt in _SINGLE and len(ref) <= limit:
        return SAME if alt == ref else OK
    if alt in (".", "", "<*>"):
        return NO_ALT
    if alt == "*":
        return STAR
    if "[" in alt or "]" in alt or alt[0] == "." or alt[-1] == ".":
        return BREAKEND
    if alt[0] == "<":
        return SYMBOLIC
    if not _BASES.fullmatch(alt):
        return BAD_ALT
    if alt == ref:
        return SAME
    return TOO_LONG if max(len(ref), len(alt)) > limit else OK


def is_dna(ref: str) -> bool:
    """Whether an upper-case allele is of ACGT only."""
    return ref in _SINGLE or _BASES.fullmatch(ref) is not None


def is_normalised(ref: str, alts: Iterable[str]) -> bool:
    """Whether a record is left-aligned and as short as can be: Tan, Abecasis and Kang 2015 (Bioinformatics 31:2202),
    alleles must not all end with the same base, nor all start with the same one where none has length 1.

    Parameters
    ----------
    ref, alts : upper-case DNA of one record.
    """
    alleles = [ref, *alts]
    if len({allele[-1] for allele in alleles}) == 1:
        return False
    return len({allele[0] for allele in alleles}) > 1 or min(map(len, alleles)) == 1
