# Reads:  results/genome/{assembly}.zarr, results/tracks/{track}.zarr, files of the dataset's section, or its address
# Writes: results/datasets/{dataset}.zarr, one job a part: rows, inputs/{input}, targets/{target}/{group}


rule dataset_rows:
    """Which windows, in which pool and fold; what was dropped and why."""
    input:
        files=lambda wildcards: dataset_sources(wildcards),
        genomes=lambda wildcards: genome_markers(wildcards),
        tracks=lambda wildcards: markers_of(
            PROJECT.window_tracks(DATASETS[wildcards.dataset])
        ),
    output:
        "results/datasets/{dataset}.zarr/rows/marker.json",
    log:
        "logs/datasets/{dataset}/rows.log",
    benchmark:
        "results/benchmarks/datasets/{dataset}/rows.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        name=lambda wildcards: DATASETS[wildcards.dataset],
        section=lambda wildcards: rows_section(wildcards),
        tracks=lambda wildcards: [
            track.track for track in PROJECT.window_tracks(DATASETS[wildcards.dataset])
        ],
        assemblies=lambda wildcards: [
            track.assembly
            for track in PROJECT.window_tracks(DATASETS[wildcards.dataset])
        ],
        roles=lambda wildcards: PROJECT.window_roles(DATASETS[wildcards.dataset]),
        grid_bp=lambda wildcards: PROJECT.grid_bp(DATASETS[wildcards.dataset]),
        blacklists=lambda wildcards: blacklist_files(wildcards),
        stamps=lambda wildcards: stamps(dataset_sources(wildcards)),
        format=FORMATS["dataset"],
    script:
        "../workflow/scripts/dataset_rows.py"


rule dataset_input:
    """One named input of a dataset."""
    input:
        files=lambda wildcards: dataset_sources(wildcards),
        genomes=lambda wildcards: genome_markers(wildcards),
        rows="results/datasets/{dataset}.zarr/rows/marker.json",
        tracks=lambda wildcards: markers_of(input_tracks(wildcards)),
    output:
        "results/datasets/{dataset}.zarr/inputs/{input}/marker.json",
    log:
        "logs/datasets/{dataset}/inputs.{input}.log",
    benchmark:
        "results/benchmarks/datasets/{dataset}/inputs.{input}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        name=lambda wildcards: DATASETS[wildcards.dataset],
        section=lambda wildcards: input_section(wildcards),
        tracks=lambda wildcards: tracks_json(input_tracks(wildcards)),
        stamps=lambda wildcards: stamps(dataset_sources(wildcards)),
        format=FORMATS["dataset"],
    script:
        "../workflow/scripts/dataset_input.py"


rule dataset_target:
    """One array group of one named target of a dataset."""
    input:
        files=lambda wildcards: dataset_sources(wildcards),
        genomes=lambda wildcards: genome_markers(wildcards),
        rows="results/datasets/{dataset}.zarr/rows/marker.json",
        tracks=lambda wildcards: markers_of(group_tracks(wildcards)),
    output:
        "results/datasets/{dataset}.zarr/targets/{target}/{group}/marker.json",
    log:
        "logs/datasets/{dataset}/targets.{target}.{group}.log",
    benchmark:
        "results/benchmarks/datasets/{dataset}/targets.{target}.{group}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        name=lambda wildcards: DATASETS[wildcards.dataset],
        section=lambda wildcards: target_section(wildcards),
        tracks=lambda wildcards: tracks_json(group_tracks(wildcards)),
        stamps=lambda wildcards: stamps(dataset_sources(wildcards)),
        format=FORMATS["dataset"],
    script:
        "../workflow/scripts/dataset_target.py"


rule dataset:
    """Joins the parts of a dataset: its geometry, and the marker that says it is whole."""
    input:
        rows="results/datasets/{dataset}.zarr/rows/marker.json",
        parts=lambda wildcards: dataset_parts(wildcards),
    output:
        "results/datasets/{dataset}.zarr/marker.json",
    log:
        "logs/datasets/{dataset}/dataset.log",
    benchmark:
        "results/benchmarks/datasets/{dataset}/dataset.tsv"
    wildcard_constraints:
        dataset=one_of(key for key in DATASETS if key not in STORED),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        name=lambda wildcards: DATASETS[wildcards.dataset],
        parts=lambda wildcards: all_parts(wildcards.dataset),
        format=FORMATS["dataset"],
    script:
        "../workflow/scripts/dataset.py"


rule stored_dataset:
    """A dataset that lies elsewhere: its small files are copied, its arrays are read there."""
    output:
        "results/datasets/{dataset}.zarr/marker.json",
    log:
        "logs/datasets/{dataset}/stored_dataset.log",
    benchmark:
        "results/benchmarks/datasets/{dataset}/stored_dataset.tsv"
    wildcard_constraints:
        dataset=one_of(STORED),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        name=lambda wildcards: DATASETS[wildcards.dataset],
        url=lambda wildcards: dataset_of(wildcards).stored,
        parts=lambda wildcards: all_parts(wildcards.dataset),
        format=FORMATS["dataset"],
    script:
        "../workflow/scripts/stored_dataset.py"
