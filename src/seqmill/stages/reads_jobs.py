"""Jobs of reads: what each is told, and the program that does one (``python -m seqmill.stages.reads_jobs KIND …``).

Rules run it by ``shell:`` and not as a script, because with ``--sdm conda`` a script runs in the Python of the rule's
environment (bowtie2 and macs bring one), which has none of our libraries. This program runs in our own Python and
finds the programs of that environment on its path.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.config.reads import Experiment, Library, Reads
from seqmill.config.scope import (
    CALL_QUALITY_KEYS,
    EXPERIMENT_KEYS,
    LIBRARY_KEYS,
    QUALITY_KEYS,
    library_row,
    reads_scope,
)
from seqmill.config.written import unpacked
from seqmill.runtime.job import framed
from seqmill.runtime.marker import MARKER, Marker

KINDS = ("aligner", "library", "experiment", "quality", "call-quality", "quality-table")


def aligner_of(project: Project, name: str) -> str:
    """Aligner of an experiment; '' where all its files are aligned already."""
    experiment = project.experiments[name]
    rows = [row for runs in experiment.replicates.values() for row in runs]
    if all(row.format != "fastq" for row in rows):
        return ""
    asked = project.config.reads.aligner
    return asked if asked != "auto" else "hisat2" if experiment.assay == "rna" else "bowtie2"


def _genome(project: Project, name: str, results: Path) -> str:
    return str(results / f"genome/{slug(project.experiments[name].assembly)}.zarr")


def _library(name: str, replicate: int, results: Path) -> str:
    return str(results / f"libraries/{slug(name)}.{replicate}")


def _libraries(project: Project, name: str, results: Path) -> dict[str, str]:
    return {str(number): _library(name, number, results) for number in project.experiments[name].replicates}


def _about(experiment: Experiment) -> dict[str, Any]:
    return {key: getattr(experiment, key) for key in ("name", "assay", "target", "control", "assembly", "strandedness")}


def aligner_job(assembly: str, aligner: str, results: Path = Path("results")) -> dict[str, Any]:
    """What the job that makes the index of an aligner is told, as JSON values."""
    return {"name": assembly, "aligner": aligner, "genome": str(results / f"genome/{slug(assembly)}.zarr")}


def library_job(project: Project, name: str, replicate: int, results: Path = Path("results")) -> dict[str, Any]:
    """What the job of one replicate is told."""
    experiment, libraries = project.experiments[name], project.libraries
    sources = []
    for run, row in enumerate(experiment.replicates[replicate]):
        folder = libraries.folders.get((name, replicate, run))
        files = [str(path) for path in row.files()]
        sources.append({"folder": str(folder)} if folder else {"files": files[: 1 + bool(row.mate)]})
    aligner = aligner_of(project, name)
    return {
        "name": f"{name}.{replicate}",
        "rows": [library_row(row).model_dump(mode="json") for row in experiment.replicates[replicate]],
        "sources": sources,
        "settings": reads_scope(project.config.reads, LIBRARY_KEYS).model_dump(mode="json"),
        "genome": _genome(project, name, results),
        "index": str(results / f"aligners/{slug(experiment.assembly)}.{aligner}") if aligner else None,
        "partial": project.config.genomes[experiment.assembly].partial,
    }


def experiment_job(project: Project, name: str, results: Path = Path("results")) -> dict[str, Any]:
    """What the job that pools the replicates of an experiment is told."""
    experiment = project.experiments[name]
    control = _libraries(project, experiment.control, results) if experiment.control else {}
    return {
        "experiment": _about(experiment),
        "libraries": _libraries(project, name, results),
        "control": list(control.values()),
        "settings": reads_scope(project.config.reads, EXPERIMENT_KEYS).model_dump(mode="json"),
        "genome": _genome(project, name, results),
    }


def quality_job(project: Project, name: str, results: Path = Path("results")) -> dict[str, Any]:
    """What the job that judges an experiment is told."""
    settings, about = reads_scope(project.config.reads, QUALITY_KEYS), _about(project.experiments[name])
    known = project.config.genomes[about["assembly"]].assembly  # limits go by the portals' names of assemblies
    return {
        "experiment": about | {"assembly": known or about["assembly"]},
        "folder": str(results / f"experiments/{slug(name)}"),
        "libraries": _libraries(project, name, results),
        "settings": settings.model_dump(mode="json"),
        "genome": _genome(project, name, results),
        "tss": str(settings.tss) if settings.tss else None,
    }


def call_quality_job(project: Project, name: str, results: Path = Path("results")) -> dict[str, Any]:
    """What the job that judges a sample of methylation calls is told."""
    rows = project.call_samples[name]
    genome = project.config.genomes[rows[0].assembly]
    return {
        "name": name,
        "files": [str(row.path) for row in rows],
        "layout": rows[0].format,
        "assembly": genome.assembly or rows[0].assembly,
        "partial": genome.partial,
        "settings": reads_scope(project.config.reads, CALL_QUALITY_KEYS).model_dump(mode="json"),
        "genome": str(results / f"genome/{slug(rows[0].assembly)}.zarr"),
    }


def table_job(project: Project, results: Path = Path("results")) -> dict[str, Any]:
    """What the job that joins all qualities to one table is told."""
    names = [*project.experiments, *project.call_samples]
    return {"qualities": [str(results / f"quality/{slug(name)}") for name in names]}


def _runs(sources: list[dict[str, Any]]) -> list[list[Any]]:
    """Local files of each row: of a fetched one, a run of the archive after the other."""
    from seqmill.reads.library import Run
    from seqmill.sources.fetch import local_files

    found = []
    for source in sources:
        if "files" in source:
            first, *mate = map(Path, source["files"])
            found.append([Run(first, mate[0] if mate else None)])
            continue
        by_run: dict[str, dict[str, Path]] = {}
        for file in local_files(source["folder"]):
            by_run.setdefault(file.run, {})[file.role or "single"] = file.path
        found.append([Run(roles.get("R1") or roles["single"], roles.get("R2")) for roles in by_run.values()])
    return found


def run_job(kind: str, folder: Path, job: dict[str, Any], threads: int = 1) -> Marker:
    """Do one job; ``folder`` is that of its noun."""
    if kind == "aligner":
        from seqmill.reads.index import build_index

        return build_index(folder, **{**job, "genome": Path(job["genome"])}, threads=threads)
    if kind == "quality-table":
        from seqmill.reads.quality_table import build_quality_table

        return build_quality_table(folder, [Path(quality) for quality in job["qualities"]])
    settings, genome = Reads(**job["settings"]), Path(job["genome"])
    if kind == "library":
        from seqmill.reads.library import build_library

        rows, runs = [], []
        for row, files in zip(job["rows"], _runs(job["sources"])):
            rows += [Library(**row)] * len(files)  # an accession may stand for several runs
            runs += files
        return build_library(
            folder,
            name=job["name"],
            rows=rows,
            runs=runs,
            settings=settings,
            genome=genome,
            index=Path(job["index"]) if job["index"] else None,
            partial=job["partial"],
            threads=threads,
        )
    if kind == "call-quality":
        from seqmill.reads.call_quality import build_call_quality

        files = [Path(file) for file in job["files"]]
        return build_call_quality(folder, **{**job, "files": files, "settings": settings, "genome": genome})
    experiment = Experiment(**job["experiment"])
    libraries = {int(number): Path(place) for number, place in job["libraries"].items()}
    if kind == "experiment":
        from seqmill.reads.experiment import build_experiment

        control = [Path(place) for place in job["control"]]
        return build_experiment(
            folder,
            experiment=experiment,
            libraries=libraries,
            control=control,
            settings=settings,
            genome=genome,
            threads=threads,
        )
    from seqmill.reads.quality import build_quality

    return build_quality(
        folder,
        experiment=Path(job["folder"]),
        libraries=libraries,
        info=experiment,
        settings=settings,
        genome=genome,
        tss=Path(job["tss"]) if job["tss"] else None,
    )


def main(arguments: list[str]) -> None:
    """Entry of the rules."""
    parser = argparse.ArgumentParser(prog="python -m seqmill.stages.reads_jobs")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("marker", type=Path)
    parser.add_argument("job", help="JSON, packed")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    if asked.marker.name != MARKER:
        parser.error(f"{asked.marker} is no {MARKER}")
    with framed(asked.log, f"job {asked.kind} ({asked.marker.parent.name})"):
        run_job(asked.kind, asked.marker.parent, unpacked(asked.job), asked.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
