"""Genotypes of VCF and BCF: which haplotype of which sample carries which allele, and what phase is known."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seqmill.formats.variant_records import Records
from seqmill.formats.variants import VariantFile
from seqmill.runtime.errors import InputError

UNPHASED, MISSING, NO_GT = "genotype not phased (/)", "genotype missing", "no GT in FORMAT"
ANY_SET = "any"
"""Phase set of what is the same on all haplotypes of a sample, whose phase is therefore known."""


class Call(NamedTuple):
    """Alleles of one sample at one record.

    Attributes
    ----------
    sample : its number in the file. alleles : of each haplotype, 0 is REF; empty where they are not known.
    phase_set : alleles of the same set lie on the same haplotypes: PS, or "" where none is given. problem : why
        ``alleles`` is empty.
    """

    sample: int
    alleles: tuple[int, ...]
    phase_set: str = ""
    problem: str = ""


def chosen_samples(file: VariantFile, wanted: Sequence[str] | None) -> list[int]:
    """Numbers of samples; of all if none are named. To be called after the first block of the file.

    Raises
    ------
    InputError : the file is a table, has no samples, or not those that are named.
    """
    if file.format not in ("vcf", "bcf"):
        raise InputError(file.path, f"haplotypes need genotypes of a VCF or BCF; this is {file.format.upper()}")
    if not file.samples:
        raise InputError(file.path, "no samples; haplotypes need phased genotypes (FORMAT GT and a column a sample)")
    for name in wanted or ():
        if name not in file.samples:
            known = ", ".join(file.samples[:10])
            raise InputError(file.path, f"no sample {name!r}; it has {len(file.samples)}: {known}")
    return [number for number, name in enumerate(file.samples) if wanted is None or name in wanted]


def calls(file: VariantFile, records: Records, row: int, samples: Sequence[int]) -> Iterator[Call]:
    """Genotypes of chosen samples at one record that are not REF throughout.

    Parameters
    ----------
    file : opened with ``more``. row : of the record in ``records``.

    Raises
    ------
    InputError : a genotype that cannot be read, or that names an allele which the record has not.
    """
    fields = records.more[row].split("\t")
    keys = fields[3].split(":") if len(fields) > 3 else []
    if "GT" not in keys:
        yield from (Call(sample, (), problem=NO_GT) for sample in samples[:1])
        return
    gt, ps = keys.index("GT"), keys.index("PS") if "PS" in keys else -1
    top = records.alt[row].count(",") + 1
    for sample in samples:
        if sample + 4 >= len(fields):
            raise InputError(
                file.path, f"{len(fields) - 4} sample column(s), expected {len(file.samples)}",
                record=records.number[row],
            )  # fmt: skip
        cells = fields[sample + 4].split(":")
        text = cells[gt] if gt < len(cells) else "."
        if text in ("0|0", "0/0", "0"):
            continue
        phase = cells[ps] if 0 <= ps < len(cells) else ""
        yield _call(file, sample, text, "" if phase == "." else phase, top, records.number[row])


def _call(file: VariantFile, sample: int, text: str, phase_set: str, top: int, number: int) -> Call:
    parts = text.replace("/", "|").split("|")
    if not all(part == "." or (part.isascii() and part.isdigit()) for part in parts):
        raise InputError(file.path, f"genotype {text[:20]!r} of {file.samples[sample]} cannot be read", record=number)
    if "." in parts:
        return Call(sample, (), problem=MISSING)
    alleles = tuple(map(int, parts))
    if max(alleles) > top:
        raise InputError(
            file.path, f"genotype {text[:20]!r} of {file.samples[sample]} names allele {max(alleles)}, ALT has {top}",
            record=number,
        )  # fmt: skip
    if len(set(alleles)) == 1:
        return Call(sample, alleles, ANY_SET)
    if "/" in text:
        return Call(sample, (), problem=UNPHASED)
    return Call(sample, alleles, phase_set)
