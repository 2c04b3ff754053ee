"""Samples of methylation calls: files of the track sheet whose quality is judged together."""

from collections.abc import Mapping
from pathlib import Path

from seqmill.config.experiments import EXPERIMENTS
from seqmill.config.names import slug
from seqmill.config.sheet import CALL_FORMATS, Track


def call_samples(tracks: Mapping[str, Track]) -> dict[str, list[Track]]:
    """Rows of calls as replicates of samples, by the name of the first row.

    Rows of the same assembly, assay, biosample and format are replicates of one another; without a biosample every
    file is a sample of its own. Of rows of one file (fractions, methylated, total, strands) the first stands for all.
    """
    found: dict[tuple[str, ...], dict[Path, Track]] = {}
    for track in tracks.values():
        if track.format in CALL_FORMATS:
            alike = (track.assay.lower(), track.biosample) if track.biosample else (str(track.path),)
            files = found.setdefault((track.assembly, track.format, *alike), {})
            files.setdefault(track.path, track)
    rows = [list(files.values()) for files in found.values()]
    return {first.track: [first, *others] for first, *others in rows}


def quality_place(track: Track, samples: Mapping[str, list[Track]]) -> str | None:
    """Name on disk of the quality that judges what a track is made of; None if nothing does."""
    if EXPERIMENTS in track.path.parents:
        return track.path.parent.name
    if track.format not in CALL_FORMATS:
        return None
    return next(slug(name) for name, rows in samples.items() if track.path in [row.path for row in rows])
