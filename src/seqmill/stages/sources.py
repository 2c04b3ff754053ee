"""Steps that bring files: simulated ones, fetched ones; and the genome stores made of them."""

from pathlib import Path

from seqmill.config.names import label_of, slug
from seqmill.config.remote import FETCHED
from seqmill.config.scope import genome_scope
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stores.versions import FORMATS


def of_world(steps: Steps, sources: list[Path]) -> list[Step]:
    """The simulated world, where it makes one of ``sources``."""
    section, folder = steps.project.config.simulation, steps.results / "simulation"
    if section is None or not any(folder in path.parents for path in sources):
        return []

    def build() -> None:
        from seqmill.simulate.world import simulate_world

        simulate_world(folder, section)

    settings = {"simulation": section.model_dump(mode="json"), "format": FORMATS["world"]}
    return [steps.step("simulation", "the simulated world", settings, build)]


def of_fetch(steps: Steps, name: str) -> Step:
    """The fetched files of a track, or of a location of the configuration."""
    rows, place = steps.project.locked.rows[name], f"sources/{slug(name)}"

    def build() -> None:
        from seqmill.sources.fetch import fetch

        fetch(steps.results / place, rows, steps.project.config.sources)

    pinned = [[row.file, row.role, row.bytes, row.digest] for row in rows]
    return steps.step(place, f"files of {name}", {"pinned": pinned, "format": FORMATS["source"]}, build)


def fetched(steps: Steps, sources: list[Path]) -> list[Step]:
    """The folders of those of ``sources`` that are fetched."""
    return [of_fetch(steps, label_of(path.parent.name)) for path in sources if FETCHED in path.parents]


def givers(steps: Steps, sources: list[Path]) -> list[Step]:
    """Steps that simulate or fetch some of ``sources``."""
    return [*of_world(steps, sources), *fetched(steps, sources)]


def of_genome(steps: Steps, name: str) -> Step:
    """One genome store."""
    section = genome_scope(steps.project.config.genomes[name])
    place = f"genome/{slug(name)}.zarr"

    def build() -> None:
        from seqmill.stores.genome import build_genome

        build_genome(steps.results / place, name=name, genome=section)

    sources = section.source_files()
    settings = {"genome": section.model_dump(mode="json"), "format": FORMATS["genome"]}
    return steps.step(place, f"genome {name}", settings, build, sources=sources, needs=givers(steps, sources))
