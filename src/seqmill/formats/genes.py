"""Gene models to draw: BED (3 to 12 columns), GTF, refFlat and UCSC's refGene, told by their content, plain or gzip.

Coordinates become 0-based and half-open: GTF counts from 1 and includes the end, the others are so already.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seqmill.formats.text import line_blocks
from seqmill.genome.names import core_name, harmonise
from seqmill.runtime.errors import InputError

_ATTRIBUTE = re.compile(r'(\w+) +"([^"]*)"')
Span = tuple[int, int]


@dataclass
class Gene:
    """One transcript.

    Attributes
    ----------
    name : of the gene, or of the transcript where that is all there is. contig : of the genome.
    start, end : 0-based, half-open. strand : 1, -1 or 0. exons : spans, sorted. coding : from the first to the last
        coding base; None where there is none or the file does not say.
    """

    name: str
    contig: str
    start: int
    end: int
    strand: int
    exons: list[Span] = field(default_factory=list)
    coding: Span | None = None


def read_genes(path: str | Path, sizes: Mapping[str, int], places: Mapping[str, Sequence[Span]]) -> list[Gene]:
    """Transcripts that overlap some places, in the order of the file.

    Parameters
    ----------
    sizes : contig -> bp of the genome. places : contig of the genome -> spans, 0-based half-open.

    Raises
    ------
    InputError
        A line is of none of the formats or contradicts itself, or no contig of the file is one of the genome.
    """
    wanted = {core_name(contig) for contig in places}
    seen: dict[str, None] = {}
    found: dict[str, Gene] = {}
    parse = None
    for number, line in _lines(path):
        if parse is None:
            parse = _format(path, number, line)
        contig = line[0] if parse in (_bed, _gtf) else line[min(2, len(line) - 1)]
        seen[contig] = None
        if core_name(contig) in wanted:
            try:
                parse(line, found, number)
            except (ValueError, IndexError) as error:
                raise InputError(path, f"{str(error)[:200]} in {' '.join(line)[:80]!r}", record=number) from None
    if parse is None:
        raise InputError(path, "holds no gene: expected BED, GTF, refFlat or refGene, found no line of data")
    names = harmonise(seen, sizes, str(path))
    kept = []
    for gene in found.values():
        gene.contig = names.get(gene.contig, "")
        spans = places.get(gene.contig, ())
        if any(gene.start < end and start < gene.end for start, end in spans):
            gene.exons.sort()
            kept.append(gene)
    return kept


def _lines(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line of data."""
    for number, raw in line_blocks(path):
        for offset, line in enumerate(raw.decode("utf-8", "replace").split("\n")):
            text = line.rstrip("\r")
            if text.strip() and not text.startswith(("#", "track ", "browser ")):
                yield number + offset, text.split("\t")


def _format(path: str | Path, number: int, line: list[str]):
    """How to read the lines, from the first one."""

    def whole(*places: int) -> bool:
        return all(at < len(line) and line[at].isdigit() for at in places)

    if len(line) >= 8 and whole(3, 4) and line[6] in ("+", "-", "."):
        if len(line) > 8 and line[8].strip() and not _ATTRIBUTE.search(line[8]):
            raise InputError(path, f"looks like GFF3 ({line[8][:40]!r}); expected GTF: convert it", record=number)
        return _gtf
    if len(line) >= 11 and line[3] in ("+", "-") and whole(4, 5, 8):
        return _ref_gene if len(line) > 12 and whole(0) else _ref_flat
    if len(line) >= 3 and whole(1, 2):
        return _bed
    wanted = "expected BED (start in column 2), GTF (in column 4), refFlat (in column 5)"
    raise InputError(path, f"{len(line)} columns that are none of a gene: {wanted}", record=number)


def _gene(found: dict[str, Gene], key: str, gene: Gene) -> Gene:
    if gene.start >= gene.end or gene.start < 0:
        raise ValueError(f"a gene from {gene.start} to {gene.end}")
    return found.setdefault(key, gene)


def _strand(text: str) -> int:
    return {"+": 1, "-": -1}.get(text, 0)


def _bed(line: list[str], found: dict[str, Gene], number: int) -> None:
    start, end = int(line[1]), int(line[2])
    name = line[3] if len(line) > 3 else f"{line[0]}:{start}-{end}"
    gene = _gene(found, str(number), Gene(name, line[0], start, end, _strand(line[5] if len(line) > 5 else ".")))
    if len(line) >= 12:
        lengths, starts = (_numbers(line[at]) for at in (10, 11))
        if not len(lengths) == len(starts) == int(line[9]):
            raise ValueError(f"blockCount {line[9]}, but {len(lengths)} sizes and {len(starts)} starts")
        gene.exons = [(start + first, start + first + length) for first, length in zip(starts, lengths)]
        if gene.exons and max(last for _, last in gene.exons) > end:
            raise ValueError(f"a block ends behind the end {end}")
        if int(line[6]) < int(line[7]):
            gene.coding = (int(line[6]), int(line[7]))
    else:
        gene.exons = [(start, end)]


def _gtf(line: list[str], found: dict[str, Gene], number: int) -> None:
    if line[2] not in ("exon", "CDS"):
        return
    values = dict(_ATTRIBUTE.findall(line[8] if len(line) > 8 else ""))
    if "transcript_id" not in values:
        raise ValueError("an exon without transcript_id")
    start, end = int(line[3]) - 1, int(line[4])
    name = values.get("gene_name") or values.get("gene_id") or values["transcript_id"]
    key = f"{line[0]} {values['transcript_id']}"
    gene = _gene(found, key, Gene(name, line[0], start, end, _strand(line[6])))
    gene.start, gene.end = min(gene.start, start), max(gene.end, end)
    if line[2] == "exon":
        gene.exons.append((start, end))
    else:
        low, high = gene.coding or (start, end)
        gene.coding = (min(low, start), max(high, end))


def _ref_flat(line: list[str], found: dict[str, Gene], number: int) -> None:
    _add(found, number, line[0] or line[1], line[2:])


def _ref_gene(line: list[str], found: dict[str, Gene], number: int) -> None:
    _add(found, number, line[12] if len(line) > 12 and line[12] else line[1], line[2:])


def _add(found: dict[str, Gene], number: int, name: str, line: list[str]) -> None:
    """A line of refFlat from the contig on: contig, strand, four ends, number, starts and ends of exons."""
    start, end, low, high, count = (int(line[at]) for at in range(2, 7))
    starts, ends = _numbers(line[7]), _numbers(line[8])
    if not len(starts) == len(ends) == count:
        raise ValueError(f"exonCount {count}, but {len(starts)} starts and {len(ends)} ends")
    coding = (low, high) if low < high else None
    _gene(found, str(number), Gene(name, line[0], start, end, _strand(line[1]), list(zip(starts, ends)), coding))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.strip()]
