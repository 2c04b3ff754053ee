"""Aligned reads (BAM, CRAM) as coverage, cut sites or fragments, through pysam in a child process."""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seqmill.formats.bamindex import last_block
from seqmill.formats.signal import SignalReader
from seqmill.formats.text import GZIP_MAGIC, lacks_bgzf_eof, magic_bytes, regular_file
from seqmill.genome.names import harmonise
from seqmill.runtime.errors import InputError
from seqmill.runtime.isolate import IsolatedWorker

FLUSH_EDGES = 1 << 20  # a deep place must not fill memory
# Bits of the FLAG field (SAM specification, section 1.4) that exclude a read, in the order they are reported.
FLAGS = {"unmapped": 0x4, "secondary": 0x100, "supplementary": 0x800, "QC fail": 0x200, "duplicate": 0x400}
PROPER_PAIR, REVERSE, MATE_REVERSE, READ_1, READ_2 = 0x2, 0x10, 0x20, 0x40, 0x80
MODES = ("coverage", "cuts", "fragments")
TIMEOUT_S = 3600.0  # building an index or searching for the first usable read may pass over the whole file


class BamReader(SignalReader):
    """Reads per base.

    Always skipped: unmapped and secondary alignments. What is skipped is counted in `counts`.

    Parameters
    ----------
    path, genome_sizes, partial : see `seqmill.formats.signal.open_signal`. Contigs absent from the header are
        missing. A missing or outdated index is built in a temporary folder; the file must be sorted by coordinate.
        A file that lost its end between two blocks and got a new end mark shows only by the index it came with.
    mode : ``coverage``: reads whose aligned bases (M, = or X) cover a base, both mates counted; ``cuts``: 5' ends of
        reads; ``fragments``: properly paired inserts that cover a base, from the first base of the left mate to the
        last base of the right one.
    strand : reads of this strand only (fragments: the strand of read 1), ``.`` for both.
    strandedness : ``none``: a read's strand is its own. RNA: ``forward``: it is that of the transcript, which read 1
        has and read 2 has not; ``reverse`` (dUTP): read 2 has it. No read of the wanted strand is then no error.
    plus_shift, minus_shift : for cuts, bp added to the 5' position of reads on the + and the - strand; the 5'
        position of a - read is its last aligned base. ATAC: +4 and -5 (Buenrostro et al. 2013, Nat Methods 10:1213),
        or +4 and -4, which puts both cuts of one insertion on one base.
    mapq_min : smallest mapping quality.
    keep_supplementary, keep_qc_fail, keep_duplicates : use such reads too.
    max_fragment_bp : longer inserts are skipped.
    reference : FASTA of a CRAM; nothing is ever fetched from a network.
    timeout_s : longest time of one call of the isolated reader.
    """

    def __init__(
        self,
        path: str | Path,
        genome_sizes: Mapping[str, int],
        *,
        partial: bool = False,
        mode: Literal["coverage", "cuts", "fragments"] = "coverage",
        strand: Literal["+", "-", "."] = ".",
        strandedness: Literal["none", "forward", "reverse"] = "none",
        plus_shift: int = 0,
        minus_shift: int = 0,
        mapq_min: int = 0,
        keep_supplementary: bool = False,
        keep_qc_fail: bool = False,
        keep_duplicates: bool = False,
        max_fragment_bp: int = 2000,
        reference: str | Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ):
        if mode not in MODES or strand not in ("+", "-", "."):
            raise ValueError(f"mode {mode!r} must be one of {', '.join(MODES)}, strand {strand!r} one of + - .")
        check_container(path, reference)
        kept = {"supplementary": keep_supplementary, "QC fail": keep_qc_fail, "duplicate": keep_duplicates}
        self._temporary = tempfile.mkdtemp(prefix="seqmill-")
        self._worker: IsolatedWorker | None = None
        try:
            self._worker = IsolatedWorker(
                "seqmill.formats.bam:_Worker",
                str(path),
                self._temporary,
                None if reference is None else str(regular_file(reference)),
                {
                    "mode": mode,
                    "strand": strand,
                    "strandedness": strandedness,
                    "shifts": (plus_shift, minus_shift),
                    "mapq_min": mapq_min,
                    "skip": [reason for reason in FLAGS if not kept.get(reason)],
                    "max_fragment_bp": max_fragment_bp,
                },
                where=str(path),
                timeout_s=timeout_s,
            )
            sizes = self._worker.call("sizes")
            mapping = harmonise(sizes, genome_sizes, str(path), sizes=sizes, partial=partial)
            super().__init__(path, genome_sizes, {target: name for name, target in mapping.items()})
            spans = [(name, min(sizes[name], genome_sizes[target])) for name, target in mapping.items()]
            self._worker.call("find_first", spans)
            prior = self._worker.call("prior_shift") if plus_shift or minus_shift else ""
            if prior:
                raise InputError(
                    path,
                    f"prior shift detected ({prior[:200]}); the sheet shifts by {plus_shift:+d} and {minus_shift:+d} "
                    "bp again: leave plus_shift and minus_shift empty",
                )
        except BaseException:
            self.close()
            raise
        self._counted = dict.fromkeys(self.contigs, 0)

    def _bases(self, contig: str, start: int, end: int) -> np.ndarray:
        # Reads are counted by their first base and once, also where a caller reads a place again.
        assert self._worker is not None  # set when opened
        values, counts = self._worker.call("bases", self.contigs[contig], start, end, self._counted[contig])
        self._counted[contig] = max(self._counted[contig], end)
        self.counts.update(counts)
        return values

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
        shutil.rmtree(self._temporary, ignore_errors=True)


