"""Scores of variants chunk by chunk: while one is scored, the windows of the next are made."""

import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import numpy as np

from seqmill.effects.variants.alleles import Alleles, Examiner, Sequences, sequences
from seqmill.effects.variants.background import Chosen
from seqmill.effects.variants.compare import Beside
from seqmill.effects.variants.means import over_runs
from seqmill.effects.variants.plan import VariantPlan
from seqmill.effects.variants.state import ChunkStore
from seqmill.formats.variant_info import frequencies
from seqmill.formats.variant_records import Records
from seqmill.formats.variants import VariantFile
from seqmill.runtime.progress import Progress
from seqmill.stores.variants import table
from seqmill.training.loader import ahead

_LOG = logging.getLogger("seqmill")


def score_chunks(
    chunks: ChunkStore,
    plan: VariantPlan,
    source: VariantFile | Chosen,
    examiner: Examiner,
    progress: Progress,
    beside: Beside | None = None,
) -> int:
    """Score all chunks that are not there yet.

    Parameters
    ----------
    source : of the records, in blocks. beside : what further columns are made by; a background has no spread over runs.

    Returns
    -------
    The number of chunks.
    """
    ready, count = 0, 0

    def prepared() -> Iterator[tuple[int, int, Alleles | None, Sequences | None, np.ndarray | None]]:
        for number, records in enumerate(source.blocks(plan.chunk)):
            if chunks.has(number):
                yield number, len(records.start), None, None, None
                continue
            alleles = examiner.alleles(records)
            windows = sequences(examiner.genome, alleles, plan.ensemble.extent_bp)
            yield number, len(records.start), alleles, windows, _frequencies(source, number * plan.chunk, records)

    blocks: Generator[Any, None, None] = ahead(prepared(), lambda item: item)
    with closing(blocks), progress:
        for number, size, alleles, windows, maf in blocks:
            if alleles is None:
                ready += 1
            else:
                chunks.write(number, _chunk(plan, alleles, windows, maf, beside))
            progress.add(size)
            count += 1
    if ready:
        _LOG.info("%s: %d of %d chunks were there already", progress.what, ready, count)
    return count


def _frequencies(source: VariantFile | Chosen, first: int, records: Records) -> np.ndarray | None:
    """Frequency of each allele of a block that begins with record ``first``; None if the source does not know."""
    if isinstance(source, VariantFile):
        return frequencies(source, records) if source.more else None
    return source.maf[first : first + len(records.start)]


def _chunk(
    plan: VariantPlan,
    alleles: Alleles,
    windows: Sequences,
    maf: np.ndarray | None = None,
    beside: Beside | None = None,
) -> Any:
    """Table of one chunk: means over the runs that may score each allele, and what stands beside them."""
    of_background = beside is not None and beside.matched is None
    columns = plan.means if of_background else plan.columns
    runs = alleles.allowed.sum(axis=0).astype(np.int32)
    values = np.full((len(alleles), len(columns)), np.nan, np.float32)
    place: dict[str, Any] = {
        "contig": alleles.contig, "position_1based": alleles.start + 1, "id": alleles.id, "ref": alleles.ref,
        "alt": alleles.alt, "status": alleles.status, "runs": runs,
    }  # fmt: skip
    parts = []
    if len(windows.rows):
        found = over_runs(plan, windows, alleles.allowed[:, windows.rows])
        parts = [found.mean] if of_background or found.deviation is None else [found.mean, found.deviation]
    if beside is not None:
        means = parts[0] if parts else np.empty((0, len(plan.means)))
        statistics, more = beside.columns(means, alleles, windows, maf)
        parts, place = [*parts, statistics], place | more
    if len(windows.rows):
        values[windows.rows] = np.concatenate(parts, axis=1)
    return table(place, values, columns)
