"""Steps that make track stores, and those that make the files of tracks."""

from pathlib import Path

from seqmill.config.experiments import EXPERIMENTS
from seqmill.config.names import label_of, slug
from seqmill.config.scope import track_scope
from seqmill.runtime.errors import InputError
from seqmill.stages.reads import deciding_quality, of_experiment
from seqmill.stages.sources import givers, of_fetch, of_genome
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps, some_of
from seqmill.stores.versions import FORMATS


def makers(steps: Steps, sources: list[Path]) -> list[Step]:
    """Steps that make or fetch some of ``sources``."""
    made = [path.parent.name for path in sources if EXPERIMENTS in path.parents]
    return [*givers(steps, sources), *(of_experiment(steps, label_of(name)) for name in made)]


def of_track(steps: Steps, name: str) -> Step:
    """One track store; for reads, which have none, their files."""
    if name not in steps.project.tracks:
        raise InputError(
            steps.project.where, f"track {name!r} is not in the sheet; known: {some_of(steps.project.tracks)}"
        )
    row, sheet = steps.project.tracks[name], steps.project.config.tracks
    if row.kind == "reads":
        return of_fetch(steps, name)
    policy = steps.project.config.reads.on_poor_quality
    genome, place = of_genome(steps, row.assembly), f"tracks/{slug(name)}.zarr"
    partial = steps.project.config.genomes[row.assembly].partial
    on_bad_track = sheet.on_bad_track if sheet else "fail"
    columns = track_scope(row)

    def build() -> None:
        from seqmill.stores.genome import GenomeReader
        from seqmill.stores.track import build_track

        build_track(
            steps.results / place,
            track=columns,
            genome=GenomeReader(genome.folder),
            partial=partial,
            on_bad_track=on_bad_track,
            quality=quality.folder if quality else None,
            on_poor_quality=policy,
        )

    settings = {
        "track": columns.model_dump(mode="json"),
        "partial": partial,
        "on_bad_track": on_bad_track,
        "format": FORMATS["track"],
    }
    needs = [*makers(steps, [row.path]), genome]
    quality = deciding_quality(steps, row)
    if quality:
        settings["on_poor_quality"] = policy
        needs.append(quality)
    return steps.step(place, f"track {name}", settings, build, sources=[row.path], needs=needs)
