"""Successes and trials from tracks: methylated and all reads of the same calls, as targets of kind beta_binomial."""

from collections.abc import Iterator

import numpy as np

from seqmill.config.sheet import CALL_FORMATS, Track
from seqmill.examples.visits import Source
from seqmill.runtime.errors import InputError

_SAME = ("assembly", "location", "format", "context", "strand", "min_coverage", "bin_bp", "missing", "group")


def in_pairs(sources: list[Source], where: str) -> list[Source]:
    """Tracks in the order methylated, total, methylated, total, ...; partners are rows of one file.

    Raises InputError for a track that holds no counts of calls, without one partner, or whose values are changed.
    """
    for source in sources:
        track = source.track
        if track.format not in CALL_FORMATS or track.calls == "fraction":
            raise InputError(
                where, f"track {track.track}: successes and trials need methylation calls 'methylated' and 'total'"
            )
        if track.aggregate != "sum" or track.transform != "none" or track.scale != 1 or track.clip is not None:
            raise InputError(
                where, f"track {track.track}: reads must stay counts: aggregate sum, no transform, clip or scale"
            )
    by_calls = {
        calls: [source for source in sources if source.track.calls == calls] for calls in ("methylated", "total")
    }
    out: list[Source] = []
    for source in by_calls["methylated"]:
        partners = [other for other in by_calls["total"] if _key(other.track) == _key(source.track)]
        if len(partners) != 1:
            raise InputError(
                where,
                f"track {source.track.track} needs one partner, found {len(partners)}: a row of the same file, strand, "
                "context, min_coverage, missing, bin_bp and group with calls 'total'",
            )
        out += [source, partners[0]]
    if len(out) != len(sources):
        known = {source.track.track for source in out}
        alone = next(source.track.track for source in sources if source.track.track not in known)
        raise InputError(where, f"track {alone} needs a partner: a row of the same file with calls 'methylated'")
    return out


def _key(track: Track) -> tuple:
    return tuple(getattr(track, column) for column in _SAME)


def pair_blocks(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """From float32 (rows, 2 * pairs) in the order of `in_pairs` to (rows, 2, pairs), both missing where one is."""
    for block in blocks:
        pairs = block.reshape(len(block), -1, 2).transpose(0, 2, 1)
        yield np.where(np.isnan(pairs).any(axis=1, keepdims=True), np.float32(np.nan), pairs)
