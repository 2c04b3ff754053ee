"""The first look at a file of variants: is it of this genome, what can be scored, what is dropped and why."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seqmill.effects.variants.alleles import Alleles, Examiner
from seqmill.formats.variants import OK, SEEN, VariantFile
from seqmill.genome.names import harmonise
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader

CLEAR = 0.9
"""Share of the REF alleles that must agree in another reading of the file before that is given as a hint."""
SHOWN = 20
_LOG = logging.getLogger("seqmill")


@dataclass
class Survey:
    """What is known of all alleles before one is scored.

    Attributes
    ----------
    n : alleles. records : of the file. counts : status -> alleles. first : status -> (record, what it says).
    compared, agree : REF alleles that were compared with the genome, and that are the genome's.
    by_run : alleles that each run scores. not_normalised : records, and the number of the first.
    """

    unit: str
    n: int = 0
    records: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)
    compared: int = 0
    agree: int = 0
    swapped: int = 0
    later: int = 0
    earlier: int = 0
    misfit: tuple[str, int, int, str, str] | None = None
    by_run: list[int] = field(default_factory=list)
    not_normalised: int = 0
    first_not_normalised: int = 0

    @property
    def ref_match(self) -> float:
        return self.agree / self.compared if self.compared else 0.0

    def add(self, alleles: Alleles) -> None:
        self.n += len(alleles)
        for row, status in enumerate(alleles.status):
            if status not in self.first:
                allele = f"{alleles.ref[row][:20]}>{alleles.alt[row][:20]}"
                self.first[status] = (
                    alleles.number[row], f"{alleles.contig[row]}:{alleles.start[row] + 1} {allele}"
                )  # fmt: skip
        self.counts.update(alleles.status)
        self.compared += len(alleles.ref_agrees)
        self.agree += sum(alleles.ref_agrees)
        for name in ("swapped", "later", "earlier"):
            setattr(self, name, getattr(self, name) + getattr(alleles, name))
        self.misfit = self.misfit or alleles.misfit
        scored = alleles.allowed.sum(axis=1).tolist()
        self.by_run = [a + b for a, b in zip(self.by_run or [0] * len(scored), scored)]
        if alleles.not_normalised:
            self.first_not_normalised = self.first_not_normalised or alleles.not_normalised[0]
            self.not_normalised += len(alleles.not_normalised)

    def dropped(self) -> dict[str, int]:
        """Reason -> alleles, the most frequent first."""
        return {reason: count for reason, count in self.counts.most_common() if reason != OK}

    def rows(self) -> Iterator[tuple[str, int, str, str]]:
        """Rows of ``dropped.tsv``: reason, count, first record, example."""
        for reason, count in self.dropped().items():
            number, example = self.first[reason]
            yield reason, count, f"{self.unit} {number}", example


def contig_names(file: VariantFile, genome: GenomeReader, block: int) -> tuple[dict[str, str], int]:
    """Contig of the file -> of the genome, and the number of records; one pass over the file.

    Raises
    ------
    InputError : there are no records, no contig is the genome's, or lengths in the header are another assembly's.
    """
    names: dict[str, None] = {}
    records = 0
    for found in file.blocks(block):
        names |= dict.fromkeys(found.contig)
        records += len(found.contig)
    if not records:
        raise InputError(file.path, "0 records; expected at least one variant")
    for note in dict.fromkeys(file.notes):
        _LOG.warning("%s: %s", file.path, note)
    sizes = file.sizes or None
    mapping = harmonise(names, genome.sizes, str(file.path), sizes=sizes, partial=genome.partial)
    renamed = [f"{name} = {target}" for name, target in mapping.items() if name != target]
    if renamed:
        _LOG.info("%s: contigs have other names in the genome: %s", file.path, ", ".join(renamed[:5]))
    return mapping, records


def survey(file: VariantFile, examiner: Examiner, min_ref_match: float, block: int) -> Survey:
    """Judge all alleles of a file; one pass over it.

    Raises
    ------
    InputError : too few REF alleles agree with the genome, or nothing is left to score.
    """
    found = Survey(file.unit)
    for records in file.blocks(block):
        found.records += len(records.start)
        found.add(examiner.alleles(records))
    if found.compared and found.ref_match < min_ref_match:
        raise InputError(file.path, _disagreement(found, file, examiner.genome.name))
    if not found.counts[OK]:
        raise InputError(file.path, _nothing(found))
    if found.agree < found.compared:
        contig, start, number, ref, there = found.misfit or ("", 0, 0, "", "")
        _LOG.warning(
            "%s: %d of %d REF alleles differ from genome %s (first: %s at %s:%d, %s %d); they are not scored",
            file.path, found.compared - found.agree, found.compared, examiner.genome.name,
            f"REF {ref[:SHOWN]}, genome {there[:SHOWN]}", contig, start + 1, file.unit, number,
        )  # fmt: skip
    if found.not_normalised:
        many = f"{found.not_normalised} records are" if found.not_normalised > 1 else "1 record is"
        _LOG.warning(
            "%s: %s not normalised (first: %s %d); to compare with other files run bcftools norm",
            file.path, many, file.unit, found.first_not_normalised,
        )  # fmt: skip
    return found


def _disagreement(found: Survey, file: VariantFile, genome: str) -> str:
    contig, start, number, ref, there = found.misfit or ("", 0, 0, "", "")
    text = (
        f"REF {ref[:SHOWN]}, genome {there[:SHOWN]} at {contig}:{start + 1} ({file.unit} {number}); {found.agree:,} of "
        f"{found.compared:,} REF alleles agree with {genome}"
    )
    clear = CLEAR * found.compared
    if found.agree + found.swapped >= clear:
        return f"{text}, and the ALT of {found.swapped:,} others does: are REF and ALT swapped?"
    for count, base, where in ((found.later, 0, "behind"), (found.earlier, 1, "before")):
        if count >= clear:
            table = file.format in ("tsv", "csv", "parquet") and base != file.position_base
            hint = f"set position_base: {base}" if table else "off by one"
            return f"{text}, but {count:,} with the base {where} the position: {hint}?"
    return f"{text}: wrong assembly?"


def _nothing(found: Survey) -> str:
    if set(found.counts) == {SEEN}:
        return (
            f"every run of the model has seen all {found.n:,} alleles in training; train the fold that tests them, or "
            "set runs: all and say so"
        )
    reasons = "; ".join(f"{reason} {count:,}" for reason, count in found.dropped().items())
    return f"none of {found.n:,} alleles can be scored: {reasons}"


def write_dropped(path: Path, found: Survey) -> None:
    """Write ``dropped.tsv``."""
    lines = ["reason\tcount\tfirst\texample"]
    lines += ["\t".join(str(cell).replace("\t", " ") for cell in row) for row in found.rows()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
