"""The track store: one source file, binned (signal), as intervals (peak lists) or contacts, on one genome's contigs.

::

    tracks/{track}.zarr/    marker.json run.json zarr.json
       bins/{contig}/       float32, bin i covers bases [i * bin_bp, (i + 1) * bin_bp); the last may be shorter
       intervals/{contig}/{start,end,summit,score}/   int32, int32, int32, float32, sorted by start
       contacts/{contig}/{first,bin2,value,weight}/   see `seqmill.stores.contacts`

Values are those of the file, aggregated, with the sheet's ``sign`` and ``missing`` applied; transform, clip and scale
come later, when a dataset is written. Peak lists stay intervals because bins lose summits and overlap fractions.
"""

import logging
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from seqmill.config.names import slug
from seqmill.config.sheet import CALL_FORMATS, Track, is_methylation
from seqmill.runtime.errors import InputError, WorkerError
from seqmill.runtime.marker import MARKER, Marker, file_digest, read_marker
from seqmill.runtime.progress import Progress
from seqmill.stores.arrays import ArrayWriter, StoredArray, write_groups
from seqmill.stores.contacts import COLUMNS as CONTACT_COLUMNS
from seqmill.stores.contacts import ContactArrays, write_contacts
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, open_noun, upstream

CHUNK_BINS = 1 << 16
BLOCK_BINS = 1 << 18
BLOCK_BP = 1 << 24
CACHE_BYTES = 32_000_000
COLUMNS = ("start", "end", "summit", "score")
_TABLE = {"bed": "bed", "narrowpeak": "narrowPeak", "broadpeak": "broadPeak"}
_FRAGMENT_MODE = {"coverage": "coverage", "fragments": "coverage", "cuts": "ends", "centres": "centres"}
_UNITS = {"bam": "reads", "fragments": "fragments"}


class Intervals(NamedTuple):
    """Intervals of one contig, sorted by start: int32 start, end, summit (n,) and float32 score (n,), NaN if none."""

    start: np.ndarray
    end: np.ndarray
    summit: np.ndarray
    score: np.ndarray


def build_track(
    folder: str | Path,
    *,
    track: Track,
    genome: GenomeReader,
    partial: bool,
    on_bad_track: Literal["fail", "drop", "mask"] = "fail",
    quality: Path | None = None,
    on_poor_quality: Literal["warn", "mask", "refuse"] = "warn",
) -> Marker:
    """Write the store of one row of the sheet. Memory does not grow with the file or the contigs.

    Parameters
    ----------
    folder : ``…/{track}.zarr``.
    track : the row; ``bin_bp`` must be set for signal.
    partial : the genome is a piece of an assembly: longer headers are accepted, records past its end dropped.
    on_bad_track : what a file that cannot be read does: raise, or give a store whose state is "dropped" (datasets leave
        it out) or "masked" (all missing), with a warning that names file and cause.
    quality : noun that judges the reads it is made of, if any. on_poor_quality : what a poor one does: raise, or give
        a store whose state is "masked".

    Raises
    ------
    InputError, WorkerError if the file cannot be read and ``on_bad_track`` is "fail", or its reads are refused.
    """
    poor = _poor(quality) if quality else ""
    if poor and on_poor_quality == "refuse":
        raise InputError(track.path, f"track {track.track}: the quality of its reads is poor: {poor}")
    if poor and on_poor_quality == "mask":
        reason = f"{track.path}: the quality of its reads is poor: {poor}"
        return _write_without(folder, track, genome, "masked", reason)
    try:
        return _write_track(folder, track, genome, partial)
    except (InputError, WorkerError) as error:
        if on_bad_track == "fail":
            raise
        return _write_without(folder, track, genome, "dropped" if on_bad_track == "drop" else "masked", str(error))


def _poor(quality: Path) -> str:
    """Why the reads of an experiment are poor, '' if they are not."""
    attrs = open_noun(quality, "quality").attrs
    bad = [finding["words"] for finding in attrs["findings"] if finding["level"] in ("error", "not compliant")]
    return "; ".join(bad) if attrs["verdict"] == "poor" else ""


