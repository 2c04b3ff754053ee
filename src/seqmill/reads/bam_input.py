"""Alignments that are given (BAM, CRAM): looked at in a child process before any of them is used."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seqmill.formats.bam import check_container, check_index_reach
from seqmill.genome.names import harmonise
from seqmill.reads.gate import NO_READ, PAIRED, PROPER, UNMAPPED
from seqmill.runtime.errors import InputError
from seqmill.runtime.isolate import run_isolated

LOOKED_AT = 10_000
"""Mapped reads that tell single from paired ones."""
TIMEOUT_S = 3600.0  # of a file that begins with very many unmapped reads
NO_NETWORK = {"REF_PATH": "/nonexistent"}
"""htslib would ask a host for the reference of a CRAM."""


class Alignments(NamedTuple):
    """What a file of alignments is.

    Attributes
    ----------
    names : contigs of the file that the genome has -> their names there.
    paired : pairs, else single reads. grouped : mates stand one after the other.
    shifted : command line that shifted cut sites already, '' if none. cram : a CRAM, which needs its reference.
    """

    names: dict[str, str]
    paired: bool
    grouped: bool
    shifted: str
    cram: bool


def look(path: str | Path, sizes: Mapping[str, int], *, partial: bool, reference: Path | None = None) -> Alignments:
    """Check a file of alignments.

    Parameters
    ----------
    sizes : contig -> bp of the genome. partial : it is a piece of an assembly. reference : FASTA, for a CRAM.

    Raises
    ------
    InputError : no BAM or CRAM, cut, of another genome, without mapped reads, single and paired reads mixed, or
        paired reads of which none is a proper pair. A file that lost its end between two blocks and got a new end
        mark shows only by its index, if that is not older than the file.
    """
    path = Path(path)
    check_container(path, reference)
    found = run_isolated(
        "seqmill.reads.bam_input:_look",
        str(path),
        None if reference is None else str(reference),
        where=str(path),
        timeout_s=TIMEOUT_S,
    )
    lengths: dict[str, int] = found["lengths"]
    names = harmonise(lengths, sizes, str(path), sizes=lengths, partial=partial)
    layout: Counter[str] = found["layout"]
    if not layout["mapped"]:
        raise InputError(path, "0 mapped reads; was it aligned?")
    if layout["paired"] not in (0, layout["mapped"]):
        raise InputError(
            path,
            f"mixes single and paired reads ({layout['paired']:,} of the first {layout['mapped']:,} are of pairs); "
            "give each kind as a library of its own",
        )
    if layout["paired"] and layout["mapped"] == LOOKED_AT and not layout["proper"]:
        raise InputError(path, f"0 properly paired reads among the first {LOOKED_AT:,} mapped ones")
    return Alignments(names, bool(layout["paired"]), found["grouped"], found["shifted"], found["cram"])


def _look(path: str, reference: str | None) -> dict[str, Any]:
    """What the header and the first reads say; runs in a child."""
    import os

    import pysam

    os.environ.update(NO_NETWORK)
    pysam.set_verbosity(0)
    written = Path(path).stat().st_mtime
    for index in (Path(f"{path}.bai"), Path(f"{path}.csi"), Path(path).with_suffix(".bai")):
        if index.is_file() and index.stat().st_mtime >= written:
            check_index_reach(path, index)
    layout: Counter[str] = Counter()
    try:
        with pysam.AlignmentFile(path, check_sq=False, reference_filename=reference) as file:
            header = file.header.to_dict()
            for read in file.fetch(until_eof=True):
                if read.flag & (NO_READ | UNMAPPED):
                    continue
                layout["mapped"] += 1
                layout["paired"] += bool(read.flag & PAIRED)
                layout["proper"] += bool(read.flag & PROPER)
                if layout["mapped"] == LOOKED_AT:
                    break
            lengths, cram = dict(zip(file.references, file.lengths)), bool(file.is_cram)
    except (OSError, ValueError, MemoryError) as error:
        raise InputError(path, f"damaged or truncated alignment file ({error})") from None
    order = header.get("HD", {})
    commands = [str(program.get("CL", "")) for program in header.get("PG", [])]
    return {
        "lengths": lengths,
        "layout": layout,
        "grouped": order.get("SO") == "queryname" or order.get("GO") == "query",
        "shifted": next((line for line in commands if "ATACshift" in line), ""),
        "cram": cram,
    }
