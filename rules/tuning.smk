# What the rules of searches and of curves ask of the configuration. No rules.

from seqmill.config.search import search_scope
from seqmill.stages.curves import fraction_scope, places_of


def search_of(wildcards):
    return PROJECT.config.searches[SEARCHES[wildcards.search]]


def searched_model(wildcards):
    return PROJECT.config.models[search_of(wildcards).model]


def trial_model(wildcards):
    """The model of a search as its trials are trained: in one process."""
    model = searched_model(wildcards)
    return model.model_copy(
        update={"training": model.training.model_copy(update={"processes": 1})}
    )


def searched_section(wildcards):
    section = run_scope(searched_model(wildcards))
    return section.model_copy(update={"search": None}).model_dump_json()


def search_section(wildcards):
    """Section of a search for one fold: another number of workers, or one more fold, leaves it as it is."""
    search = search_of(wildcards)
    return (
        search_scope(search)
        .model_copy(update={"trials": search.trials})
        .model_dump_json()
    )


def search_seed(wildcards):
    return PROJECT.seeds(search_of(wildcards).model)[0]


def search_dataset(wildcards):
    return (
        f"results/datasets/{slug(searched_model(wildcards).dataset)}.zarr/marker.json"
    )


def search_workers(wildcards):
    root = f"results/.search/{wildcards.search}/{wildcards.fold}"
    return [
        f"{root}/worker{number}.done" for number in range(search_of(wildcards).workers)
    ]


def search_markers(key):
    """What a search chose, in each of its folds."""
    folds = PROJECT.search_folds(SEARCHES[key])
    return [f"results/searches/{key}/{fold}/marker.json" for fold in folds]


def search_model_markers(wildcards):
    seed, folds = (
        search_seed(wildcards),
        PROJECT.search_folds(SEARCHES[wildcards.search]),
    )
    root = f"results/models/{wildcards.search}@best"
    return [f"{root}/{fold}.{seed}/marker.json" for fold in folds]


def score_markers():
    return [f"results/search_scores/{key}/marker.json" for key in SEARCHES]


def chosen_settings(wildcards):
    """What the search that a model takes its settings from chose in the model's fold."""
    search = model_of(wildcards).search
    return (
        [f"results/searches/{slug(search)}/{wildcards.fold}/marker.json"]
        if search
        else []
    )


def curved_model(wildcards):
    name = CURVES[wildcards.curve]
    return PROJECT.config.models[PROJECT.config.curves[name].model]


def curved_dataset(wildcards):
    return f"results/datasets/{slug(curved_model(wildcards).dataset)}.zarr/marker.json"


def fraction_section(wildcards):
    name = CURVES[wildcards.curve]
    place = "{0.curve}@{0.fraction}/{0.fold}.{0.seed}".format(wildcards)
    fraction = places_of(PROJECT, name)[place][0]
    return fraction_scope(PROJECT, name, fraction).model_dump_json()


def curve_settings(wildcards):
    """What the search that the model takes its settings from chose in the fold."""
    search = curved_model(wildcards).search
    place = f"results/searches/{slug(search)}/{wildcards.fold}" if search else ""
    return [f"{place}/marker.json"] if search else []


def point_markers(wildcards):
    places = places_of(PROJECT, CURVES[wildcards.curve])
    return [f"results/predictions/{place}.zarr/marker.json" for place in places]


def point_fractions(wildcards):
    return [
        fraction
        for fraction, *_ in places_of(PROJECT, CURVES[wildcards.curve]).values()
    ]


def curve_markers():
    return [f"results/curves/{key}/marker.json" for key in CURVES]
