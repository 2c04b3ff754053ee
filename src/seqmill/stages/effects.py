"""Steps that say what edits do: mutagenesis maps with their files, and scores of variants."""

from pathlib import Path

from seqmill.config.effects import Map, MapPage, VariantSet, genome_of, map_genome
from seqmill.config.lineage import given_datasets, lineage
from seqmill.config.measured import Measured
from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.config.scope import map_scope, prediction_scope
from seqmill.runtime.child import in_child
from seqmill.runtime.marker import MARKER
from seqmill.stages.datasets import of_dataset
from seqmill.stages.models import of_model
from seqmill.stages.predictions import start_process
from seqmill.stages.sources import of_genome
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stages.tracks import makers, of_track
from seqmill.stores.versions import FORMATS


def resume_of(out: Path) -> Path:
    """Where a map or the scoring of variants keeps what it needs to go on after a kill."""
    return out.with_name(f".{out.name}.resume")


def network_of(steps: Steps, section: Map | VariantSet | Measured) -> tuple[list[Step], list[Step]]:
    """Runs of the network, and the datasets that it and the models it started from were trained on."""
    project, name = steps.project, section.model
    runs = [of_model(steps, name, fold, seed) for fold in project.folds(name) for seed in project.seeds(name)]
    models = [name, *lineage(project.config.models, name, project.where)]
    names = dict.fromkeys(project.config.models[model].dataset for model in models)
    return runs, [of_dataset(steps, dataset) for dataset in names]


def _given(project: Project, section: Map | VariantSet) -> list[Path]:
    """Folders of datasets outside of the configuration that the network was trained on before."""
    models = project.config.models
    return given_datasets(models, [section.model, *lineage(models, section.model, project.where)])


def _genomes(steps: Steps, section: Map) -> list[Step]:
    """The genome of a map's regions, if they lie on one."""
    name = map_genome(steps.project.config, section, steps.project.where)
    return [] if name is None else [of_genome(steps, name)]


def _folder(genomes: list[Step]) -> Path | None:
    return genomes[0].folder if genomes else None


def of_map(steps: Steps, name: str) -> list[Step]:
    """A map of the configuration, and the files made from it."""
    config = steps.project.config
    section, place = config.maps[name], f"maps/{slug(name)}.zarr"
    genomes, (runs, datasets) = _genomes(steps, section), network_of(steps, section)
    prediction = prediction_scope(config.models[section.model])
    rows_of = datasets[0].folder if section.windows is not None else None
    folders = [run.folder for run in runs], [*[dataset.folder for dataset in datasets], *_given(steps.project, section)]

    def build() -> None:
        texts = map_scope(section).model_dump_json(), prediction.model_dump_json()
        in_child(_map, steps.results / place, name, *texts, _folder(genomes), *folders, rows_of, what=f"map {name}")

    scopes = {"section": map_scope(section), "prediction": prediction}
    settings = {key: value.model_dump(mode="json") for key, value in scopes.items()} | {"format": FORMATS["map"]}
    sources = map_scope(section).source_files()
    needs = [*makers(steps, sources), *genomes, *runs, *datasets]
    made = steps.step(place, f"map {name}", settings, build, sources=sources, needs=needs)
    page = [] if section.page is None else [of_map_page(steps, name, section.page, made, genomes)]
    return [made, of_map_files(steps, name, made, genomes), *page]


def of_map_files(steps: Steps, name: str, made: Step, genomes: list[Step]) -> Step:
    """What browsers and motif discovery read of a map, and its pictures."""
    place, section = f"maps/{slug(name)}.files", steps.project.config.maps[name]

    def build() -> None:
        from seqmill.effects.maps.files import write_map_files

        write_map_files(
            steps.results / place,
            map_folder=made.folder,
            genome=_folder(genomes),
            pictures=section.picture,
            exports=section.exports,
        )

    settings = {"pictures": section.picture, "exports": section.exports, "format": FORMATS["map"]}
    return steps.step(place, f"files of map {name}", settings, build, needs=[made, *genomes])


def of_map_page(steps: Steps, name: str, page: MapPage, made: Step, genomes: list[Step]) -> Step:
    """The HTML pages of a map, with what is drawn below it."""
    place = f"maps/{slug(name)}.page"
    tracks = [of_track(steps, track) for track in page.tracks]
    variants = [of_variants(steps, each) for each in page.variants]

    def build() -> None:
        from seqmill.report.map_page import write_map_page

        write_map_page(
            steps.results / place,
            map_folder=made.folder,
            genome=_folder(genomes),
            regions=page.regions,
            tracks=[track.folder for track in tracks],
            genes=page.genes,
            variants=[each.folder for each in variants],
            vcf=page.vcf,
        )

    settings = {"page": page.model_dump(mode="json"), "format": FORMATS["map"]}
    sources = page.source_files()
    needs = [*makers(steps, sources), made, *genomes, *tracks, *variants]
    return steps.step(place, f"page of map {name}", settings, build, sources=sources, needs=needs)


