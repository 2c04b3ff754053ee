"""Contact maps inside a track store: the upper triangle near the diagonal, row after row.

::

    contacts/{contig}/first     int64 (bins + 1): where the contacts of each bin1 begin in the two arrays below
    contacts/{contig}/bin2      int32, sorted within a row, bin2 >= bin1
    contacts/{contig}/value     float32, raw contacts (exact below 16,777,216)
    contacts/{contig}/weight    float64 (bins): what balances, NaN for masked bins; all 1 without normalisation

This is the layout of compressed sparse rows: a window is read from the rows that it covers, without a search. Raw
contacts and weights are kept apart, as cooler does (Abdennur and Mirny 2020, Bioinformatics 36:311), because a balanced
value cannot be turned back into a count.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqmill.config.names import slug
from seqmill.config.sheet import Track
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.arrays import ArrayWriter, StoredArray, write_groups

if TYPE_CHECKING:
    from seqmill.formats.contacts import ContactReader

CHUNK_ROWS, CHUNK_PIXELS = 1 << 14, 1 << 16
COLUMNS = ("first", "bin2", "value", "weight")


def write_contacts(part: Path, track: Track, genome_sizes: dict[str, int], partial: bool) -> dict[str, Any]:
    """Write the arrays of a contact map below ``part``; returns what the marker says of them.

    Raises
    ------
    InputError : see `seqmill.formats.contacts.ContactReader`; also for a map without contacts.
    """
    from seqmill.formats.contacts import ContactReader

    if not track.bin_bp:
        raise InputError(track.path, f"track {track.track} has no bin_bp: set it to a resolution of the file")
    total = masked = 0
    empty: list[str] = []
    with ContactReader(
        track.path, genome_sizes, bin_bp=track.bin_bp, normalization=track.normalization, partial=partial
    ) as reader:
        bins = sum(reader.n_bins(contig) for contig in reader.contigs)
        with Progress(f"track {track.track}", bins, "bins") as progress:
            for contig in reader.contigs:
                weights = reader.weights(contig)
                masked += int(np.isnan(weights).sum())
                found = _write_contig(part / "contacts" / slug(contig), reader, contig, weights, track, progress.add)
                empty += [] if found else [contig]
                total += found
        counts = dict(reader.counts)
        contigs, how = list(reader.contigs), reader.normalization
    if not total:
        raise InputError(
            track.path,
            f"no data: 0 contacts within {track.max_distance_bp:,} bp on the {len(contigs)} contig(s) shared with the "
            "genome",
        )
    if masked == bins:
        raise InputError(track.path, f"normalisation {how!r} masks all {bins:,} bins of the contigs of the genome")
    write_groups(
        part,
        [f"contacts/{slug(contig)}/{column}" for contig in contigs for column in COLUMNS],
        {"kind": "contacts", "bin_bp": track.bin_bp},
    )
    counts |= {"masked bins": masked, "contigs without contacts": len(empty)}
    return {
        "contigs": contigs,
        "absent": [contig for contig in genome_sizes if contig not in contigs],
        "counts": {reason: count for reason, count in sorted(counts.items()) if count},
        "contacts": total,
        "bins": {contig: -(-genome_sizes[contig] // track.bin_bp) for contig in contigs},
    }


def _write_contig(
    folder: Path,
    reader: "ContactReader",
    contig: str,
    weights: np.ndarray,
    track: Track,
    advance: Callable[[int], None],
) -> int:
    """Write the four arrays of a contig; returns the number of its contacts."""

    def array(column: str, dtype: str, chunk: int, axis: str) -> ArrayWriter:
        return ArrayWriter(folder / column, (), dtype, chunk, axes=(axis,))

    index = array("first", "int64", CHUNK_ROWS, "row")
    bin2, value = array("bin2", "int32", CHUNK_PIXELS, "contact"), array("value", "float32", CHUNK_PIXELS, "contact")
    index.append(np.zeros(1, np.int64))
    total = 0
    for first, last, pixels in reader.strips(contig, track.max_distance_bp):
        a_row = np.bincount(pixels.bin1 - first, minlength=last - first)
        index.append(total + np.cumsum(a_row, dtype=np.int64))
        bin2.append(pixels.bin2.astype(np.int32))
        value.append(pixels.value.astype(np.float32))
        total += len(pixels.bin1)
        advance(last - first)
    weight = array("weight", "float64", CHUNK_ROWS, "row")
    weight.append(weights)
    for written in (index, bin2, value, weight):
        written.close()
    return total


class ContactArrays:
    """Contacts of one contig, read.

    Parameters
    ----------
    arrays : the four arrays by name. bin_bp, max_distance_bp : of the track.
    """

    def __init__(self, arrays: dict[str, StoredArray], bin_bp: int, max_distance_bp: int):
        self.arrays = arrays
        self.n_bins = arrays["weight"].shape[0]
        self.band = max_distance_bp // bin_bp

    def rows(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Raw contacts with bin1 in [first, last), which lie on the contig.

        Returns
        -------
        int64 bin1 and bin2 (m,), sorted, and float32 values (m,).
        """
        starts = self.arrays["first"].read(first, last + 1)
        begin, end = int(starts[0]), int(starts[-1])
        bin1 = np.repeat(np.arange(first, last), np.diff(starts))
        return bin1, self.arrays["bin2"].read(begin, end).astype(np.int64), self.arrays["value"].read(begin, end)

    def window(self, start: int, n: int, balanced: bool) -> np.ndarray:
        """The square of ``n`` bins from ``start`` on, see `seqmill.stores.track.TrackReader.contacts`."""
        out = np.full((n, n), np.nan, np.float32)
        first, last = max(start, 0), min(start + n, self.n_bins)
        if last <= first:
            return out
        bin1, bin2, value = self.rows(first, last)
        inside = bin2 < last
        bin1, bin2 = bin1[inside] - first, bin2[inside] - first
        square = np.zeros((last - first, last - first))
        square[bin1, bin2] = square[bin2, bin1] = value[inside]
        weight = self.arrays["weight"].read(first, last)
        balance = weight if balanced else np.where(np.isnan(weight), np.nan, 1.0)
        square *= balance
        square *= balance[:, None]
        if self.band < last - first - 1:
            places = np.arange(last - first)
            square[np.abs(places[:, None] - places) > self.band] = np.nan  # left out of the store: not known
        out[first - start : last - start, first - start : last - start] = square
        return out
