"""Steps from reads to signal, peaks and their quality."""

import os
from pathlib import Path
from typing import Any

from seqmill.config.call_samples import quality_place
from seqmill.config.names import label_of, slug
from seqmill.config.sheet import Track
from seqmill.stages.reads_jobs import (
    aligner_job,
    aligner_of,
    call_quality_job,
    experiment_job,
    library_job,
    quality_job,
    run_job,
    table_job,
)
from seqmill.stages.sources import givers, of_fetch, of_genome
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stores.versions import FORMATS

MOST_THREADS = 8


def _step(steps: Steps, kind: str, place: str, what: str, job: dict[str, Any], **more: Any) -> Step:
    def build() -> None:
        run_job(kind, steps.results / place, job, min(MOST_THREADS, len(os.sched_getaffinity(0))))

    noun = "quality" if "quality" in kind else kind
    settings = {"job": job, "format": FORMATS[noun]}
    return steps.step(place, what, settings, build, **more)


def of_aligner(steps: Steps, assembly: str, aligner: str) -> Step:
    """The index of an aligner."""
    job = aligner_job(assembly, aligner, steps.results)
    place = f"aligners/{slug(assembly)}.{aligner}"
    return _step(steps, "aligner", place, f"{aligner} index of {assembly}", job, needs=[of_genome(steps, assembly)])


def of_library(steps: Steps, name: str, replicate: int) -> Step:
    """One replicate: aligned, filtered, without duplicates."""
    experiment, libraries = steps.project.experiments[name], steps.project.libraries
    runs = experiment.replicates[replicate]
    fetched = [libraries.names.get((name, replicate, run)) for run in range(len(runs))]
    sources: list[Path] = [path for row in runs for path in row.files()]
    needs = [of_genome(steps, experiment.assembly), *(of_fetch(steps, source) for source in fetched if source)]
    aligner = aligner_of(steps.project, name)
    if aligner:
        needs.append(of_aligner(steps, experiment.assembly, aligner))
    job = library_job(steps.project, name, replicate, steps.results)
    what, place = f"library {name}, replicate {replicate}", f"libraries/{slug(name)}.{replicate}"
    return _step(steps, "library", place, what, job, sources=sources, needs=needs)


def _libraries(steps: Steps, name: str) -> list[Step]:
    return [of_library(steps, name, replicate) for replicate in steps.project.experiments[name].replicates]


def of_experiment(steps: Steps, name: str) -> Step:
    """Signal and peaks of an experiment."""
    experiment = steps.project.experiments[name]
    control = _libraries(steps, experiment.control) if experiment.control else []
    needs = [of_genome(steps, experiment.assembly), *_libraries(steps, name), *control]
    job = experiment_job(steps.project, name, steps.results)
    return _step(steps, "experiment", f"experiments/{slug(name)}", f"experiment {name}", job, needs=needs)


def of_quality(steps: Steps, name: str) -> Step:
    """Metrics and verdict of an experiment."""
    made, tss = of_experiment(steps, name), steps.project.config.reads.tss
    genome = of_genome(steps, steps.project.experiments[name].assembly)
    sources = [tss] if tss else []
    needs = [genome, *givers(steps, sources), *_libraries(steps, name), made]
    job = quality_job(steps.project, name, steps.results)
    return _step(steps, "quality", f"quality/{slug(name)}", f"quality of {name}", job, sources=sources, needs=needs)


def of_call_quality(steps: Steps, name: str) -> Step:
    """Metrics and verdict of a sample of methylation calls."""
    rows = steps.project.call_samples[name]
    files = [row.path for row in rows]
    needs = [of_genome(steps, rows[0].assembly), *givers(steps, files)]
    job = call_quality_job(steps.project, name, steps.results)
    place, what = f"quality/{slug(name)}", f"quality of {name}"
    return _step(steps, "call-quality", place, what, job, sources=files, needs=needs)


def qualities(steps: Steps) -> list[Step]:
    """Of all experiments, then of all samples of methylation calls."""
    project = steps.project
    reads = [of_quality(steps, name) for name in project.experiments]
    return [*reads, *(of_call_quality(steps, name) for name in project.call_samples)]


def of_table(steps: Steps) -> Step:
    """The table of all qualities."""
    needs = qualities(steps)
    return _step(
        steps, "quality-table", "quality-table", "quality table", table_job(steps.project, steps.results), needs=needs
    )


def deciding_quality(steps: Steps, track: Track) -> Step | None:
    """The quality of what a track is made of, where it decides what becomes of the track."""
    project = steps.project
    place = quality_place(track, project.call_samples)
    if place is None or project.config.reads.on_poor_quality == "warn":
        return None
    name = label_of(place)
    return of_quality(steps, name) if name in project.experiments else of_call_quality(steps, name)