def of_variants(steps: Steps, name: str) -> Step:
    """Scores of a set of variants of the configuration."""
    config = steps.project.config
    section, place = config.variants[name], f"variants/{slug(name)}"
    genome = of_genome(steps, genome_of(config, section, steps.project.where))
    runs, datasets = network_of(steps, section)
    prediction = prediction_scope(config.models[section.model])
    folders = [run.folder for run in runs], [*[dataset.folder for dataset in datasets], *_given(steps.project, section)]

    def build() -> None:
        texts = section.model_dump_json(), prediction.model_dump_json()
        in_child(_variants, steps.results / place, name, *texts, genome.folder, *folders, what=f"variants {name}")

    scopes = {"section": section, "prediction": prediction}
    settings = {key: value.model_dump(mode="json") for key, value in scopes.items()} | {"format": FORMATS["variants"]}
    sources = section.source_files()
    needs = [*makers(steps, sources), genome, *runs, *datasets]
    return steps.step(place, f"variants {name}", settings, build, sources=sources, needs=needs)


def _at_hand(project: Project, results: Path, section: Map | VariantSet) -> tuple[Path, list[Path]]:
    """Store of the genome, and those datasets of the trainings that are there."""
    models = [section.model, *lineage(project.config.models, section.model, project.where)]
    names = dict.fromkeys(project.config.models[model].dataset for model in models)
    places = [results / f"datasets/{slug(name)}.zarr" for name in names]
    genome = results / f"genome/{slug(genome_of(project.config, section, project.where))}.zarr"
    places += _given(project, section)
    return genome, [place for place in places if (place / MARKER).is_file()]


def map_of_regions(project: Project, results: Path, section: Map, models: list[Path], out: Path) -> list[Path]:
    """A map by trained runs that the configuration does not name: ``out/map.zarr`` and ``out/map.files``.

    Returns
    -------
    Both folders.
    """
    from seqmill.effects.maps.files import write_map_files

    genome, datasets = _at_hand(project, results, section)
    prediction = prediction_scope(project.config.models[section.model]).model_dump_json()
    store, files = out / "map.zarr", out / "map.files"
    name = section.regions.stem if section.regions else section.model
    in_child(
        _map, store, name, section.model_dump_json(), prediction, genome, models, datasets, None, what=f"map of {name}"
    )
    write_map_files(files, map_folder=store, genome=genome, pictures=section.picture)
    return [store, files]


def scores_of_file(project: Project, results: Path, section: VariantSet, models: list[Path], out: Path) -> list[Path]:
    """Scores of variants by trained runs that the configuration does not name.

    Returns
    -------
    The folder ``out``.
    """
    genome, datasets = _at_hand(project, results, section)
    prediction = prediction_scope(project.config.models[section.model]).model_dump_json()
    name = section.file.name.partition(".")[0]
    in_child(
        _variants, out, name, section.model_dump_json(), prediction, genome, models, datasets, what=f"variants {name}"
    )
    return [out]


def _map(
    out: Path,
    name: str,
    section: str,
    prediction: str,
    genome: Path | None,
    models: list[Path],
    datasets: list[Path],
    rows_of: Path | None,
) -> None:
    """Body of the process that makes a map."""
    start_process(models[0])

    from seqmill.config.models import Prediction
    from seqmill.effects.maps.build import build_map

    build_map(
        out,
        name=name,
        section=Map.model_validate_json(section),
        genome=genome,
        models=models,
        prediction=Prediction.model_validate_json(prediction),
        datasets=datasets,
        rows_of=rows_of,
        state=resume_of(out),
    )


def _variants(
    out: Path, name: str, section: str, prediction: str, genome: Path, models: list[Path], datasets: list[Path]
) -> None:
    """Body of the process that scores variants."""
    start_process(models[0])

    from seqmill.config.models import Prediction
    from seqmill.effects.variants.build import score_variants

    score_variants(
        out,
        name=name,
        section=VariantSet.model_validate_json(section),
        genome=genome,
        models=models,
        prediction=Prediction.model_validate_json(prediction),
        datasets=datasets,
        state=resume_of(out),
    )
