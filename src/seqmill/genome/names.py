"""Contig names: `1` and `chr1`, `chrII` and `II`, `MT` and `chrM` are one contig where that is certain."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from seqmill.runtime.errors import InputError

MITOCHONDRION = {"m", "mt", "mito"}
# Length of chromosome 1 tells the usual assemblies apart.
CHR1_SIZES = {249_250_621: "hg19", 248_956_422: "hg38", 195_471_971: "mm10", 195_154_279: "mm39"}


def core_name(name: str) -> str:
    """What is left of a name without its style: names with one core may be one contig.

    Roman and Arabic numerals stay different.
    """
    core = name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name
    return "MT" if core.lower() in MITOCHONDRION else core


def match_names(found: Iterable[str], genome: Mapping[str, int], where: str) -> dict[str, str]:
    """Names in a file -> names in the genome, as `harmonise` but without lengths; may be empty."""
    found = list(dict.fromkeys(found))
    mapping = {name: name for name in found if name in genome}
    free = defaultdict(list)
    for name in genome:
        if name not in mapping:
            free[core_name(name)].append(name)
    wanting = defaultdict(list)
    for name in found:
        if name not in mapping and core_name(name) in free:
            wanting[core_name(name)].append(name)
    for key, names in wanting.items():
        if len(names) > 1 or len(free[key]) > 1:
            raise InputError(
                where,
                f"contig names are ambiguous: {', '.join(names)} in the file could be {', '.join(free[key])} of the "
                "genome; rename them",
            )
        mapping[names[0]] = free[key][0]
    return mapping


def harmonise(
    found: Iterable[str],
    genome: Mapping[str, int],
    where: str,
    *,
    sizes: Mapping[str, int] | None = None,
    partial: bool = False,
) -> dict[str, str]:
    """Names in a file -> names in the genome.

    Equal names go together. Other names go together when they differ only in style and when exactly one found and one
    genome name have that core. A mitochondrion under another name and of another length is another sequence (hg19
    has two) and is left out, as is every name that matches nothing.

    Parameters
    ----------
    found : contig names of the file.
    genome : contig name -> length in bp.
    where : the file, for messages.
    sizes : contig name of the file -> length in bp, where the file states it.
    partial : the genome is a piece of an assembly: the file may state longer contigs.

    Raises
    ------
    InputError : no name matches, a style is ambiguous, or lengths disagree.
    """
    found = list(dict.fromkeys(found))
    mapping = match_names(found, genome, where)
    if sizes is not None:
        mapping = {name: target for name, target in mapping.items() if not _other_mt(name, target, genome, sizes)}
    if not mapping:
        raise InputError(
            where,
            f"no contig is in the genome (different naming styles or another genome?): the file has {_first(found)}; "
            f"the genome has {_first(list(genome))}",
        )
    if sizes is not None:
        _check_sizes(mapping, genome, where, sizes, partial)
    return mapping


def _other_mt(name: str, target: str, genome: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
    return name != target and core_name(name) == "MT" and sizes.get(name, genome[target]) != genome[target]


def _first(names: list[str], count: int = 5) -> str:
    shown = ", ".join(names[:count]) or "none"
    return shown + (f", ... ({len(names)} names)" if len(names) > count else "")


def _check_sizes(
    mapping: Mapping[str, str], genome: Mapping[str, int], where: str, sizes: Mapping[str, int], partial: bool
) -> None:
    wrong = []
    for name, target in mapping.items():
        size = sizes.get(name)
        if size is not None and size != genome[target] and not (partial and size > genome[target]):
            wrong.append((name, size, genome[target]))
    if wrong:
        text = "; ".join(f"{name} {size:,} in the file, {length:,} in the genome" for name, size, length in wrong[:3])
        raise InputError(where, f"{len(wrong)} contig length(s) differ from the genome: {text}{_hint(wrong)}")


def _hint(wrong: list[tuple[str, int, int]]) -> str:
    for _, size, length in wrong:
        file_is, genome_is = CHR1_SIZES.get(size), CHR1_SIZES.get(length)
        if file_is and genome_is:
            return f" (the file is {file_is}, the genome is {genome_is})"
        if file_is:
            return f" (the file is {file_is}; is the genome another assembly, or only a piece: partial: true?)"
        if genome_is:
            return f" (the genome is {genome_is}; the file is another assembly)"
    if all(size > length for _, size, length in wrong):
        return " (another assembly, or is the genome only a piece of one: partial: true?)"
    return " (another assembly?)"