def check_container(path: str | Path, reference: str | Path | None) -> None:
    """Tell BAM and CRAM from everything else, and a whole file from a cut one, before any parser sees it."""
    path = regular_file(path)
    magic = magic_bytes(path, 4)
    if magic == b"CRAM":
        if reference is None:
            raise InputError(path, "is a CRAM: it needs the reference FASTA it was made with (option reference)")
        return
    if magic[:2] != GZIP_MAGIC:
        what = "SAM text; convert it to BAM" if magic[:1] == b"@" else f"starts with {magic!r}"
        raise InputError(path, f"not a BAM file: {what}")
    if lacks_bgzf_eof(path):
        raise InputError(path, "truncated: the last block of a BAM file (end-of-file mark) is missing")


def check_index_reach(path: str | Path, index: Path) -> None:
    """Raise InputError if a BAI or CSI index names a place behind the end of its file, or is damaged."""
    if index.suffix == ".crai":
        return
    try:
        place = last_block(index)
    except ValueError as error:
        raise InputError(path, f"its index {index.name} cannot be used ({error}); delete it") from None
    size = Path(path).stat().st_size
    if place > size:
        raise InputError(
            path,
            f"truncated: its index {index.name} points at byte {place:,} of a file of {size:,} bytes (or is that "
            "of another file)",
        )


