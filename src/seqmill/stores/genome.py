"""The genome store: sequence codes and soft-mask bits of every contig.

::

    genome/{assembly}.zarr/   marker.json run.json zarr.json
       codes/{contig}/        uint8, A0 C1 G2 T3 N4
       softmask/{contig}/     bits of "was lower case", packed eight to a byte, first base in the lowest bit
"""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from seqmill.config.names import check_collisions, slug
from seqmill.config.sources import Genome
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import Marker, file_digest, read_marker
from seqmill.runtime.progress import Progress
from seqmill.stores.arrays import ArrayWriter, StoredArray, write_groups
from seqmill.stores.layout import noun_folder, open_noun

CHUNK_BP = 1 << 18
CACHE_BYTES = 32_000_000
SPAN_BP = 1 << 23
"""Longest stretch that `GenomeReader.many` holds at once."""
N_CODE = 4
# Copies of other contigs (GRC alternate loci and patches, 1000 Genomes decoys and HLA) and the EBV genome.
_COPIES = re.compile(r"_(alt|fix|decoy)$|^hs37d5$|^HLA-|^(chrEBV|NC_007605)$")


def build_genome(folder: str | Path, *, name: str, genome: Genome) -> Marker:
    """Write the store of one assembly from its FASTA file, one contig in memory at a time.

    Parameters
    ----------
    folder : ``…/{assembly}.zarr``.
    name : of the assembly.
    genome : its section of the configuration. Lengths are checked against ``sizes``, ``contigs`` chooses.

    Raises
    ------
    InputError if the FASTA file cannot be used, disagrees with the sizes, or lacks a chosen contig.
    """
    from seqmill.formats.fasta import read_fasta, read_sizes

    expected = read_sizes(genome.sizes) if genome.sizes else None
    wanted = set(genome.contigs or ())
    sizes: dict[str, int] = {}
    counts: dict[str, dict[str, int]] = {}
    parameters = {"genome": genome.model_dump(mode="json")}
    with noun_folder(folder, noun="genome", label=name, parameters=parameters) as (part, out, _):
        with Progress(f"genome {name}", sum((expected or {}).values()), "bp") as progress:
            for record in read_fasta(genome.fasta, sizes=expected):
                if not wanted or record.name in wanted:
                    _write_contig(part, record.name, record.codes, record.softmask)
                    sizes[record.name] = len(record.codes)
                    counts[record.name] = dict(sorted(record.iupac.items()))
                progress.add(len(record.codes))
        missing = sorted(wanted - set(sizes))
        if missing:
            raise InputError(genome.fasta, f"has no contig {', '.join(missing[:5])}, which 'contigs' asks for")
        check_collisions(list(sizes), str(genome.fasta))
        _warn_of_copies(genome.fasta, list(sizes))
        write_groups(part, [f"{kind}/{slug(contig)}" for kind in ("codes", "softmask") for contig in sizes], {})
        out |= {
            "sizes": [[contig, size] for contig, size in sizes.items()],
            "iupac": counts,
            "n_count": sum(count.get("N", 0) for count in counts.values()),
            "partial": genome.partial,
            "source_sha256": file_digest(genome.fasta),
        }
    return read_marker(folder)


def _warn_of_copies(fasta: Path, contigs: list[str]) -> None:
    found = [contig for contig in contigs if _COPIES.search(contig)]
    if found:
        logging.getLogger("seqmill").warning(
            "%s: %d alternate, decoy or virus contig(s) are used like chromosomes (%s, ...); choose with 'contigs'",
            fasta, len(found), ", ".join(found[:3]),
        )  # fmt: skip


def _write_contig(part: Path, contig: str, codes: np.ndarray, softmask: np.ndarray) -> None:
    for kind, values, axis in (
        ("codes", codes, "bp"),
        ("softmask", np.packbits(softmask, bitorder="little"), "eight_bp"),
    ):
        array = ArrayWriter(part / kind / slug(contig), (), "uint8", CHUNK_BP, axes=(axis,))
        array.append(values)
        array.close()


class GenomeReader:
    """A genome, opened for reading.

    Attributes
    ----------
    name, digest, folder : of the store.
    sizes : contig -> bp, in the order of the FASTA file. partial : whether it is a piece of an assembly.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.marker = open_noun(self.folder, "genome")
        attrs = self.marker.attrs
        self.name: str = attrs["name"]
        self.digest = self.marker.digest
        self.partial: bool = attrs["partial"]
        self.sizes: dict[str, int] = dict(attrs["sizes"])
        self._arrays: dict[str, StoredArray] = {}

    def _array(self, kind: str, contig: str) -> StoredArray:
        if contig not in self.sizes:
            known = ", ".join(list(self.sizes)[:5])
            raise InputError(self.folder, f"no contig {contig!r}; it has {len(self.sizes)}: {known}, …")
        path = f"{kind}/{slug(contig)}"
        if path not in self._arrays:
            self._arrays[path] = StoredArray(self.folder, self.marker, path, cache_bytes=CACHE_BYTES)
        return self._arrays[path]

    def codes(self, contig: str, start: int, end: int) -> np.ndarray:
        """Codes of the bases ``start`` to ``end``, uint8 (end - start,); N (4) outside the contig."""
        inside = self._array("codes", contig).read(start, end)
        if len(inside) == end - start:
            return inside
        out = np.full(max(0, end - start), N_CODE, np.uint8)
        first = max(0, -start)
        out[first : first + len(inside)] = inside
        return out

    def softmask(self, contig: str, start: int, end: int) -> np.ndarray:
        """True where the FASTA file has lower case, bool (end - start,); False outside the contig."""
        array = self._array("softmask", contig)
        out = np.zeros(max(0, end - start), bool)
        low, high = max(0, start), min(end, self.sizes[contig])
        if low < high:
            packed = array.read(low // 8, (high + 7) // 8)
            bits = np.unpackbits(packed, bitorder="little")
            out[low - start : high - start] = bits[low % 8 : low % 8 + high - low]
        return out

    def many(self, contig: str, starts: Iterable[int], width: int) -> np.ndarray:
        """Codes of many windows.

        Parameters
        ----------
        starts : first bases, in any order (sorted is fastest).
        width : bp of every window.

        Returns
        -------
        uint8 (n, width), N outside the contig.
        """
        starts = np.asarray(starts, np.int64)
        out = np.empty((len(starts), width), np.uint8)
        order = np.argsort(starts, kind="stable")
        ordered = starts[order]
        first = 0
        while first < len(ordered):
            # as many windows as lie within one stretch without a long gap
            last = int(np.searchsorted(ordered, ordered[first] + max(SPAN_BP - width, 0), side="right"))
            gaps = np.flatnonzero(np.diff(ordered[first:last]) > width + CHUNK_BP)
            last = first + int(gaps[0]) + 1 if len(gaps) else last
            origin = int(ordered[first])
            stretch = self.codes(contig, origin, int(ordered[last - 1]) + width)
            windows = (
                np.lib.stride_tricks.sliding_window_view(stretch, width) if width else np.empty((len(stretch) + 1, 0))
            )
            out[order[first:last]] = windows[ordered[first:last] - origin]
            first = last
        return out
