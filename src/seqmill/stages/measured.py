"""Step that compares predictions with effects that were measured by experiment."""

from pathlib import Path

from seqmill.config.baselines import Baseline
from seqmill.config.lineage import given_datasets, lineage
from seqmill.config.measured import Measured, measured_genome
from seqmill.config.names import slug
from seqmill.config.scope import prediction_scope, run_scope
from seqmill.runtime.child import in_child
from seqmill.stages.effects import network_of
from seqmill.stages.evaluation import of_baseline
from seqmill.stages.predictions import start_process
from seqmill.stages.sources import of_genome
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stages.tracks import makers
from seqmill.stores.versions import FORMATS


def of_measured(steps: Steps, name: str) -> Step:
    """A set of measured effects of the configuration."""
    project, config = steps.project, steps.project.config
    section, place = config.measured[name], f"measured/{slug(name)}"
    assembly = measured_genome(config, section, project.where)
    genomes = [] if assembly is None else [of_genome(steps, assembly)]
    runs, datasets = network_of(steps, section)
    prediction = prediction_scope(config.models[section.model])
    baseline = None if section.kmer is None else run_scope(config.baselines[section.kmer])
    fitted = [of_baseline(steps, section.kmer, fold) for fold in project.folds(section.model) if section.kmer]
    given = given_datasets(config.models, [section.model, *lineage(config.models, section.model, project.where)])

    def build() -> None:
        texts = section.model_dump_json(), prediction.model_dump_json()
        text = None if baseline is None else baseline.model_dump_json()
        folders = [run.folder for run in runs], [*[dataset.folder for dataset in datasets], *given]
        genome = genomes[0].folder if genomes else None
        fits = [fit.folder for fit in fitted]
        in_child(_measured, steps.results / place, name, *texts, text, genome, *folders, fits, what=f"measured {name}")

    scopes = {"section": section, "prediction": prediction} | ({} if baseline is None else {"baseline": baseline})
    settings = {key: value.model_dump(mode="json") for key, value in scopes.items()} | {"format": FORMATS["measured"]}
    sources = [*section.source_files(), *([] if baseline is None else baseline.source_files())]
    needs = [*makers(steps, sources), *genomes, *runs, *datasets, *fitted]
    return steps.step(place, f"measured {name}", settings, build, sources=sources, needs=needs)


def _measured(
    out: Path,
    name: str,
    section: str,
    prediction: str,
    baseline: str | None,
    genome: Path | None,
    models: list[Path],
    datasets: list[Path],
    fitted: list[Path],
) -> None:
    """Body of the process that scores and judges."""
    start_process(models[0])

    from seqmill.config.models import Prediction
    from seqmill.effects.measured.build import build_measured
    from seqmill.evaluation.measured import judge

    build_measured(
        out,
        name=name,
        section=Measured.model_validate_json(section),
        genome=genome,
        models=models,
        prediction=Prediction.model_validate_json(prediction),
        datasets=datasets,
        baseline=None if baseline is None else Baseline.model_validate_json(baseline),
        fitted=fitted,
        judge=judge,
    )
