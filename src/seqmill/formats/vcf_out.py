"""Scores of variants as a VCF of sites that bcftools and pysam can query: one record an allele, sorted, indexed."""

import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LARGEST_TBI = 1 << 29
"""Longest contig that a .tbi index can hold."""
RUNS = ("SM_RUNS", "Runs of the network that scored the allele")
BACKGROUND_N = ("SM_BACKGROUND_N", "Background variants in the stratum of the allele")
_BLANK = re.compile(r"[\s;]+")


@dataclass(frozen=True)
class Field:
    """One INFO field: an effect on a target, a value for each track.

    Attributes
    ----------
    id : of the field. description : for the header. tracks : what the values are of, in order.
    """

    id: str
    description: str
    tracks: tuple[str, ...]


def field_ids(labels: Sequence[str]) -> list[str]:
    """An INFO key for each label: SM_ and what the format allows of it, numbered where two would be alike."""
    found: list[str] = []
    for label in labels:
        key = base = "SM_" + re.sub(r"[^0-9A-Za-z_]", "_", label)
        number = 1
        while key in found:
            number += 1
            key = f"{base}_{number}"
        found.append(key)
    return found


def _quoted(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("\\", "\\\\").replace('"', '\\"')


def header(
    genome: str, sizes: Mapping[str, int], fields: Sequence[Field], counts: Sequence[tuple[str, str]] = ()
) -> str:
    """Header lines of the VCF."""
    lines = ["##fileformat=VCFv4.3", "##source=seqmill"]
    lines += [f"##contig=<ID={name},length={size},assembly={_BLANK.sub('_', genome)}>" for name, size in sizes.items()]
    lines += [f'##INFO=<ID={key},Number=1,Type=Integer,Description="{text}">' for key, text in (RUNS, *counts)]
    for field in fields:
        text = _quoted(f"{field.description}; one value for each track: {', '.join(field.tracks)}")
        lines.append(f'##INFO=<ID={field.id},Number={len(field.tracks)},Type=Float,Description="{text}">')
    lines.append("#" + "\t".join(("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")))
    return "\n".join(lines) + "\n"


class VcfWriter:
    """Collects records in any order; `finish` writes them sorted, compressed (BGZF) and indexed.

    Parameters
    ----------
    path : ``….vcf.gz``; the text waits in a file beside it, only places are in memory.
    counts : INFO fields of one whole number, key and description, after `RUNS`.
    """

    def __init__(
        self,
        path: Path,
        genome: str,
        sizes: Mapping[str, int],
        fields: Sequence[Field],
        counts: Sequence[tuple[str, str]] = (),
    ):
        self.path, self.sizes = path, sizes
        self._head = header(genome, sizes, fields, counts)
        self._rank = {name: number for number, name in enumerate(sizes)}
        self._format = ";".join(
            [
                *(f"{key}=%d" for key, _ in (RUNS, *counts)),
                *(f"{field.id}=" + ",".join(["%.6g"] * len(field.tracks)) for field in fields),
            ]
        )
        self._waiting = path.with_name(path.name + ".waiting")
        self._body = open(self._waiting, "w+b")  # noqa: SIM115 - open until finish
        self._places = array("q"), array("q"), array("q")  # contig, position, first byte
        self._end = 0

    def append(
        self,
        contig: Iterable[str],
        position_1based: Iterable[int],
        ids: Iterable[str],
        ref: Iterable[str],
        alt: Iterable[str],
        counts: np.ndarray,
        values: np.ndarray,
    ) -> None:
        """Records; ``counts`` is int (n,) or (n, fields), ``values`` float (n, values of all fields), NaN if none."""
        numbers = np.column_stack([counts, values]).astype(np.float64).tolist()
        for name, place, label, before, after, row in zip(contig, position_1based, ids, ref, alt, numbers):
            info = (self._format % tuple(row)).replace("nan", ".")
            key = _BLANK.sub("_", label) or "."
            line = f"{name}\t{place}\t{key}\t{before}\t{after}\t.\t.\t{info}\n".encode()
            for column, number in zip(self._places, (self._rank[name], place, self._end)):
                column.append(number)
            self._end += len(line)
            self._body.write(line)

    def finish(self) -> None:
        """Write the VCF and its index (.tbi; .csi where a contig is too long for that)."""
        import pysam

        contig, place, first = (np.frombuffer(column, np.int64) for column in self._places)
        order = np.lexsort((first, place, contig))
        with pysam.BGZFile(str(self.path), "wb", None) as out:
            out.write(self._head.encode())
            if np.array_equal(order, np.arange(len(order))):
                self._body.seek(0)
                while block := self._body.read(1 << 20):
                    out.write(block)
            else:
                last = np.append(first[1:], self._end)
                for row in order.tolist():
                    self._body.seek(first[row])
                    out.write(self._body.read(last[row] - first[row]))
        self._body.close()
        self._waiting.unlink()
        long = max(self.sizes.values(), default=0) > LARGEST_TBI
        pysam.tabix_index(str(self.path), preset="vcf", force=True, csi=long)
