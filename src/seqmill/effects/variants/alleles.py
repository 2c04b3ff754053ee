"""Alleles of variants: checked against the genome, and the windows of sequence that hold them.

The window of an allele begins ``extent_bp // 2`` bases before the first base of REF. What lies left of that base is the
same for REF and ALT; an ALT of another length moves the bases right of it, and the window takes in more of them or
fewer, so that all windows are of one length. Beyond the ends of a contig stands N.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqmill.effects.unseen import Unseen
from seqmill.formats.variant_records import Records
from seqmill.formats.variants import (
    BAD_REF,
    BEYOND,
    NO_CONTIG,
    OK,
    OTHER_REF,
    POSITION_0,
    SEEN,
    is_dna,
    is_normalised,
    judge_alt,
)  # fmt: skip
from seqmill.genome.sequence import decode, encode
from seqmill.stores.genome import GenomeReader

LONG_REF = 64
"""REF alleles up to this length are compared in one go."""


@dataclass
class Alleles:
    """ALT alleles of a block of records.

    Attributes
    ----------
    contig : the genome's name, or the file's where the genome has no such contig.
    start : int64 (n,), first base of REF, 0-based. ref, alt : upper-case.
    number : of the record in the file. status : `OK` or why it is not scored.
    allowed : bool (runs, n), the runs that may score it; none where the status is not `OK`.
    ref_agrees : bool of each record whose REF could be compared with the genome. misfit : (contig, start, number, REF,
        genome) of the first that does not agree. not_normalised : numbers of such records.
    swapped : records that do not agree, but whose ALT would. later, earlier : whose REF agrees one base on or back.
    """

    contig: list[str]
    start: np.ndarray
    id: list[str]
    ref: list[str]
    alt: list[str]
    number: list[int]
    status: list[str]
    allowed: np.ndarray
    ref_agrees: list[bool]
    misfit: tuple[str, int, int, str, str] | None = None
    not_normalised: tuple[int, ...] = ()
    swapped: int = 0
    later: int = 0
    earlier: int = 0

    def __len__(self) -> int:
        return len(self.status)


class Examiner:
    """Splits records into alleles and judges each.

    Parameters
    ----------
    genome : that the variants are on. names : contig of the file -> of the genome.
    window_bp, margin_bp : what a network sees of each allele, and how far beyond on each side it may be moved.
    runs : how many there are. unseen : which of them may score a place; all if None.
    """

    def __init__(
        self,
        genome: GenomeReader,
        names: Mapping[str, str],
        *,
        window_bp: int,
        margin_bp: int = 0,
        runs: int = 1,
        unseen: Unseen | None = None,
    ):
        self.genome, self.names, self.runs, self.unseen = genome, names, runs, unseen
        self.window_bp, self.margin_bp = window_bp, margin_bp
        self.before = window_bp // 2 + margin_bp
        self.behind = window_bp - window_bp // 2 + margin_bp
        self.longest = window_bp - window_bp // 2

    def alleles(self, records: Records) -> Alleles:
        """One entry for each ALT allele of the records, in their order."""
        contigs = [self.names.get(name, name) for name in records.contig]
        refs = [ref.upper() for ref in records.ref]
        alts = [[alt if "<" in alt else alt.upper() for alt in text.split(",")] for text in records.alt]
        status = [
            NO_CONTIG if name not in self.names
            else POSITION_0 if start < 0
            else BEYOND if start + len(ref) > self.genome.sizes[contig]
            else OK if is_dna(ref) else BAD_REF
            for name, contig, start, ref in zip(records.contig, contigs, records.start, refs)
        ]  # fmt: skip
        found = Alleles([], np.empty(0, np.int64), [], [], [], [], [], np.empty((0, 0), bool), [])
        self._compare(found, records, contigs, refs, alts, status)
        free = self.free(contigs, records.start, status)
        fresh = np.logical_or.reduce(free).tolist()
        rows: list[int] = []
        for row, (whole, ref) in enumerate(zip(status, refs)):
            for alt in alts[row]:
                judged = whole if whole != OK else judge_alt(ref, alt, self.longest)
                found.status.append(SEEN if judged == OK and not fresh[row] else judged)
                found.alt.append(alt)
                rows.append(row)
        for name, values in (("contig", contigs), ("id", records.id), ("ref", refs), ("number", records.number)):
            setattr(found, name, [values[row] for row in rows])
        found.start = np.array(records.start, np.int64)[rows]
        found.allowed = free[:, rows] & np.array([status == OK for status in found.status])
        return found

    def _compare(
        self,
        found: Alleles,
        records: Records,
        contigs: Sequence[str],
        refs: Sequence[str],
        alts: Sequence[list[str]],
        status: list[str],
    ) -> None:
        """Set the status of records whose REF is not the genome's, and count what a refusal wants to say."""
        not_normalised = []
        for contig, rows in by_contig(contigs, [row for row, judged in enumerate(status) if judged == OK]):
            width = min(max(len(refs[row]) for row in rows), LONG_REF) + 2
            starts = np.array([records.start[row] for row in rows], np.int64)
            text = decode(self.genome.many(contig, starts - 1, width).ravel())
            for place, row in zip(range(0, len(text), width), rows):
                ref, start, others = refs[row], records.start[row], alts[row]
                if len(ref) <= LONG_REF:
                    there = text[place + 1 : place + 1 + len(ref)]
                else:
                    there = decode(self.genome.codes(contig, start, start + len(ref)))
                found.ref_agrees.append(there == ref)
                found.later += text[place + 2 : place + 2 + len(ref)] == ref
                found.earlier += text[place : place + len(ref)] == ref
                if there == ref:
                    if (len(ref) > 1 or len(others[0]) > 1) and all(map(is_dna, others)):
                        not_normalised += [] if is_normalised(ref, others) else [records.number[row]]
                    continue
                status[row] = OTHER_REF
                if found.misfit is None or records.number[row] < found.misfit[2]:
                    found.misfit = contig, start, records.number[row], ref, there
                found.swapped += others[0] != "" and others[0] == text[place + 1 : place + 1 + len(others[0])]
        found.not_normalised = tuple(sorted(not_normalised))

    def free(self, contigs: Sequence[str], starts: Sequence[int], status: Sequence[str]) -> np.ndarray:
        """Which run may score which record, bool (runs, n)."""
        free = np.ones((self.runs, len(status)), bool)
        rows = np.array([row for row, judged in enumerate(status) if judged == OK], np.int64)
        if self.unseen is not None and len(rows):
            start = np.array(starts, np.int64)[rows]
            places = pd.DataFrame(
                {
                    "genome": self.genome.name,
                    "contig": [contigs[row] for row in rows],
                    "start": np.maximum(start - self.before, 0),
                    "end": start + self.behind,
                }
            )
            free[:, rows] = self.unseen.of(places)
        return free


