"""Haplotypes of blocks of variants: phased ALT alleles that one window of a network holds together.

Records that a chosen sample carries are cut into blocks from left to right: a block ends before the record whose REF
would reach further than half a window from the block's first base. In each block every haplotype of every sample is
the set of its ALT alleles of one phase set, with those that the sample carries on all its haplotypes; equal ones are
one. Haplotypes of a single variant are that variant, and are left out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from seqmill.effects.variants.alleles import Examiner
from seqmill.formats.genotypes import ANY_SET, Call, calls, chosen_samples
from seqmill.formats.variants import OK, SEEN, STAR, VariantFile
from seqmill.runtime.errors import InputError

BLOCK = 4096
SINGLE, UNSCORED = "haplotype of one variant", "haplotype with an allele that cannot be scored"


class Edit(NamedTuple):
    """Bases of REF from ``start`` (0-based) that are others on a haplotype; without what both alleles share."""

    start: int
    ref: str
    alt: str
    number: int

    @property
    def end(self) -> int:
        return self.start + len(self.ref)


class Haplotype(NamedTuple):
    """ALT alleles of one haplotype in one block.

    Attributes
    ----------
    edits : sorted, apart from one another. start, end : of their records' REF, 0-based, half-open.
    names : "position:REF>ALT" of each, position 1-based, as in the file. carriers : haplotypes of samples that are it.
    first : sample and number (from 1) of the first of them.
    """

    contig: str
    edits: tuple[Edit, ...]
    start: int
    end: int
    names: tuple[str, ...]
    carriers: int
    first: str


@dataclass
class _Site:
    """A record that some sample carries."""

    contig: str
    start: int
    end: int
    number: int
    alts: list[str]
    ref: str
    status: list[str]
    calls: list[Call]

    def edit(self, allele: int) -> Edit:
        return trimmed(self.start, self.ref, self.alts[allele - 1], self.number)

    def name(self, allele: int) -> str:
        return f"{self.start + 1}:{self.ref}>{self.alts[allele - 1]}"


@dataclass
class LeftOut:
    """What was not made a haplotype: reason -> number, and record and example of the first."""

    unit: str
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, reason: str, number: int, example: str) -> None:
        self.counts[reason] += 1
        self.first.setdefault(reason, (number, example))

    def text(self) -> str:
        """Lines of a table: reason, count, first, example."""
        rows = [(reason, count, *self.first[reason]) for reason, count in self.counts.most_common()]
        lines = [f"{reason}\t{count}\t{self.unit} {number}\t{example}" for reason, count, number, example in rows]
        return "\n".join(["reason\tcount\tfirst\texample", *lines]) + "\n"


def trimmed(start: int, ref: str, alt: str, number: int) -> Edit:
    """An allele without the bases that it shares with REF, at its end first, then at its start."""
    shared = 0
    while shared < min(len(ref), len(alt)) and ref[-1 - shared] == alt[-1 - shared]:
        shared += 1
    ref, alt = ref[: len(ref) - shared], alt[: len(alt) - shared]
    shared = 0
    while shared < min(len(ref), len(alt)) and ref[shared] == alt[shared]:
        shared += 1
    return Edit(start + shared, ref[shared:], alt[shared:], number)


def haplotypes(
    file: VariantFile, examiner: Examiner, wanted: Sequence[str] | None, span_bp: int, left_out: LeftOut
) -> Iterator[Haplotype]:
    """All different haplotypes of two or more variants, block by block in the file's order.

    Parameters
    ----------
    file : opened with ``more``. wanted : names of samples, all if None. span_bp : longest block.
    left_out : is added to.

    Raises
    ------
    InputError : no genotypes, records that are not sorted, or two that change the same bases of a haplotype.
    """
    block: list[_Site] = []
    for site in _sites(file, examiner, wanted, left_out):
        if block and (site.contig != block[0].contig or max(site.end, block[-1].end) - block[0].start > span_bp):
            yield from _of_block(file, block, left_out)
            block = []
        block.append(site)
    yield from _of_block(file, block, left_out)


def _sites(file: VariantFile, examiner: Examiner, wanted: Sequence[str] | None, left_out: LeftOut) -> Iterator[_Site]:
    samples: list[int] | None = None
    last, done = ("", -1, 0), set()
    for records in file.blocks(BLOCK):
        samples = chosen_samples(file, wanted) if samples is None else samples
        alleles, row = examiner.alleles(records), 0
        for index, (start, number) in enumerate(zip(records.start, records.number)):
            first, row = row, row + records.alt[index].count(",") + 1
            contig = alleles.contig[first]
            if contig in done or (contig == last[0] and start < last[1]):
                raise InputError(
                    file.path, f"{contig}:{start + 1} stands behind {last[0]}:{last[1] + 1} ({file.unit} {last[2]}); "
                    "haplotypes need sorted records (bcftools sort)", record=number,
                )  # fmt: skip
            if contig != last[0]:
                done.add(last[0])
            last = contig, start, number
            known = []
            for call in calls(file, records, index, samples):
                if call.problem:
                    place = f"{contig}:{start + 1} {file.samples[call.sample]}"
                    left_out.add(call.problem, number, place)
                else:
                    known.append(call)
            if known:
                ref, part = alleles.ref[first], slice(first, row)
                yield _Site(
                    contig, start, start + len(ref), number, alleles.alt[part], ref, alleles.status[part], known
                )


def _of_block(file: VariantFile, block: list[_Site], left_out: LeftOut) -> Iterator[Haplotype]:
    """Different haplotypes of a block, in the order in which they are first seen."""
    carried: dict[tuple[int, str, int], list[tuple[_Site, int]]] = {}
    ploidy: dict[int, int] = {}
    sets: dict[int, dict[str, None]] = {}
    for site in block:
        for call in site.calls:
            ploidy[call.sample] = max(ploidy.get(call.sample, 0), len(call.alleles))
            sets.setdefault(call.sample, {})[call.phase_set] = None
            for number, allele in enumerate(call.alleles):
                if allele and site.status[allele - 1] != STAR:
                    carried.setdefault((call.sample, call.phase_set, number), []).append((site, allele))
    found: dict[tuple[Edit, ...], Haplotype] = {}
    for sample in sorted(sets):
        phase_sets = [name for name in sets[sample] if name != ANY_SET] or [ANY_SET]
        for phase_set in phase_sets:
            for number in range(ploidy[sample]):
                held = list(carried.get((sample, phase_set, number), []))
                if phase_set != ANY_SET:
                    held += carried.get((sample, ANY_SET, number), [])
                made = _haplotype(file, held, f"{file.samples[sample]}:{number + 1}", left_out)
                if made is not None:
                    before = found.get(made.edits)
                    found[made.edits] = before._replace(carriers=before.carriers + 1) if before else made
    yield from found.values()


def _haplotype(file: VariantFile, held: list[tuple[_Site, int]], who: str, left_out: LeftOut) -> Haplotype | None:
    """The haplotype of some alleles; None, and counted, if it is none to score."""
    if not held:
        return None
    held = sorted(held, key=lambda item: item[0].start)
    site, allele = held[0]
    for other, number in held:
        if other.status[number - 1] not in (OK, SEEN):  # who may score it is asked of the whole
            left_out.add(UNSCORED, other.number, f"{other.contig}:{other.name(number)[:40]} {who}")
            return None
    if len(held) == 1:
        left_out.add(SINGLE, site.number, f"{site.contig}:{site.name(allele)[:40]} {who}")
        return None
    edits = sorted(other.edit(number) for other, number in held)
    for a, b in pairwise(edits):
        if b.start < a.end or (a.start, a.ref, b.ref) == (b.start, "", ""):
            raise InputError(
                file.path,
                f"changes bases of {site.contig}:{b.start + 1} that {file.unit} {a.number} changes on the same "
                f"haplotype ({who}); one record must say what stands there",
                record=b.number,
            )
    return Haplotype(
        site.contig, tuple(edits), site.start, max(other.end for other, _ in held),
        tuple(other.name(number) for other, number in held), 1, who,
    )  # fmt: skip
