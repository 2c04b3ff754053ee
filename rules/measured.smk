# Reads:  results/models, results/genome, results/datasets, results/predictions (of baselines), files of measured effects
# Writes: results/measured/{measured}


rule measured:
    """Effects measured by experiment beside what a network and simple baselines predict of them."""
    input:
        genome=lambda wildcards: measured_genomes(wildcards),
        models=lambda wildcards: effect_models(measured_of(wildcards)),
        datasets=lambda wildcards: effect_datasets(measured_of(wildcards)),
        fitted=lambda wildcards: measured_fits(wildcards),
        files=lambda wildcards: tracked(measured_files(wildcards)),
    output:
        "results/measured/{measured}/marker.json",
    log:
        "logs/measured/{measured}.log",
    benchmark:
        "results/benchmarks/measured/{measured}.tsv"
    wildcard_constraints:
        measured=one_of(MEASURED),
    threads: lambda wildcards: effect_training(measured_of(wildcards)).xla_threads
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=lambda wildcards: int(
            effect_training(measured_of(wildcards)).device == "gpu"
        ),
    params:
        name=lambda wildcards: MEASURED[wildcards.measured],
        section=lambda wildcards: measured_of(wildcards).model_dump_json(),
        prediction=lambda wildcards: effect_prediction(measured_of(wildcards)),
        baseline=lambda wildcards: measured_baseline(wildcards),
        stamps=lambda wildcards: stamps(measured_files(wildcards)),
        format=FORMATS["measured"],
    script:
        "../workflow/scripts/measured.py"
