"""The report page with all that it tells of."""

from dataclasses import dataclass
from pathlib import Path

from seqmill.config.written import written_sources
from seqmill.runtime.errors import InputError
from seqmill.stages import curves as curve_steps
from seqmill.stages import effects as effects_steps
from seqmill.stages import predictions as prediction_steps
from seqmill.stages import reads as reads_steps
from seqmill.stages import searches as search_steps
from seqmill.stages.datasets import of_dataset
from seqmill.stages.evaluation import of_baseline, of_evaluation
from seqmill.stages.measured import of_measured
from seqmill.stages.models import of_model
from seqmill.stages.motifs import of_motifs
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps


@dataclass
class Page:
    """The report of a project.

    Attributes
    ----------
    evaluations, datasets, models, predictions, searches, scores, curves, maps, map_files, motifs, variants, measured,
        qualities, experiments, libraries : steps of the nouns that it tells of.
    """

    steps: Steps
    evaluations: list[Step]
    datasets: list[Step]
    models: list[Step]
    predictions: list[Step]
    searches: list[Step]
    scores: list[Step]
    curves: list[Step]
    maps: list[Step]
    map_files: list[Step]
    motifs: list[Step]
    variants: list[Step]
    measured: list[Step]
    qualities: list[Step]
    experiments: list[Step]
    libraries: list[Step]

    @property
    def needs(self) -> list[Step]:
        groups = (self.evaluations, self.datasets, self.models, self.predictions)
        tuned = (self.searches, self.scores, self.curves)
        effects = (self.maps, self.map_files, self.motifs, self.variants, self.measured)
        reads = (self.qualities, self.experiments, self.libraries)
        return [step for group in (*groups, *tuned, *effects, *reads) for step in group]

    def write(self, path: Path) -> Path:
        """Write the page, whole or not at all; its nouns must be there."""
        from seqmill.report.page import write_report

        def folders(steps: list[Step]) -> list[Path]:
            return [step.folder for step in steps]

        project = self.steps.project
        write_report(
            path,
            report=project.config.report,
            evaluations=folders(self.evaluations),
            datasets=folders(self.datasets),
            models=folders(self.models),
            predictions=folders(self.predictions),
            searches=folders(self.searches),
            scores=folders(self.scores),
            curves=folders(self.curves),
            maps=folders(self.maps),
            motifs=folders(self.motifs),
            variants=folders(self.variants),
            measured=folders(self.measured),
            qualities=folders(self.qualities),
            experiments=folders(self.experiments),
            libraries=folders(self.libraries),
            written=written_sources(project),
            truth_table=path.with_name("truth.tsv") if project.config.simulation and self.maps else None,
        )
        return path


def page_of(steps: Steps) -> Page:
    """The page of all models, baselines, maps and variants of a configuration.

    Raises InputError where nothing is judged.
    """
    project, config = steps.project, steps.project.config
    judged = {project.run(name).dataset for name in (*config.models, *config.baselines, *config.published)}
    datasets = [name for name in config.datasets if name in judged]
    if not datasets:
        raise InputError(project.where, "no model, baseline or published prediction to report on")
    networks = {name: (project.folds(name), project.seeds(name)) for name in config.models}
    predictions = []
    for dataset in datasets:
        for name in (*config.models, *config.baselines, *config.published):
            if project.run(name).dataset == dataset and name in config.baselines:
                predictions += [of_baseline(steps, name, fold) for fold in project.folds(name)]
            elif project.run(name).dataset == dataset:
                predictions += prediction_steps.of_run(steps, name, project.folds(name))
    maps = [effects_steps.of_map(steps, name) for name in config.maps]
    return Page(
        steps,
        evaluations=[of_evaluation(steps, dataset) for dataset in datasets],
        datasets=[of_dataset(steps, dataset) for dataset in datasets],
        models=[
            of_model(steps, name, fold, seed)
            for name, (folds, seeds) in networks.items()
            for fold in folds
            for seed in seeds
        ],
        predictions=predictions,
        searches=[
            search_steps.of_search(steps, name, fold) for name in config.searches for fold in project.search_folds(name)
        ],
        scores=[search_steps.of_scores(steps, name) for name in config.searches],
        curves=[curve_steps.of_curve(steps, name) for name in config.curves],
        maps=[made for made, *_ in maps],
        map_files=[step for _, *files in maps for step in files],
        motifs=[of_motifs(steps, name) for name in config.motifs],
        variants=[effects_steps.of_variants(steps, name) for name in config.variants],
        measured=[of_measured(steps, name) for name in config.measured],
        qualities=reads_steps.qualities(steps),
        experiments=[reads_steps.of_experiment(steps, name) for name in project.experiments],
        libraries=[
            reads_steps.of_library(steps, name, replicate)
            for name, experiment in project.experiments.items()
            for replicate in experiment.replicates
        ],
    )
