# What the rules of networks, their predictions and exports ask of the configuration. No rules.

from seqmill.config.along import networks_along, prediction_places, spans_bp
from seqmill.config.lineage import (
    given_datasets,
    given_folder,
    initial_seed,
    lineage,
)
from seqmill.config.scope import prediction_scope, run_scope


def model_of(wildcards):
    return PROJECT.config.models[MODELS[wildcards.model]]


def train_threads(model):
    """Threads of a training, all its processes together."""
    return model.training.processes * model.training.xla_threads


def train_memory_mb(model):
    """Memory of a training, all its processes together."""
    return 8000 * model.training.processes


def train_gpus(model):
    """GPUs of a training, all its processes together; at least one where it takes all that it finds."""
    training = model.training
    if training.device != "gpu":
        return 0
    return training.processes * (1 if training.devices == "all" else training.devices)


def run_of(wildcards):
    """Section of the network, baseline or published prediction that a path names."""
    return PROJECT.run(JUDGED[wildcards.model])


def run_section(wildcards):
    return run_scope(run_of(wildcards)).model_dump_json()


def dataset_marker_of(wildcards):
    return f"results/datasets/{slug(run_of(wildcards).dataset)}.zarr/marker.json"


def models_before(wildcards):
    """Models that a model starts from, the nearest first."""
    return lineage(PROJECT.config.models, MODELS[wildcards.model], PROJECT.where)


def initial_markers(wildcards):
    """The run that a model starts from, if any."""
    name, models = MODELS[wildcards.model], PROJECT.config.models
    before, fold, seed = models_before(wildcards), wildcards.fold, int(wildcards.seed)
    given = given_folder(models, name, fold, seed, PROJECT.where)
    if given:
        return [f"{given}/marker.json"]
    if not before:
        return []
    seed = initial_seed(models, name, seed, PROJECT.where)
    return [f"results/models/{slug(before[0])}/{fold}.{seed}/marker.json"]


def initial_dataset_markers(wildcards):
    """Datasets that the models were trained on that a model starts from."""
    models, before = PROJECT.config.models, models_before(wildcards)
    places = [f"results/datasets/{slug(models[name].dataset)}.zarr" for name in before]
    places += given_datasets(models, [MODELS[wildcards.model], *before])
    return [f"{place}/marker.json" for place in places]


def run_names(models):
    """Slug, fold and seed of every run of the given models, baselines or published predictions."""
    return [
        (key, fold, seed)
        for key, name in models.items()
        for fold in PROJECT.folds(name)
        for seed in PROJECT.seeds(name)
    ]


def prediction_section(wildcards):
    return prediction_scope(model_of(wildcards)).model_dump_json()


def export_predictions(wildcards):
    places = prediction_places(PROJECT, MODELS[wildcards.model])
    return [f"results/{place}/marker.json" for place in places]


def export_genomes(wildcards):
    """Genomes of a network's examples, with their markers."""
    section = PROJECT.config.datasets[model_of(wildcards).dataset]
    return {
        name: f"results/genome/{slug(name)}.zarr/marker.json"
        for name in section.genomes
    }


def export_spans(wildcards):
    return spans_bp(PROJECT.config.datasets[model_of(wildcards).dataset])


def export_markers():
    return [
        f"results/exports/{slug(name)}/marker.json" for name in networks_along(PROJECT)
    ]
