# Reads:  results/datasets/{dataset}.zarr
# Writes: results/models/{model}/{fold}.{seed}, results/predictions/{model}/{fold}.{seed}.zarr


rule train:
    """One network, on one fold with one seed."""
    input:
        dataset=lambda wildcards: dataset_marker_of(wildcards),
        initial=lambda wildcards: initial_markers(wildcards),
        initial_datasets=lambda wildcards: initial_dataset_markers(wildcards),
        search=lambda wildcards: chosen_settings(wildcards),
    output:
        "results/models/{model}/{fold}.{seed}/marker.json",
    log:
        "logs/models/{model}/{fold}.{seed}.log",
    benchmark:
        "results/benchmarks/models/{model}/{fold}.{seed}.tsv"
    wildcard_constraints:
        model=one_of(MODELS),
    retries: 3  # each goes on from the state that the one before has saved
    threads: lambda wildcards: train_threads(model_of(wildcards))
    resources:
        mem_mb=lambda wildcards: train_memory_mb(model_of(wildcards)),
        runtime=1440,
        gpu=lambda wildcards: train_gpus(model_of(wildcards)),
    params:
        name=lambda wildcards: MODELS[wildcards.model],
        section=lambda wildcards: run_section(wildcards),
        stamps=lambda wildcards: stamps(initial_markers(wildcards)),
        format=FORMATS["model"],
    script:
        "../workflow/scripts/train.py"


rule predict:
    """Predictions of one trained network on its test part, averaged over strands and shifts."""
    input:
        model="results/models/{model}/{fold}.{seed}/marker.json",
        dataset=lambda wildcards: dataset_marker_of(wildcards),
    output:
        "results/predictions/{model}/{fold}.{seed}.zarr/marker.json",
    log:
        "logs/predictions/{model}/{fold}.{seed}.log",
    benchmark:
        "results/benchmarks/predictions/{model}/{fold}.{seed}.tsv"
    wildcard_constraints:
        model=one_of(MODELS),
    threads: lambda wildcards: model_of(wildcards).training.xla_threads
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=lambda wildcards: int(model_of(wildcards).training.device == "gpu"),
    params:
        section=lambda wildcards: prediction_section(wildcards),
        format=FORMATS["predictions"],
    script:
        "../workflow/scripts/predict.py"


rule ensemble:
    """The mean over the seeds of a network's predictions, with their spread."""
    input:
        lambda wildcards: member_markers(wildcards),
    output:
        "results/predictions/{model}/{fold}.mean.zarr/marker.json",
    log:
        "logs/predictions/{model}/{fold}.mean.log",
    benchmark:
        "results/benchmarks/predictions/{model}/{fold}.mean.tsv"
    wildcard_constraints:
        model=one_of(MODELS),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        format=FORMATS["predictions"],
    script:
        "../workflow/scripts/ensemble.py"


rule published:
    """Predictions that others published, on the test part of a dataset."""
    input:
        dataset=lambda wildcards: dataset_marker_of(wildcards),
        file=lambda wildcards: tracked([run_of(wildcards).file]),
    output:
        "results/predictions/{model}/{fold}.{seed}.zarr/marker.json",
    log:
        "logs/predictions/{model}/{fold}.{seed}.log",
    benchmark:
        "results/benchmarks/predictions/{model}/{fold}.{seed}.tsv"
    wildcard_constraints:
        model=one_of(PUBLISHED),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        name=lambda wildcards: PUBLISHED[wildcards.model],
        section=lambda wildcards: run_section(wildcards),
        stamps=lambda wildcards: stamps([run_of(wildcards).file]),
        format=FORMATS["predictions"],
    script:
        "../workflow/scripts/published.py"


rule baseline:
    """A simple model fitted and applied: predictions in the same form as a network's."""
    input:
        dataset=lambda wildcards: dataset_marker_of(wildcards),
        motifs=lambda wildcards: tracked(run_of(wildcards).source_files()),
    output:
        "results/predictions/{model}/{fold}.{seed}.zarr/marker.json",
    log:
        "logs/predictions/{model}/{fold}.{seed}.log",
    benchmark:
        "results/benchmarks/predictions/{model}/{fold}.{seed}.tsv"
    wildcard_constraints:
        model=one_of(BASELINES),
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        name=lambda wildcards: BASELINES[wildcards.model],
        section=lambda wildcards: run_section(wildcards),
        stamps=lambda wildcards: stamps(run_of(wildcards).source_files()),
        format=FORMATS["predictions"],
    script:
        "../workflow/scripts/baseline.py"
