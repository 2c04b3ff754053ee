# Reads:  results/datasets/{dataset}.zarr
# Writes: results/searches/{search}/{fold}, results/models/{search}@best/{fold}.{seed}, results/search_scores/{search}
# Works in results/.search/{search}/{fold}: the journal of trials, which all workers share, and their saved states.

from seqmill.config.search import search_scope


def search_of(wildcards):
    return PROJECT.config.searches[SEARCHES[wildcards.search]]


def searched_model(wildcards):
    return PROJECT.config.models[search_of(wildcards).model]


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


def search_markers(wildcards):
    """What a search chose, in each of its folds."""
    folds = PROJECT.search_folds(SEARCHES[wildcards.search])
    return [f"results/searches/{wildcards.search}/{fold}/marker.json" for fold in folds]


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


rule search_worker:
    """One of the jobs that share the trials of a search in one fold; the test part of the fold is not read."""
    input:
        dataset=lambda wildcards: search_dataset(wildcards),
    output:
        "results/.search/{search}/{fold}/worker{worker}.done",
    log:
        "logs/searches/{search}/{fold}.worker{worker}.log",
    benchmark:
        "results/benchmarks/searches/{search}/{fold}.worker{worker}.tsv"
    wildcard_constraints:
        search=one_of(SEARCHES),
    threads: lambda wildcards: searched_model(wildcards).training.xla_threads
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=lambda wildcards: int(searched_model(wildcards).training.device == "gpu"),
    params:
        name=lambda wildcards: SEARCHES[wildcards.search],
        model=lambda wildcards: searched_section(wildcards),
        search=lambda wildcards: search_section(wildcards),
        seed=lambda wildcards: search_seed(wildcards),
        format=FORMATS["search"],
    script:
        "../workflow/scripts/search_worker.py"


rule search:
    """The settings that a search chooses in one fold, with all trials and what mattered."""
    input:
        workers=lambda wildcards: search_workers(wildcards),
        dataset=lambda wildcards: search_dataset(wildcards),
    output:
        "results/searches/{search}/{fold}/marker.json",
    log:
        "logs/searches/{search}/{fold}.log",
    benchmark:
        "results/benchmarks/searches/{search}/{fold}.tsv"
    wildcard_constraints:
        search=one_of(SEARCHES),
    threads: lambda wildcards: searched_model(wildcards).training.xla_threads
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=lambda wildcards: int(searched_model(wildcards).training.device == "gpu"),
    params:
        name=lambda wildcards: SEARCHES[wildcards.search],
        model=lambda wildcards: searched_section(wildcards),
        search=lambda wildcards: search_section(wildcards),
        seed=lambda wildcards: search_seed(wildcards),
        format=FORMATS["search"],
    script:
        "../workflow/scripts/search.py"


rule search_model:
    """A network trained with the settings that were chosen in its fold."""
    input:
        dataset=lambda wildcards: search_dataset(wildcards),
        search="results/searches/{search}/{fold}/marker.json",
    output:
        "results/models/{search}@best/{fold}.{seed}/marker.json",
    log:
        "logs/models/{search}@best/{fold}.{seed}.log",
    benchmark:
        "results/benchmarks/models/{search}@best/{fold}.{seed}.tsv"
    wildcard_constraints:
        search=one_of(SEARCHES),
    threads: lambda wildcards: searched_model(wildcards).training.xla_threads
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=lambda wildcards: int(searched_model(wildcards).training.device == "gpu"),
    params:
        name=lambda wildcards: SEARCHES[wildcards.search],
        model=lambda wildcards: searched_section(wildcards),
        format=FORMATS["model"],
    script:
        "../workflow/scripts/search_model.py"


rule search_scores:
    """Nested scores of a search, on test parts that no trial has read, beside the optimistic ones."""
    input:
        dataset=lambda wildcards: search_dataset(wildcards),
        chosen=lambda wildcards: search_markers(wildcards),
        trained=lambda wildcards: search_model_markers(wildcards),
    output:
        "results/search_scores/{search}/marker.json",
    log:
        "logs/search_scores/{search}.log",
    benchmark:
        "results/benchmarks/search_scores/{search}.tsv"
    wildcard_constraints:
        search=one_of(SEARCHES),
    threads: lambda wildcards: searched_model(wildcards).training.xla_threads
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=lambda wildcards: int(searched_model(wildcards).training.device == "gpu"),
    params:
        name=lambda wildcards: SEARCHES[wildcards.search],
        model=lambda wildcards: searched_section(wildcards),
        search=lambda wildcards: search_section(wildcards),
        format=FORMATS["search"],
    script:
        "../workflow/scripts/search_scores.py"
