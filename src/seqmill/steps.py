"""The stages one after another, without Snakemake: what each noun needs, and whether it must be built again.

The functions called here are those of ``workflow/scripts``.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from seqmill.config.datasets import Dataset
from seqmill.config.experiments import EXPERIMENTS
from seqmill.config.lineage import given_datasets, given_folder, initial_seed, lineage
from seqmill.config.names import label_of, slug
from seqmill.config.project import Project
from seqmill.config.remote import FETCHED
from seqmill.config.scope import (
    blacklists,
    dataset_files,
    genome_scope,
    input_scope,
    rows_scope,
    run_scope,
    target_scope,
    track_scope,
)
from seqmill.runtime.child import in_child
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import MARKER, read_marker
from seqmill.step import Notes, Step
from seqmill.stores.versions import FORMATS
from seqmill.training_steps import train_run


class Steps:
    """Steps of a project, made when they are asked for.

    Parameters
    ----------
    project : the configuration. results : folder of all nouns.
    """

    def __init__(self, project: Project, results: str | Path = "results"):
        self.project, self.results = project, Path(results)
        self.notes = Notes(self.results)
        self._made: dict[Path, Step] = {}

    def step(self, place: str, what: str, settings: dict[str, Any], build: Callable[[], Any], **more: Any) -> Step:
        """The step whose noun lies at ``place`` below the results; made once."""
        folder = self.results / place
        return self._made.setdefault(folder, Step(folder, what, settings, build, **more))

    def world(self, sources: list[Path]) -> list[Step]:
        """The simulated world, where it makes one of ``sources``."""
        section, folder = self.project.config.simulation, self.results / "simulation"
        if section is None or not any(folder in path.parents for path in sources):
            return []

        def build() -> None:
            from seqmill.simulate.world import simulate_world

            simulate_world(folder, section)

        settings = {"simulation": section.model_dump(mode="json"), "format": FORMATS["world"]}
        return [self.step("simulation", "the simulated world", settings, build)]

    def fetched(self, sources: list[Path]) -> list[Step]:
        """The folders of those of ``sources`` that are fetched."""
        return [self.fetch(label_of(path.parent.name)) for path in sources if FETCHED in path.parents]

    def fetch(self, name: str) -> Step:
        """The fetched files of a track, or of a location of the configuration."""
        rows, place = self.project.locked.rows[name], f"sources/{slug(name)}"

        def build() -> None:
            from seqmill.sources.fetch import fetch

            fetch(self.results / place, rows, self.project.config.sources)

        pinned = [[row.file, row.role, row.bytes, row.digest] for row in rows]
        return self.step(place, f"files of {name}", {"pinned": pinned, "format": FORMATS["source"]}, build)

    def makers(self, sources: list[Path]) -> list[Step]:
        """Steps that make or fetch some of ``sources``."""
        from seqmill.reads_steps import of_experiment

        made = [path.parent.name for path in sources if EXPERIMENTS in path.parents]
        return [*self.world(sources), *self.fetched(sources), *(of_experiment(self, label_of(name)) for name in made)]

    def genome(self, name: str) -> Step:
        """One genome store."""
        section = genome_scope(self.project.config.genomes[name])
        place = f"genome/{slug(name)}.zarr"

        def build() -> None:
            from seqmill.stores.genome import build_genome

            build_genome(self.results / place, name=name, genome=section)

        sources = section.source_files()
        settings = {"genome": section.model_dump(mode="json"), "format": FORMATS["genome"]}
        return self.step(place, f"genome {name}", settings, build, sources=sources, needs=self.makers(sources))

    def track(self, name: str) -> Step:
        """One track store; for reads, which have none, their files."""
        if name not in self.project.tracks:
            raise InputError(
                self.project.where, f"track {name!r} is not in the sheet; known: {_some(self.project.tracks)}"
            )
        row, sheet = self.project.tracks[name], self.project.config.tracks
        if row.kind == "reads":
            return self.fetch(name)
        from seqmill.reads_steps import deciding_quality

        policy = self.project.config.reads.on_poor_quality
        genome, place = self.genome(row.assembly), f"tracks/{slug(name)}.zarr"
        partial = self.project.config.genomes[row.assembly].partial
        on_bad_track = sheet.on_bad_track if sheet else "fail"
        columns = track_scope(row)

        def build() -> None:
            from seqmill.stores.genome import GenomeReader
            from seqmill.stores.track import build_track

            build_track(
                self.results / place,
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
        needs = [*self.makers([row.path]), genome]
        quality = deciding_quality(self, row)
        if quality:
            settings["on_poor_quality"] = policy
            needs.append(quality)
        return self.step(place, f"track {name}", settings, build, sources=[row.path], needs=needs)

    def dataset(self, name: str) -> Step:
        """A whole dataset; its parts are among its needs."""
        section = self.section(name)
        parts = [*self._inputs(name, section), *self._targets(name, section)]
        place = f"datasets/{slug(name)}.zarr"
        arrays = [str(part.folder.relative_to(self.results / place)) for part in parts]

        def build() -> None:
            from seqmill.stores.dataset import finish_dataset
            from seqmill.stores.remote import link_dataset

            if section.stored:
                link_dataset(self.results / place, name=name, url=section.stored, arrays=arrays)
            else:
                finish_dataset(self.results / place, name=name, arrays=arrays)

        settings: dict[str, Any] = {"arrays": arrays, "format": FORMATS["dataset"]}
        needs = [self._rows(name, section), *parts]
        if section.stored:
            settings, needs = settings | {"stored": section.stored}, []
        return self.step(place, f"dataset {name}", settings, build, needs=needs)

    def section(self, name: str) -> Dataset:
        """Section of a dataset. Raises InputError for an unknown name."""
        datasets = self.project.config.datasets
        if name not in datasets:
            raise InputError(self.project.where, f"dataset {name!r} is not configured; known: {_some(datasets)}")
        return datasets[name]

    def _rows(self, name: str, section: Dataset) -> Step:
        place, dataset = f"datasets/{slug(name)}.zarr/rows", rows_scope(section)
        genomes = {genome: self.genome(genome) for genome in section.genomes}
        rows = self.project.window_tracks(name)
        tracks = {row.track: self.track(row.track) for row in rows}
        assemblies = {row.track: row.assembly for row in rows}
        roles, grid_bp = self.project.window_roles(name), self.project.grid_bp(name)

        def build() -> None:
            from seqmill.examples.rows import build_rows

            build_rows(
                self.results / place,
                name=name,
                dataset=dataset,
                genomes={key: step.folder for key, step in genomes.items()},
                blacklists=blacklists(self.project, name),
                tracks={key: step.folder for key, step in tracks.items()},
                assemblies=assemblies,
                roles=roles,
                grid_bp=grid_bp,
            )

        sources = dataset_files(self.project, name)
        settings = {
            "dataset": dataset.model_dump(mode="json"),
            "assemblies": assemblies,
            "roles": roles,
            "grid_bp": grid_bp,
            "format": FORMATS["dataset"],
        }
        needs = [*self.makers(sources), *genomes.values(), *tracks.values()]
        return self.step(place, f"rows of dataset {name}", settings, build, sources=sources, needs=needs)

    def _inputs(self, name: str, section: Dataset) -> Iterator[Step]:
        from seqmill.examples.kinds import CONTROL, input_names

        rows = self._rows(name, section)
        genomes = {genome: self.genome(genome) for genome in section.genomes}
        for key in input_names(section):
            place = f"datasets/{slug(name)}.zarr/inputs/{key}"
            dataset = input_scope(section, key)
            tracks = self.project.control_tracks(name) if key == CONTROL else []
            stores = {track.track: self.track(track.track) for track in tracks}

            def build(key=key, place=place, dataset=dataset, tracks=tracks, stores=stores) -> None:
                from seqmill.examples.inputs import build_input

                build_input(
                    self.results / place,
                    name=name,
                    dataset=dataset,
                    input_name=key,
                    rows=rows.folder,
                    genomes={genome: step.folder for genome, step in genomes.items()},
                    tracks=tracks,
                    track_stores={track: step.folder for track, step in stores.items()},
                )

            settings = {
                "dataset": dataset.model_dump(mode="json"),
                "tracks": [track.model_dump(mode="json", exclude={"description", "licence"}) for track in tracks],
                "format": FORMATS["dataset"],
            }
            what = f"input {key} of dataset {name}"
            needs = [*genomes.values(), rows, *stores.values()]
            yield self.step(place, what, settings, build, sources=section.source_files(), needs=needs)

    def _targets(self, name: str, section: Dataset) -> Iterator[Step]:
        rows = self._rows(name, section)
        genomes = {genome: self.genome(genome) for genome in section.genomes}
        for target in section.targets:
            for group, tracks in self.project.groups(name, target).items():
                place = f"datasets/{slug(name)}.zarr/targets/{slug(target)}/{slug(group)}"
                dataset = target_scope(section, target)
                stores = {track.track: self.track(track.track) for track in tracks}

                def build(
                    place=place, target=target, group=group, tracks=tracks, dataset=dataset, stores=stores
                ) -> None:
                    from seqmill.examples.targets import build_target

                    build_target(
                        self.results / place,
                        name=name,
                        dataset=dataset,
                        target_name=target,
                        group=group,
                        tracks=tracks,
                        rows=rows.folder,
                        track_stores={key: step.folder for key, step in stores.items()},
                        genomes={genome: step.folder for genome, step in genomes.items()},
                    )

                settings = {
                    "dataset": dataset.model_dump(mode="json"),
                    "tracks": [track.model_dump(mode="json", exclude={"description", "licence"}) for track in tracks],
                    "format": FORMATS["dataset"],
                }
                what = f"target {target} of dataset {name}, group {group}"
                needs = [*genomes.values(), rows, *stores.values()]
                yield self.step(place, what, settings, build, sources=section.source_files(), needs=needs)

    def train(self, name: str, fold: str, seed: int) -> Step:
        """One run of one network, trained in a process of its own (the device is chosen before jax is imported)."""
        from seqmill.search_steps import of_search, with_best

        models = self.project.config.models
        if name not in models:
            raise InputError(self.project.where, f"model {name!r} is not configured; known: {_some(models)}")
        model, dataset = run_scope(models[name]), self.dataset(models[name].dataset)
        place = f"models/{slug(name)}/{fold}.{seed}"
        before = lineage(models, name, self.project.where)
        seen = [self.dataset(models[earlier].dataset) for earlier in before]
        initial = self.train(before[0], fold, initial_seed(models, name, seed, self.project.where)) if before else None
        given = given_folder(models, name, fold, seed, self.project.where)
        folder = initial.folder if initial else given
        known = [*[step.folder for step in seen], *given_datasets(models, [name, *before])]
        start = (folder, known) if folder else None
        chosen = of_search(self, model.search, fold) if model.search else None

        def build() -> None:
            section = with_best(model, chosen.folder, f"models.{name}") if chosen else model
            text, what = section.model_dump_json(), f"training of {name} {fold}.{seed}"
            in_child(train_run, self.results / place, name, text, dataset.folder, fold, seed, start, what=what)

        settings = {"model": model.model_dump(mode="json"), "fold": fold, "seed": seed, "format": FORMATS["model"]}
        settings |= {"initial": read_marker(given).digest} if given else {}
        needs = [dataset, *([initial] if initial else []), *seen, *([chosen] if chosen else [])]
        what, sources = f"model {name}, fold {fold}, seed {seed}", [given / MARKER] if given else []
        return self.step(place, what, settings, build, sources=sources, needs=needs)

    def in_order(self, wanted: list[Step]) -> list[Step]:
        """``wanted`` and all they need, each once, needs first."""
        found: dict[Path, Step] = {}

        def visit(step: Step) -> None:
            if step.folder not in found:
                for need in step.needs:
                    visit(need)
                found[step.folder] = step

        for step in wanted:
            visit(step)
        return list(found.values())

    def run(self, wanted: list[Step], *, configuration: list[Path] | None = None) -> int:
        """Build what is missing or out of date; returns how many nouns were built.

        Parameters
        ----------
        configuration : files that decide the settings (configuration, sheet), to judge nouns that have no note; None
            if settings came from elsewhere too, then such nouns are built again.
        """
        log, built = logging.getLogger("seqmill"), 0
        for step in self.in_order(wanted):
            for source in step.sources:
                if not source.is_file():
                    raise InputError(source, f"does not exist or is not a file; {step.what} needs it")
            if self.notes.current(step, configuration):
                log.info("%s: up to date", step.what)
                continue
            log.info("%s: building", step.what)
            step.build()
            self.notes.write(step)
            built += 1
        return built

    def is_current(self, step: Step) -> bool:
        """Whether a noun is there as the configuration and what it needs say."""
        return self.notes.current(step, None)


def _some(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "") or "none"