def by_contig(contigs: Sequence[str], rows: Sequence[int]) -> list[tuple[str, list[int]]]:
    """Each contig with those of ``rows`` that lie on it, in the order of first sight."""
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(contigs[row], []).append(row)
    return list(found.items())


@dataclass
class Sequences:
    """The different windows of some alleles, and which of them belong to which.

    Attributes
    ----------
    codes : uint8 (windows, extent_bp). rows : int64 (m,), the alleles that are scored.
    ref, alt : int64 (m,), numbers of their windows; alleles at one place share the window of REF.
    """

    codes: np.ndarray
    rows: np.ndarray
    ref: np.ndarray
    alt: np.ndarray


def sequences(genome: GenomeReader, alleles: Alleles, extent_bp: int) -> Sequences:
    """Windows of all alleles that are to be scored, equal ones once."""
    known: dict[tuple[str, int, str, str], int] = {}
    rows = [row for row, status in enumerate(alleles.status) if status == OK]
    ref, alt = [], []
    for row in rows:
        contig, start = alleles.contig[row], int(alleles.start[row])
        ref.append(known.setdefault((contig, start, "", ""), len(known)))
        alt.append(known.setdefault((contig, start, alleles.ref[row], alleles.alt[row]), len(known)))
    codes = np.empty((len(known), extent_bp), np.uint8)
    wanted = list(known)
    for contig, windows in by_contig([key[0] for key in wanted], range(len(wanted))):
        _fill(codes, windows, genome, contig, wanted)
    return Sequences(codes, *(np.array(x, np.int64) for x in (rows, ref, alt)))


def _fill(
    codes: np.ndarray,
    windows: Sequence[int],
    genome: GenomeReader,
    contig: str,
    wanted: Sequence[tuple[str, int, str, str]],
) -> None:
    """Windows in which the bases of one allele at one place (0-based) are replaced by another's."""
    extent = codes.shape[1]
    left = extent // 2
    lost = max(0, *(len(wanted[window][2]) - len(wanted[window][3]) for window in windows))
    starts = np.array([wanted[window][1] for window in windows], np.int64)
    wide = genome.many(contig, starts - left, extent + lost)
    codes[windows] = wide[:, :extent]
    for row, window in enumerate(windows):
        _, _, ref, alt = wanted[window]
        if not alt:
            continue
        end = left + len(alt)
        codes[window, left:end] = encode(alt)
        if len(alt) != len(ref):
            codes[window, end:] = wide[row, left + len(ref) : left + len(ref) + extent - end]
