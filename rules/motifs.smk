# Reads:  results/maps, results/models, results/datasets, a database of motifs
# Writes: results/motifs/{motifs}


rule motifs:
    """What a network reads: motifs of a map, filters, known motifs they are like, what they do in random backgrounds."""
    input:
        models=motif_models,
        dataset=lambda wildcards: (
            f"results/datasets/{slug(motif_network(wildcards).dataset)}.zarr/marker.json"
        ),
        map=motif_map,
        files=lambda wildcards: tracked(motifs_of(wildcards).source_files()),
    output:
        "results/motifs/{motifs}/marker.json",
    log:
        "logs/motifs/{motifs}.log",
    benchmark:
        "results/benchmarks/motifs/{motifs}.tsv"
    wildcard_constraints:
        motifs=one_of(MOTIFS),
    threads: lambda wildcards: motif_network(wildcards).training.xla_threads
    resources:
        mem_mb=16000,
        runtime=1440,
        gpu=lambda wildcards: int(motif_network(wildcards).training.device == "gpu"),
    params:
        name=lambda wildcards: MOTIFS[wildcards.motifs],
        section=lambda wildcards: motifs_of(wildcards).model_dump_json(),
        prediction=lambda wildcards: prediction_scope(
            motif_network(wildcards)
        ).model_dump_json(),
        stamps=lambda wildcards: stamps(motifs_of(wildcards).source_files()),
        format=FORMATS["motifs"],
    script:
        "../workflow/scripts/motifs.py"
