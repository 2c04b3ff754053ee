# Reads:  results/datasets/{dataset}.zarr, results/searches/{search}/{fold}
# Writes: results/models/{curve}@{fraction}/{fold}.{seed}, results/predictions/{curve}@{fraction}/{fold}.{seed}.zarr,
#         results/curves/{curve}


rule curve_train:
    """One network of a curve, on a part of the training rows."""
    input:
        dataset=lambda wildcards: curved_dataset(wildcards),
        search=lambda wildcards: curve_settings(wildcards),
    output:
        "results/models/{curve}@{fraction}/{fold}.{seed}/marker.json",
    log:
        "logs/models/{curve}@{fraction}/{fold}.{seed}.log",
    benchmark:
        "results/benchmarks/models/{curve}@{fraction}/{fold}.{seed}.tsv"
    wildcard_constraints:
        curve=one_of(CURVES),
        fraction="[0-9p]+",
    retries: 3  # each goes on from the state that the one before has saved
    threads: lambda wildcards: train_threads(curved_model(wildcards))
    resources:
        mem_mb=lambda wildcards: train_memory_mb(curved_model(wildcards)),
        runtime=1440,
        gpu=lambda wildcards: train_gpus(curved_model(wildcards)),
    params:
        name=lambda wildcards: CURVES[wildcards.curve],
        section=lambda wildcards: fraction_section(wildcards),
        format=FORMATS["model"],
    script:
        "../workflow/scripts/curve_train.py"


rule curve_predict:
    """Predictions of one network of a curve on its test part."""
    input:
        model="results/models/{curve}@{fraction}/{fold}.{seed}/marker.json",
        dataset=lambda wildcards: curved_dataset(wildcards),
    output:
        "results/predictions/{curve}@{fraction}/{fold}.{seed}.zarr/marker.json",
    log:
        "logs/predictions/{curve}@{fraction}/{fold}.{seed}.log",
    benchmark:
        "results/benchmarks/predictions/{curve}@{fraction}/{fold}.{seed}.tsv"
    wildcard_constraints:
        curve=one_of(CURVES),
        fraction="[0-9p]+",
    threads: lambda wildcards: curved_model(wildcards).training.xla_threads
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=lambda wildcards: int(curved_model(wildcards).training.device == "gpu"),
    params:
        section=lambda wildcards: prediction_scope(
            curved_model(wildcards)
        ).model_dump_json(),
        format=FORMATS["predictions"],
    script:
        "../workflow/scripts/predict.py"


rule curve:
    """Scores of the networks of a curve over the size of their training data."""
    input:
        points=lambda wildcards: point_markers(wildcards),
        dataset=lambda wildcards: curved_dataset(wildcards),
    output:
        "results/curves/{curve}/marker.json",
    log:
        "logs/curves/{curve}.log",
    benchmark:
        "results/benchmarks/curves/{curve}.tsv"
    wildcard_constraints:
        curve=one_of(CURVES),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        name=lambda wildcards: CURVES[wildcards.curve],
        section=lambda wildcards: run_scope(curved_model(wildcards)).model_dump_json(),
        fractions=lambda wildcards: point_fractions(wildcards),
        format=FORMATS["curve"],
    script:
        "../workflow/scripts/curve.py"