def _write_without(folder: str | Path, track: Track, genome: GenomeReader, state: str, reason: str) -> Marker:
    """A store without values."""
    logging.getLogger("seqmill").warning("track %s is %s: %s", track.track, state, reason)
    attrs = {**_attrs(track), "state": state, "reason": reason, "source_sha256": None}
    with _folder(folder, track, genome) as (part, out, _):
        write_groups(part, [], {"state": state})
        out |= attrs | {"contigs": [], "absent": list(genome.sizes), "counts": {}}
    return read_marker(folder)


def _experiment(track: Track) -> list[Path]:
    """Folder of the experiment that a track is a file of."""
    folder = track.path.parent
    made = (folder / MARKER).is_file() and read_marker(folder).noun == "experiment"
    return [folder] if made else []


def _folder(folder: str | Path, track: Track, genome: GenomeReader):
    return noun_folder(
        folder,
        noun="track",
        label=track.track,
        inputs=upstream(genome.folder, *_experiment(track)),
        parameters={"track": track.model_dump(mode="json")},
        packages=("numpy", "zarr", "hictkpy" if track.kind == "contacts" else "pybigtools", "pysam"),
    )


def _attrs(track: Track) -> dict[str, Any]:
    if track.kind == "contacts":
        return {
            "kind": "contacts",
            "bin_bp": track.bin_bp,
            "max_distance_bp": track.max_distance_bp,
            "normalization": track.normalization,
            "units": "contacts",
            "assembly": track.assembly,
        }
    signal = track.kind == "signal"
    return {
        "kind": track.kind,
        "bin_bp": track.bin_bp if signal else None,
        "aggregate": track.aggregate if signal else None,
        "missing": track.missing if signal else None,
        "sign": track.sign if signal else None,
        "units": _units(track) if signal else "intervals",
        "assembly": track.assembly,
    }


def _units(track: Track) -> str:
    if track.format in CALL_FORMATS:
        return "fraction" if track.calls == "fraction" else "reads"
    return _UNITS.get(track.format, "signal")


def _write_track(folder: str | Path, track: Track, genome: GenomeReader, partial: bool) -> Marker:
    write = {"signal": _write_signal, "intervals": _write_intervals, "contacts": _write_contacts}[track.kind]
    if not track.path.is_file():
        what = "is not a regular readable file" if track.path.exists() else "does not exist"
        raise InputError(track.path, f"source of track {track.track} {what}")
    with _folder(folder, track, genome) as (part, out, _):
        out |= _attrs(track) | {"state": "ok", "reason": ""}
        out |= write(part, track, genome, partial)
        out["source_sha256"] = file_digest(track.path)
        for made in _experiment(track):
            out["experiment"] = {key: open_noun(made, "experiment").attrs.get(key) for key in ("assay", "shift")}
    return read_marker(folder)


def _write_intervals(part: Path, track: Track, genome: GenomeReader, partial: bool) -> dict[str, Any]:
    from seqmill.formats.intervals import read_intervals

    found = read_intervals(track.path, _TABLE[track.format], genome.sizes, partial=partial)
    contigs = [contig for contig in genome.sizes if contig in found.by_contig]
    for contig in contigs:
        for column in COLUMNS:
            values = getattr(found[contig], column)
            array = ArrayWriter(
                part / "intervals" / slug(contig) / column, (), values.dtype.name, CHUNK_BINS, axes=("interval",)
            )
            array.append(values)
            array.close()
    paths = [f"intervals/{slug(contig)}/{column}" for contig in contigs for column in COLUMNS]
    write_groups(part, paths, {"kind": "intervals"})
    return {
        "contigs": contigs,
        "absent": [],  # a contig without peaks in the list has none
        "counts": _plain(found.counts),
        "intervals": sum(len(found[contig].start) for contig in contigs),
    }


