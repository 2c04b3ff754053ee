# Reads:  results/models, results/genome, results/datasets, files of variants
# Writes: results/variants/{set}


rule variants:
    """Scores of a set of variants; a killed job goes on from its last chunk."""
    input:
        genome=lambda wildcards: effect_genome(variants_of(wildcards)),
        models=lambda wildcards: effect_models(variants_of(wildcards)),
        datasets=lambda wildcards: effect_datasets(variants_of(wildcards)),
        files=lambda wildcards: effect_files(variants_of(wildcards)),
    output:
        "results/variants/{set}/marker.json",
    log:
        "logs/variants/{set}.log",
    benchmark:
        "results/benchmarks/variants/{set}.tsv"
    wildcard_constraints:
        set=one_of(VARIANTS),
    threads: lambda wildcards: effect_training(variants_of(wildcards)).xla_threads
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=lambda wildcards: int(
            effect_training(variants_of(wildcards)).device == "gpu"
        ),
    params:
        name=lambda wildcards: VARIANTS[wildcards.set],
        section=lambda wildcards: variants_of(wildcards).model_dump_json(),
        prediction=lambda wildcards: effect_prediction(variants_of(wildcards)),
        stamps=lambda wildcards: stamps(variants_of(wildcards).source_files()),
        format=FORMATS["variants"],
    script:
        "../workflow/scripts/variants.py"
