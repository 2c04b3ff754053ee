# Reads:  results/predictions, results/models, results/datasets, results/maps, results/motifs, results/variants,
#         results/measured,
#         results/searches, results/search_scores, results/curves, results/quality, results/experiments, results/libraries
# Writes: results/evaluation/{dataset}, results/report/index.html, results/report/truth.tsv


rule evaluate:
    """The metric table of one dataset: every network and baseline, with intervals."""
    input:
        lambda wildcards: prediction_markers(wildcards.dataset),
    output:
        "results/evaluation/{dataset}/marker.json",
    log:
        "logs/evaluation/{dataset}.log",
    benchmark:
        "results/benchmarks/evaluation/{dataset}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        name=lambda wildcards: DATASETS[wildcards.dataset],
        format=FORMATS["evaluation"],
    script:
        "../workflow/scripts/evaluate.py"


rule report:
    """One HTML page: data, training curves, searches, metrics with intervals, network beside baselines, maps, variants."""
    input:
        evaluations=evaluation_markers(),
        datasets=[
            f"results/datasets/{dataset}.zarr/marker.json"
            for dataset in judged_datasets()
        ],
        models=model_markers(),
        predictions=[
            marker
            for dataset in judged_datasets()
            for marker in prediction_markers(dataset)
        ],
        maps=map_markers(),
        motifs=motif_markers(),
        variants=variant_markers(),
        measured=measured_markers(),
        searches=[marker for key in SEARCHES for marker in search_markers(key)],
        scores=score_markers(),
        curves=curve_markers(),
        qualities=quality_markers(),
        experiments=experiment_markers(),
        libraries=[
            marker for name in PROJECT.experiments for marker in library_markers(name)
        ],
    output:
        report(
            "results/report/index.html",
            caption="../workflow/report/report.rst",
            category="Results",
        ),
        *truth_table(),
    log:
        "logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        # packed: `snakemake --report` shows the params of this rule without escaping them
        section=packed(PROJECT.config.report.model_dump(mode="json")),
        written=packed(written_sources(PROJECT)),
        format=FORMATS["report"],
    script:
        "../workflow/scripts/report.py"