def _write_contacts(part: Path, track: Track, genome: GenomeReader, partial: bool) -> dict[str, Any]:
    return write_contacts(part, track, genome.sizes, partial)


def _options(track: Track, genome: GenomeReader) -> dict[str, Any]:
    """What the reader of the track's format is told."""
    if track.format in CALL_FORMATS:
        return {
            "windows": genome.many,
            "calls": track.calls,
            "context": track.context,
            "strand": track.strand,
            "min_coverage": track.min_coverage,
        }
    if track.format == "fragments":
        shifts = {"plus_shift": track.plus_shift, "minus_shift": track.minus_shift}
        return {"mode": _FRAGMENT_MODE[track.reads], **shifts}
    if track.format != "bam":
        return {}
    if track.reads == "centres":
        raise InputError(track.path, f"track {track.track}: reads 'centres' is for fragment files, not for BAM")
    return {
        "mode": track.reads,
        "strand": track.strand,
        "plus_shift": track.plus_shift,
        "minus_shift": track.minus_shift,
        "mapq_min": track.mapq_min,
    }


def _write_signal(part: Path, track: Track, genome: GenomeReader, partial: bool) -> dict[str, Any]:
    from seqmill.formats.signal import open_signal

    if not track.bin_bp:
        raise InputError(track.path, f"track {track.track} has no bin_bp")
    bin_bp, flip = track.bin_bp, track.sign == "flip"
    aggregate: Any = {"max": "min", "min": "max"}.get(track.aggregate, track.aggregate) if flip else track.aggregate
    step = max(1, min(BLOCK_BINS, BLOCK_BP // bin_bp))
    with open_signal(track.path, track.format, genome.sizes, partial=partial, **_options(track, genome)) as reader:
        contigs = [contig for contig in genome.sizes if contig in reader.contigs or reader.absent_is_zero]
        total = sum(genome.sizes[contig] for contig in contigs)
        with Progress(f"track {track.track}", total, "bp") as progress:
            for contig in contigs:
                n_bins = math.ceil(genome.sizes[contig] / bin_bp)
                array = ArrayWriter(part / "bins" / slug(contig), (), "float32", CHUNK_BINS, axes=("bin",))
                for first in range(0, n_bins, step):
                    count = min(step, n_bins - first)
                    values = reader.bins(contig, first, count, bin_bp, aggregate, track.missing)
                    array.append(0 - values if flip else values)
                    progress.add(count * bin_bp)
                array.close()
        low, high = reader.value_range
        counts, about = _plain(reader.counts), reader.about
    _warn(track, -high if flip else low, -low if flip else high)
    write_groups(part, [f"bins/{slug(contig)}" for contig in contigs], {"kind": "signal", "bin_bp": bin_bp})
    absent = [contig for contig in genome.sizes if contig not in contigs]
    return {"contigs": contigs, "absent": absent, "counts": counts, **about}


def _warn(track: Track, low: float, high: float) -> None:
    log = logging.getLogger("seqmill")
    if low < 0:
        hint = "log ratio? For a minus strand stored as negative values set sign to flip"
        log.warning("%s: track %s: smallest bin %g, expected ≥ 0 (%s)", track.path, track.track, low, hint)
    if low == high:
        log.warning("%s: track %s: every bin is %g (std 0)", track.path, track.track, low)
    if (is_methylation(track.assay) or track.format in CALL_FORMATS) and track.missing == "zero":
        text = "%s: track %s: missing is 'zero' for assay %s: bases without a call count as unmethylated"
        log.warning(text, track.path, track.track, track.assay or track.format)
    if track.format in _UNITS and track.missing == "nan":
        text = "%s: track %s: missing is 'nan' for counted reads: bases without any are left out of the mean"
        log.warning(text, track.path, track.track)


def _plain(counts: Any) -> dict[str, int]:
    return {str(reason): int(count) for reason, count in sorted(counts.items()) if count}


class TrackReader:
    """A track, opened for reading.

    Attributes
    ----------
    kind : "signal", "intervals" or "contacts". bin_bp : bp of a bin, None for intervals.
    state : "ok", "dropped" or "masked". attrs, name, digest : of the marker.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.marker = open_noun(self.folder, "track")
        self.attrs, self.digest = self.marker.attrs, self.marker.digest
        self.name: str = self.attrs["name"]
        self.kind: str = self.attrs["kind"]
        self.bin_bp: int | None = self.attrs["bin_bp"]
        self.state: str = self.attrs["state"]
        self._contigs = set(self.attrs["contigs"])
        self._arrays: dict[str, StoredArray] = {}
        self._maps: dict[str, ContactArrays] = {}

    def _array(self, path: str) -> StoredArray:
        if path not in self._arrays:
            self._arrays[path] = StoredArray(self.folder, self.marker, path, cache_bytes=CACHE_BYTES)
        return self._arrays[path]

    def _expect(self, kind: str) -> None:
        if self.kind != kind:
            raise InputError(self.folder, f"track {self.name} holds {self.kind}, {kind} asked for")

    def bins(self, contig: str, start_bin: int, n: int) -> np.ndarray:
        """Values of ``n`` bins from ``start_bin`` on, float32 (n,).

        NaN outside the contig, on contigs that the source file does not know, and everywhere if the track is masked.
        """
        self._expect("signal")
        out = np.full(n, np.nan, np.float32)
        if contig in self._contigs:
            inside = self._array(f"bins/{slug(contig)}").read(start_bin, start_bin + n)
            first = max(0, -start_bin)
            out[first : first + len(inside)] = inside
        return out

    def intervals(self, contig: str) -> Intervals:
        """All intervals of ``contig``, none on contigs without."""
        self._expect("intervals")
        if contig not in self._contigs:
            none = np.zeros(0, np.int32)
            return Intervals(none, none, none, np.zeros(0, np.float32))
        arrays = [self._array(f"intervals/{slug(contig)}/{column}") for column in COLUMNS]
        return Intervals(*(array.read(0, array.shape[0]) for array in arrays))

    def _map(self, contig: str) -> ContactArrays:
        if contig not in self._maps:
            arrays = {column: self._array(f"contacts/{slug(contig)}/{column}") for column in CONTACT_COLUMNS}
            self._maps[contig] = ContactArrays(arrays, self.attrs["bin_bp"], self.attrs["max_distance_bp"])
        return self._maps[contig]

    def contacts(self, contig: str, start_bin: int, n_bins: int, *, balanced: bool = True) -> np.ndarray:
        """The contact map of ``n_bins`` bins from ``start_bin`` on.

        Parameters
        ----------
        balanced : with the weights of the sheet's normalisation, else raw contacts.

        Returns
        -------
        float32 (n_bins, n_bins), symmetric. 0 is "no contact found"; NaN is "not known": rows and columns of bins that
        the normalisation masks (raw too) or that lie outside the contig, contacts further apart than the track's
        ``max_distance_bp``, contigs that the file does not hold, and everything if the track is masked.
        """
        self._expect("contacts")
        if contig not in self._contigs:
            return np.full((n_bins, n_bins), np.nan, np.float32)
        return self._map(contig).window(start_bin, n_bins, balanced)

    def contact_rows(self, contig: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Raw contacts with bin1 in [first, last): int64 bin1 <= bin2 (m,), sorted, and float32 values (m,).

        For passes over a whole map, a run of rows after the other. None on contigs that the file does not hold.
        """
        self._expect("contacts")
        first, last = max(first, 0), min(last, self._map(contig).n_bins if contig in self._contigs else 0)
        if last <= first:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        return self._map(contig).rows(first, last)

    def contact_weights(self, contig: str) -> np.ndarray:
        """Factors that balance the bins of a contig: float64 (bins,), NaN where masked; empty if it is not held."""
        self._expect("contacts")
        return (
            self._array(f"contacts/{slug(contig)}/weight").read(0, 1 << 62) if contig in self._contigs else np.zeros(0)
        )
