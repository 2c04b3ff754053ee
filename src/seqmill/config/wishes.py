"""What the sheet and the configuration ask of portals."""

from pathlib import Path
from typing import Any

from seqmill.config.asked import Asked
from seqmill.config.experiments import library_wishes
from seqmill.config.lock import LockRow
from seqmill.config.names import label_of
from seqmill.config.remote import FETCHED, fetched_folder
from seqmill.config.root import Config, parse
from seqmill.config.sheet import FORMATS, Track, guess_format, read_sheet
from seqmill.runtime.errors import InputError


def sheet_tracks(config: Config) -> list[Track]:
    """Tracks as the sheet has them, with the assembly filled in."""
    section, tracks = config.tracks, []
    for track in read_sheet(section.sheet) if section else []:
        assert section is not None
        only = next(iter(config.genomes)) if len(config.genomes) == 1 else ""
        if track.source == "reads":  # its experiment tells
            tracks.append(track)
            continue
        assembly = track.assembly or section.genome or only
        if assembly not in config.genomes:
            known = ", ".join(config.genomes)
            raise InputError(
                section.sheet,
                f"track {track.track}: assembly {assembly!r} is none of the configured genomes ({known})",
            )
        tracks.append(track.model_copy(update={"assembly": assembly}))
    return tracks


def track_wish(config: Config, track: Track) -> Asked:
    """What a row of the sheet asks of a portal."""
    assert config.tracks is not None
    genome = config.genomes[track.assembly]
    return Asked(
        name=track.track,
        location=track.location,
        assembly=genome.assembly or track.assembly,
        format=track.format,
        output_type=track.output_type,
        replicates=track.replicates,
        assay=track.assay,
        where=str(config.tracks.sheet),
    )


def format_of(row: LockRow, sheet: Path) -> str:
    """Format of a fetched track, where the sheet leaves it to the portal. Raises InputError if no track has it."""
    # A peak list of ENCODE is a .bed.gz whose kind only the portal says: "bed narrowPeak".
    kind = row.format.rpartition(" ")[2].lower()
    if kind == "sra":  # fetched as such, kept as FASTQ
        return "fastq"
    found = kind if kind in FORMATS else guess_format(row.file)
    if not found:
        raise InputError(
            sheet, f"track {row.name}: {row.file} ({row.format or 'no format stated'}) is no format of a track"
        )
    return found


def wishes(values: dict[str, Any], where: str) -> list[Asked]:
    """Everything remote that a configuration names: files of its sections, then rows of the sheet.

    Parameters
    ----------
    values : the configuration as it was written, see `seqmill.config.root.written`.
    where : the file it came from, for messages.
    """
    named: list[str] = []

    def note(location: str) -> Path:
        named.append(location)
        return fetched_folder(location)

    config = parse(values, where, note)
    assemblies = {
        label_of(path.name): genome.assembly or name
        for name, genome in config.genomes.items()
        for path in genome.source_files()
        if FETCHED in path.parents
    }
    found = {
        location: Asked(name=location, location=location, assembly=assemblies.get(location, ""), where=where)
        for location in named
    }
    tracks = [track_wish(config, track) for track in sheet_tracks(config) if track.source not in ("local", "reads")]
    for wish in tracks:
        if wish.name in found:
            raise InputError(wish.where, f"track {wish.name!r} has the name of a file of {where}; name it otherwise")
    libraries, names = library_wishes(config), {*found, *(wish.name for wish in tracks)}
    for wish in libraries:
        if wish.name in names:
            raise InputError(wish.where, f"library {wish.name!r} has the name of a track or a file; name it otherwise")
    return [*found.values(), *tracks, *libraries]
