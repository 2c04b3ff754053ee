# Reads:  results/datasets/{dataset}.zarr
# Writes: results/searches/{search}/{fold}, results/models/{search}@best/{fold}.{seed}, results/search_scores/{search}
# Works in results/.search/{search}/{fold}: the journal of trials, which all workers share, and their saved states.


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
    retries: 3  # each goes on from the state that the one before has saved
    threads: lambda wildcards: train_threads(trial_model(wildcards))
    resources:
        mem_mb=lambda wildcards: train_memory_mb(trial_model(wildcards)),
        runtime=1440,
        gpu=lambda wildcards: train_gpus(trial_model(wildcards)),
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
    retries: 3  # each goes on from the state that the one before has saved
    threads: lambda wildcards: train_threads(trial_model(wildcards))
    resources:
        mem_mb=lambda wildcards: train_memory_mb(trial_model(wildcards)),
        runtime=1440,
        gpu=lambda wildcards: train_gpus(trial_model(wildcards)),
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
    retries: 3  # each goes on from the state that the one before has saved
    threads: lambda wildcards: train_threads(searched_model(wildcards))
    resources:
        mem_mb=lambda wildcards: train_memory_mb(searched_model(wildcards)),
        runtime=1440,
        gpu=lambda wildcards: train_gpus(searched_model(wildcards)),
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
        chosen=lambda wildcards: search_markers(wildcards.search),
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
