"""Scores of haplotypes: what all their variants do together, what they do one by one, and the difference.

The window of a haplotype begins ``extent_bp // 2`` bases before the middle of its variants. What lies left of the first
edit is as in the genome; edits of another length move what lies right of them. Each variant alone stands in the same
window, so that the interaction (together minus the sum of singles) is not one of places in the window.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.effects.variants.alleles import Examiner, Sequences
from seqmill.effects.variants.effects import SIGNED
from seqmill.effects.variants.haplotypes import Edit, Haplotype, LeftOut, haplotypes
from seqmill.effects.variants.means import over_runs
from seqmill.effects.variants.plan import SD, Group, VariantPlan
from seqmill.effects.variants.state import ChunkStore
from seqmill.formats.variants import OK, SEEN, open_variants
from seqmill.genome.sequence import encode
from seqmill.runtime.progress import Progress
from seqmill.stores.genome import GenomeReader
from seqmill.stores.variants import HAPLOTYPES_DROPPED, haplotype_table, write_haplotypes

SINGLES, INTERACTION = "singles", "interaction"


def groups_of(plan: VariantPlan) -> list[Group]:
    """Groups of columns: effects of the haplotypes, of those with a sign the sum of singles and the interaction, then
    the deviation over runs of the haplotypes' effects if it is asked for."""
    signed = [pair for pair in plan.wanted if pair[1] in SIGNED]
    found = [Group(*pair) for pair in plan.wanted]
    found += [Group(*pair, statistic) for statistic in (SINGLES, INTERACTION) for pair in signed]
    return found + ([Group(*pair, SD) for pair in plan.wanted] if plan.deviations else [])


def edited(codes: np.ndarray, start: int, edits: Sequence[Edit], extent_bp: int) -> np.ndarray:
    """A window with edits.

    Parameters
    ----------
    codes : uint8, the genome from ``start``, longer than the window by what the edits delete. edits : sorted.

    Returns
    -------
    uint8 (extent_bp,).
    """
    parts, at = [], start
    for edit in edits:
        parts += [codes[at - start : edit.start - start], encode(edit.alt)]
        at = edit.end
    return np.concatenate([*parts, codes[at - start :]])[:extent_bp]


def windows_of(genome: GenomeReader, found: Sequence[Haplotype], extent_bp: int) -> tuple[Sequences, np.ndarray]:
    """Windows of haplotypes, each followed by those of its variants alone; equal ones once.

    Returns
    -------
    Windows, a row a haplotype or single; and int64 (n,), the row of each haplotype.
    """
    known: dict[tuple[str, int, tuple[Edit, ...]], int] = {}
    codes: list[np.ndarray] = []
    ref: list[int] = []
    alt: list[int] = []
    first: list[int] = []
    for haplotype in found:
        start = (haplotype.start + haplotype.end) // 2 - extent_bp // 2
        lost = sum(len(edit.ref) for edit in haplotype.edits)
        wide = genome.codes(haplotype.contig, start, start + extent_bp + lost)

        def number(edits: tuple[Edit, ...], haplotype: Any = haplotype, start: int = start, wide: Any = wide) -> int:
            key = haplotype.contig, start, edits
            if key not in known:
                known[key] = len(codes)
                codes.append(edited(wide, start, edits, extent_bp))
            return known[key]

        first.append(len(ref))
        for edits in (haplotype.edits, *((edit,) for edit in haplotype.edits)):
            ref.append(number(()))
            alt.append(number(edits))
    rows = np.arange(len(ref))
    return Sequences(np.stack(codes), rows, np.array(ref), np.array(alt)), np.array(first, np.int64)


def score_haplotypes(
    part: Path, chunks: ChunkStore, plan: VariantPlan, path: Path, examiner: Examiner, samples: Sequence[str] | None
) -> dict[str, Any]:
    """Write ``haplotypes.parquet`` and ``haplotypes_dropped.tsv``.

    Parameters
    ----------
    part : folder to write into. chunks : of what is finished. path : VCF or BCF. samples : names, all if None.

    Returns
    -------
    Attributes for the marker: n, columns, dropped.

    Raises
    ------
    InputError : see `seqmill.effects.variants.haplotypes.haplotypes`.
    """
    file = open_variants(path, more="GT")
    left_out = LeftOut(file.unit)
    columns = plan.names(groups_of(plan))
    found = haplotypes(file, examiner, samples, plan.ensemble.window_bp // 2, left_out)
    n = count = 0
    progress = Progress(f"haplotypes of {path.name}", 0, "haplotypes")
    with progress:
        for block in _portions(found, plan.chunk):
            free = examiner.free(
                [one.contig for one in block], [(one.start + one.end) // 2 for one in block], [OK] * len(block)
            )
            fresh = np.logical_or.reduce(free)
            for row in np.flatnonzero(~fresh).tolist():
                one = block[row]
                left_out.add(SEEN, one.edits[0].number, f"{one.contig}:{one.names[0][:40]} {one.first}")
            kept = [block[row] for row in np.flatnonzero(fresh).tolist()]
            if kept:
                if not chunks.has(count):
                    chunks.write(count, _chunk(plan, examiner.genome, kept, free[:, fresh], columns))
                count, n = count + 1, n + len(kept)
            progress.add(len(block))
    write_haplotypes(part, map(chunks.read, range(count)), columns)
    (part / HAPLOTYPES_DROPPED).write_text(left_out.text(), encoding="utf-8")
    return {"n": n, "columns": columns, "dropped": dict(left_out.counts.most_common()), "samples": samples}


def _portions(found: Iterator[Haplotype], limit: int) -> Iterator[list[Haplotype]]:
    """Haplotypes in lists of at most ``limit`` predictions, or of one."""
    block: list[Haplotype] = []
    size = 0
    for one in found:
        each = 2 + len(one.edits)
        if block and size + each > limit:
            yield block
            block, size = [], 0
        block.append(one)
        size += each
    if block:
        yield block


def _chunk(
    plan: VariantPlan,
    genome: GenomeReader,
    found: list[Haplotype],
    free: np.ndarray,
    columns: list[str],
) -> Any:
    """Table of some haplotypes; ``free`` is bool (runs, haplotypes)."""
    windows, first = windows_of(genome, found, plan.ensemble.extent_bp)
    sizes = np.diff([*first.tolist(), len(windows.rows)])
    effects = over_runs(plan, windows, np.repeat(free, sizes, axis=1))
    whole = effects.mean[first]
    signed = np.array(plan.signed, bool)
    singles = (np.add.reduceat(effects.mean, first, axis=0) - whole)[:, signed]
    parts = [whole, singles, whole[:, signed] - singles]
    if effects.deviation is not None:
        parts.append(effects.deviation[first])
    return haplotype_table(
        {
            "contig": [one.contig for one in found],
            "start_1based": [one.start + 1 for one in found],
            "end_1based": [one.end for one in found],
            "variants": [",".join(one.names) for one in found],
            "n_variants": [len(one.edits) for one in found],
            "carriers": [one.carriers for one in found],
            "first_carrier": [one.first for one in found],
            "runs": free.sum(axis=0).tolist(),
        },
        np.concatenate(parts, axis=1), columns,
    )  # fmt: skip
