"""Experiments of a project: those of the sheet of reads, and rows of the track sheet that are reads themselves."""

from pathlib import Path

from seqmill.config.asked import Asked
from seqmill.config.locked import Locked
from seqmill.config.names import slug
from seqmill.config.reads import (
    OUTPUTS,
    Experiment,
    Library,
    assay_kind,
    check_row,
    experiments,
    guess_reads_format,
    output_file,
    read_reads_sheet,
)
from seqmill.config.remote import READS, fetched_folder, source_of
from seqmill.config.root import Config
from seqmill.config.sheet import Track
from seqmill.runtime.errors import InputError

# Experiments lie here, as fetched files do in `remote.FETCHED`.
EXPERIMENTS = Path("results/experiments")


def sheet_libraries(config: Config) -> list[Library]:
    """Rows of the sheet of reads, with the assembly filled in."""
    sheet, rows = config.reads.sheet, []
    for row in read_reads_sheet(sheet) if sheet else []:
        only = next(iter(config.genomes)) if len(config.genomes) == 1 else ""
        assembly = row.assembly or only
        if assembly not in config.genomes:
            known = ", ".join(config.genomes)
            raise InputError(
                sheet or "",
                f"experiment {row.experiment}: assembly {assembly!r} is none of the configured genomes ({known})",
            )
        rows.append(row.model_copy(update={"assembly": assembly}))
    return rows


def library_names(rows: list[Library]) -> list[str]:
    """A name of each row for the lock: experiment and replicate, and a number from the second run on.

    >>> row = Library(experiment="k", location="a.fq", assay="ATAC-seq")
    >>> library_names([row, row])
    ['k.1', 'k.1.2']
    """
    seen: dict[str, int] = {}
    names = []
    for row in rows:
        base = f"{row.experiment}.{row.replicate}"
        seen[base] = seen.get(base, 0) + 1
        names.append(base if seen[base] == 1 else f"{base}.{seen[base]}")
    return names


def library_wishes(config: Config) -> list[Asked]:
    """What the sheet of reads asks of portals."""
    rows = sheet_libraries(config)
    return [
        _wish(config, name, row) for name, row in zip(library_names(rows), rows) if source_of(row.location) != "local"
    ]


def _wish(config: Config, name: str, row: Library) -> Asked:
    return Asked(
        name=name,
        location=row.location,
        assembly=config.genomes[row.assembly].assembly or row.assembly,
        format=row.format,
        assay=row.assay,
        where=str(config.reads.sheet),
    )


class Libraries:
    """All reads of a project.

    Parameters
    ----------
    config, locked : of the project.
    tracks : rows of the track sheet, their formats filled in; those that are reads of a known assay are experiments
        of one library by their own name.

    Attributes
    ----------
    experiments : by name. folders : of a remote row, by (experiment, replicate, run): where its files lie once fetched.
    """

    def __init__(self, config: Config, locked: Locked, tracks: list[Track]):
        rows = sheet_libraries(config)
        where = str(config.reads.sheet or (config.tracks and config.tracks.sheet))
        named = [*zip(library_names(rows), rows)]
        known = {row.experiment for row in rows}
        for track in tracks:
            row = track_library(track, where)
            if row is not None:
                if row.experiment in known:
                    raise InputError(where, f"experiment {row.experiment} has the name of a track of reads")
                named.append((track.track, row))
        self.folders: dict[tuple[str, int, int], Path] = {}
        self.names: dict[tuple[str, int, int], str] = {}
        numbers: dict[tuple[str, int], int] = {}
        filled = []
        for name, row in named:
            run = numbers.setdefault((row.experiment, row.replicate), 0)
            numbers[row.experiment, row.replicate] += 1
            if source_of(row.location) != "local":
                if row.experiment in known:
                    locked.of(_wish(config, name, row))
                row = row.model_copy(update={"format": row.format or _locked_format(locked, name, where)})
                self.folders[row.experiment, row.replicate, run] = fetched_folder(name)
                self.names[row.experiment, row.replicate, run] = name
            filled.append(row)
        self.experiments: dict[str, Experiment] = experiments(filled, where)


def _locked_format(locked: Locked, name: str, where: str) -> str:
    """Format of a fetched row. Raises InputError if it is none of reads."""
    row = locked.rows[name][0]
    kind = "fastq" if row.format.lower() == "sra" else row.format.lower()
    found = kind if kind in ("fastq", "bam") else guess_reads_format(row.file)
    if not found:
        raise InputError(where, f"{name}: {row.file} ({row.format or 'no format stated'}) holds no reads")
    return found


def track_library(track: Track, where: str) -> Library | None:
    """A row of the track sheet that is FASTQ, as a library; None if it is not, or of an assay that makes no signal."""
    if track.format != "fastq":
        return None
    try:
        assay_kind(track.assay)
    except ValueError:
        return None
    row = Library(
        experiment=track.track,
        location=track.location,
        mate=track.mate,
        format="fastq",
        **track.model_dump(include={"assay", "target", "biosample", "assembly", "description", "licence"}),
    )
    try:
        check_row(row)
    except ValueError as error:
        raise InputError(where, f"track {track.track}: {error}") from None
    return row


def resolve_track(track: Track, found: dict[str, Experiment], where: str) -> Track:
    """A track that is an output of an experiment, with the path and format of its file.

    Raises InputError for an experiment, output, replicate or strand that is not there; says which are.
    """
    name = track.location.removeprefix(READS) if track.source == "reads" else track.track
    what = f"track {track.track}: {track.location}"
    if name not in found:
        raise InputError(where, f"{what}: no such experiment; known: {', '.join(found) or 'none (set reads.sheet)'}")
    experiment = found[name]
    words = {OUTPUTS[key][0]: key for key in experiment.outputs()}
    output = words.get(track.output_type, "") if track.output_type not in ("", "reads") else experiment.outputs()[0]
    if not output:
        raise InputError(where, f"{what}: output_type {track.output_type!r} is none of {', '.join(words)}")
    replicate = track.replicates
    if replicate and replicate not in map(str, experiment.replicates):
        raise InputError(where, f"{what}: replicate {replicate!r} is none of {[*experiment.replicates]}; empty: all")
    if replicate and output == "reproducible_peaks":
        raise InputError(where, f"{what}: reproducible peaks are of all replicates; leave replicates empty")
    stranded = experiment.assay == "rna" and experiment.strandedness != "none"
    if track.strand != "." and not stranded:
        raise InputError(where, f"{what}: strand {track.strand!r}, but only stranded RNA has strands")
    assembly = track.assembly or experiment.assembly
    if assembly != experiment.assembly:
        raise InputError(where, f"{what}: assembly {assembly!r}, the experiment is on {experiment.assembly!r}")
    file = output_file(output, replicate, track.strand, replicates=len(experiment.replicates))
    return track.model_copy(
        update={
            "location": (EXPERIMENTS / slug(name) / file).as_posix(),
            "format": "narrowpeak" if output.endswith("peaks") else "bigwig",
            "assembly": assembly,
            "mate": "",
        }
    )
