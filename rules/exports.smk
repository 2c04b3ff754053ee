# Reads:  results/predictions, results/genome
# Writes: results/exports/{model}


rule exports:
    """Predictions of one network for its test rows, one bigWig a track; asked for by the target `browser`."""
    input:
        predictions=lambda wildcards: export_predictions(wildcards),
        genomes=lambda wildcards: export_genomes(wildcards).values(),
    output:
        "results/exports/{model}/marker.json",
    log:
        "logs/exports/{model}.log",
    benchmark:
        "results/benchmarks/exports/{model}.tsv"
    wildcard_constraints:
        model=one_of(MODELS),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        name=lambda wildcards: MODELS[wildcards.model],
        genomes=lambda wildcards: list(export_genomes(wildcards)),
        spans=lambda wildcards: json.dumps(export_spans(wildcards)),
        format=FORMATS["exports"],
    script:
        "../workflow/scripts/exports.py"
