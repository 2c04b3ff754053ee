"""Steps that make datasets: rows, each input, each target of a group of tracks, and the whole."""

from collections.abc import Iterator, Sequence
from typing import Any

from seqmill.config.datasets import Dataset
from seqmill.config.names import slug
from seqmill.config.scope import blacklists, dataset_files, input_scope, rows_scope, target_scope
from seqmill.config.sheet import Track
from seqmill.runtime.errors import InputError
from seqmill.stages.sources import of_genome
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps, some_of
from seqmill.stages.tracks import makers, of_track
from seqmill.stores.versions import FORMATS


def section_of(steps: Steps, name: str) -> Dataset:
    """Section of a dataset. Raises InputError for an unknown name."""
    datasets = steps.project.config.datasets
    if name not in datasets:
        raise InputError(steps.project.where, f"dataset {name!r} is not configured; known: {some_of(datasets)}")
    return datasets[name]


def of_dataset(steps: Steps, name: str) -> Step:
    """A whole dataset; its parts are among its needs."""
    section = section_of(steps, name)
    parts = [*_inputs(steps, name, section), *_targets(steps, name, section)]
    place = f"datasets/{slug(name)}.zarr"
    arrays = [str(part.folder.relative_to(steps.results / place)) for part in parts]

    def build() -> None:
        from seqmill.stores.dataset import finish_dataset
        from seqmill.stores.remote import link_dataset

        if section.stored:
            link_dataset(steps.results / place, name=name, url=section.stored, arrays=arrays)
        else:
            finish_dataset(steps.results / place, name=name, arrays=arrays)

    settings: dict[str, Any] = {"arrays": arrays, "format": FORMATS["dataset"]}
    needs = [_rows(steps, name, section), *parts]
    if section.stored:
        settings, needs = settings | {"stored": section.stored}, []
    return steps.step(place, f"dataset {name}", settings, build, needs=needs)


def _rows(steps: Steps, name: str, section: Dataset) -> Step:
    place, dataset = f"datasets/{slug(name)}.zarr/rows", rows_scope(section)
    genomes = {genome: of_genome(steps, genome) for genome in section.genomes}
    rows = steps.project.window_tracks(name)
    tracks = {row.track: of_track(steps, row.track) for row in rows}
    assemblies = {row.track: row.assembly for row in rows}
    roles, grid_bp = steps.project.window_roles(name), steps.project.grid_bp(name)

    def build() -> None:
        from seqmill.examples.rows import build_rows

        build_rows(
            steps.results / place,
            name=name,
            dataset=dataset,
            genomes={key: step.folder for key, step in genomes.items()},
            blacklists=blacklists(steps.project, name),
            tracks={key: step.folder for key, step in tracks.items()},
            assemblies=assemblies,
            roles=roles,
            grid_bp=grid_bp,
        )

    sources = dataset_files(steps.project, name)
    settings = {
        "dataset": dataset.model_dump(mode="json"),
        "assemblies": assemblies,
        "roles": roles,
        "grid_bp": grid_bp,
        "format": FORMATS["dataset"],
    }
    needs = [*makers(steps, sources), *genomes.values(), *tracks.values()]
    return steps.step(place, f"rows of dataset {name}", settings, build, sources=sources, needs=needs)


def _inputs(steps: Steps, name: str, section: Dataset) -> Iterator[Step]:
    from seqmill.examples.kinds import CONTROL, input_names

    rows = _rows(steps, name, section)
    genomes = {genome: of_genome(steps, genome) for genome in section.genomes}
    for key in input_names(section):
        place = f"datasets/{slug(name)}.zarr/inputs/{key}"
        dataset = input_scope(section, key)
        tracks = steps.project.control_tracks(name) if key == CONTROL else []
        stores = {track.track: of_track(steps, track.track) for track in tracks}

        def build(key=key, place=place, dataset=dataset, tracks=tracks, stores=stores) -> None:
            from seqmill.examples.inputs import build_input

            build_input(
                steps.results / place,
                name=name,
                dataset=dataset,
                input_name=key,
                rows=rows.folder,
                genomes={genome: step.folder for genome, step in genomes.items()},
                tracks=tracks,
                track_stores={track: step.folder for track, step in stores.items()},
            )

        settings = _settings(dataset, tracks)
        what = f"input {key} of dataset {name}"
        needs = [*genomes.values(), rows, *stores.values()]
        yield steps.step(place, what, settings, build, sources=section.source_files(), needs=needs)


def _targets(steps: Steps, name: str, section: Dataset) -> Iterator[Step]:
    rows = _rows(steps, name, section)
    genomes = {genome: of_genome(steps, genome) for genome in section.genomes}
    for target in section.targets:
        for group, tracks in steps.project.groups(name, target).items():
            place = f"datasets/{slug(name)}.zarr/targets/{slug(target)}/{slug(group)}"
            dataset = target_scope(section, target)
            stores = {track.track: of_track(steps, track.track) for track in tracks}

            def build(place=place, target=target, group=group, tracks=tracks, dataset=dataset, stores=stores) -> None:
                from seqmill.examples.targets import build_target

                build_target(
                    steps.results / place,
                    name=name,
                    dataset=dataset,
                    target_name=target,
                    group=group,
                    tracks=tracks,
                    rows=rows.folder,
                    track_stores={key: step.folder for key, step in stores.items()},
                    genomes={genome: step.folder for genome, step in genomes.items()},
                )

            settings = _settings(dataset, tracks)
            what = f"target {target} of dataset {name}, group {group}"
            needs = [*genomes.values(), rows, *stores.values()]
            yield steps.step(place, what, settings, build, sources=section.source_files(), needs=needs)


def _settings(dataset: Dataset, tracks: Sequence[Track]) -> dict[str, Any]:
    """What decides an array of a dataset; how a track is described does not."""
    described = [track.model_dump(mode="json", exclude={"description", "licence"}) for track in tracks]
    return {"dataset": dataset.model_dump(mode="json"), "tracks": described, "format": FORMATS["dataset"]}