class _Worker:
    """What runs in the child: a pysam file and the choice of reads."""

    def __init__(self, path: str, temporary: str, reference: str | None, choice: dict[str, Any]):
        import pysam

        pysam.set_verbosity(0)
        self.path, self.choice = path, choice
        self.mask = sum(bit for reason, bit in FLAGS.items() if reason in choice["skip"])
        with self._guarded():
            self.file = pysam.AlignmentFile(path, reference_filename=reference, index_filename=self._index(temporary))
            self.lengths = dict(zip(self.file.references, self.file.lengths))

    def prior_shift(self) -> str:
        """Command line of a program that has shifted the cut sites already, by the file's header; '' if none."""
        lines = [str(program.get("CL", "")) for program in self.file.header.to_dict().get("PG", [])]
        return next((line for line in lines if "ATACshift" in line), "")

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except (OSError, ValueError, MemoryError) as error:
            raise InputError(self.path, f"damaged or truncated alignment file ({error})") from None

    def _index(self, temporary: str) -> str:
        """An index that is not older than the file, else one built now (CSI: it has no limit of contig length)."""
        import pysam

        written = Path(self.path).stat().st_mtime
        base = Path(self.path)
        for ending in (".bai", ".csi", ".crai"):
            for found in (Path(f"{self.path}{ending}"), base.with_suffix(ending)):
                if found.is_file() and found.stat().st_mtime >= written:
                    check_index_reach(self.path, found)
                    return str(found)
        with pysam.AlignmentFile(self.path, check_sq=False) as file:
            order = file.header.to_dict().get("HD", {}).get("SO", "unknown")
            kind = ".crai" if file.is_cram else ".csi"
        if order in ("unsorted", "queryname"):
            raise InputError(self.path, f"is not sorted by coordinate (header says {order}): run samtools sort")
        index = str(Path(temporary) / f"index{kind}")
        try:
            pysam.index("-o", index, self.path) if kind == ".crai" else pysam.index("-c", "-o", index, self.path)
        except pysam.SamtoolsError as error:
            reason = " ".join(str(error).split())
            raise InputError(
                self.path, f"cannot be indexed; is it sorted by coordinate (samtools sort)? ({reason})"
            ) from None
        return index

    def sizes(self) -> dict[str, int]:
        return dict(self.lengths)

    def find_first(self, spans: list[tuple[str, int]]) -> None:
        """Raise InputError if no read of the contigs passes; usually the first read does."""
        skipped: Counter[str] = Counter()
        with self._guarded():
            for contig, end in spans:
                for read in self.file.fetch(contig, 0, end):
                    reason = self._why_not(read)
                    if reason is None or (reason == "other strand" and self.choice["strandedness"] != "none"):
                        return
                    skipped[reason] += 1
        if not skipped:
            raise InputError(self.path, f"no reads on the {len(spans)} contig(s) shared with the genome")
        text = ", ".join(f"{number:,} {reason}" for reason, number in skipped.most_common())
        what = "0 properly paired reads" if skipped.most_common(1)[0][0] == "not properly paired" else "no reads left"
        raise InputError(self.path, f"{what} after the filters: {text}; low quality sample or wrong options?")

    def _why_not(self, read: Any) -> str | None:
        """Why a read is skipped, None if it is used."""
        flag = read.flag
        if flag & self.mask:
            return next(reason for reason, bit in FLAGS.items() if flag & self.mask & bit)
        if read.mapping_quality < self.choice["mapq_min"]:
            return "mapping quality"
        reverse = bool(flag & REVERSE)
        if self.choice["mode"] == "fragments":
            span = read.template_length
            if not flag & PROPER_PAIR or span == 0 or flag & FLAGS["supplementary"]:
                return "not properly paired"
            if abs(span) > self.choice["max_fragment_bp"]:
                return "insert too long"
            if span < 0:
                return "right mate (counted with the left)"
            reverse = reverse if flag & READ_1 else bool(flag & MATE_REVERSE)
        strand, strandedness = self.choice["strand"], self.choice["strandedness"]
        if strandedness != "none":
            reverse ^= bool(flag & READ_2) ^ (strandedness == "reverse")
        if strand != "." and reverse != (strand == "-"):
            return "other strand"
        return None

    def bases(self, contig: str, start: int, end: int, counted: int) -> tuple[np.ndarray, Counter[str]]:
        """float64 (end - start,), NaN where nothing falls, and what was skipped among reads from ``counted`` on."""
        length, mode = end - start, self.choice["mode"]
        shifts = self.choice["shifts"]
        reach = {"coverage": 0, "cuts": 1 + max(map(abs, shifts)), "fragments": self.choice["max_fragment_bp"]}[mode]
        counts: Counter[str] = Counter()
        spans, used, count_from = getattr(self, f"_{mode}"), 0, max(start, counted)
        change = np.zeros(length + 1, dtype=np.int64)
        edges: list[int] = []
        with self._guarded():
            reads = self.file.fetch(contig, max(start - reach, 0), min(end + reach, self.lengths[contig]))
            for read in reads:
                reason = self._why_not(read)
                if count_from <= read.reference_start < end:
                    if reason is None:
                        used += 1
                    else:
                        counts[f"skipped: {reason}"] += 1
                if reason is None:
                    for first, last in spans(read):
                        if first < end and last > start:
                            edges += (max(first - start, 0), min(last - start, length))
                if len(edges) > FLUSH_EDGES:
                    change += _steps(edges, length)
                    edges.clear()
        change += _steps(edges, length)
        if used:
            counts["reads used"] += used
        values = np.cumsum(change[:-1]).astype(np.float64)
        values[values == 0] = np.nan
        return values, counts

    # The intervals to which one read adds 1.

    def _coverage(self, read: Any) -> list[tuple[int, int]]:
        return read.get_blocks()

    def _cuts(self, read: Any) -> list[tuple[int, int]]:
        plus, minus = self.choice["shifts"]
        place = read.reference_end - 1 + minus if read.is_reverse else read.reference_start + plus
        return [(place, place + 1)]

    def _fragments(self, read: Any) -> list[tuple[int, int]]:
        return [(read.reference_start, read.reference_start + read.template_length)]


def _steps(edges: list[int], length: int) -> np.ndarray:
    """How much coverage changes at each of ``length + 1`` positions, from starts and ends in turn."""
    pairs = np.array(edges, dtype=np.int64).reshape(-1, 2)
    return np.bincount(pairs[:, 0], minlength=length + 1) - np.bincount(pairs[:, 1], minlength=length + 1)
