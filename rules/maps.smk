# Reads:  results/models, results/genome, results/datasets
# Writes: results/maps/{map}.zarr, results/maps/{map}.files, results/maps/{map}.page; results/maps/{map}.parts until the map is whole


rule map:
    """What every edit of some regions does to the predictions of one network; a killed job goes on from its last group."""
    input:
        genome=lambda wildcards: effect_genome(map_of(wildcards)),
        models=lambda wildcards: effect_models(map_of(wildcards)),
        datasets=lambda wildcards: effect_datasets(map_of(wildcards)),
        files=lambda wildcards: tracked(map_sources(wildcards)),
    output:
        "results/maps/{map}.zarr/marker.json",
    log:
        "logs/maps/{map}.log",
    benchmark:
        "results/benchmarks/maps/{map}.tsv"
    wildcard_constraints:
        map=one_of(whole_maps()),
    threads: lambda wildcards: effect_training(map_of(wildcards)).xla_threads
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=lambda wildcards: int(effect_training(map_of(wildcards)).device == "gpu"),
    params:
        name=lambda wildcards: MAPS[wildcards.map],
        section=lambda wildcards: map_section(wildcards),
        prediction=lambda wildcards: effect_prediction(map_of(wildcards)),
        stamps=lambda wildcards: stamps(map_sources(wildcards)),
        format=FORMATS["map"],
    script:
        "../workflow/scripts/map.py"


rule map_part:
    """Some of the regions of a map that several jobs make, each on a device of its own."""
    input:
        genome=lambda wildcards: effect_genome(map_of(wildcards)),
        models=lambda wildcards: effect_models(map_of(wildcards)),
        datasets=lambda wildcards: effect_datasets(map_of(wildcards)),
        files=lambda wildcards: tracked(map_sources(wildcards)),
    output:
        "results/maps/{map}.parts/{part}of{parts}.zarr/marker.json",
    log:
        "logs/maps/{map}.{part}of{parts}.log",
    benchmark:
        "results/benchmarks/maps/{map}.{part}of{parts}.tsv"
    wildcard_constraints:
        map=one_of(scattered_maps()),
        part=r"\d+",
        parts=r"\d+",
    threads: lambda wildcards: effect_training(map_of(wildcards)).xla_threads
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=lambda wildcards: int(effect_training(map_of(wildcards)).device == "gpu"),
    params:
        name=lambda wildcards: MAPS[wildcards.map],
        section=lambda wildcards: map_section(wildcards),
        prediction=lambda wildcards: effect_prediction(map_of(wildcards)),
        stamps=lambda wildcards: stamps(map_sources(wildcards)),
        format=FORMATS["map"],
    script:
        "../workflow/scripts/map.py"


rule map_gather:
    """The parts of a map as one, with the bits of a map that one job made; the parts are deleted."""
    input:
        parts=lambda wildcards: map_parts(wildcards),
    output:
        "results/maps/{map}.zarr/marker.json",
    log:
        "logs/maps/{map}.gather.log",
    benchmark:
        "results/benchmarks/maps/{map}.gather.tsv"
    wildcard_constraints:
        map=one_of(scattered_maps()),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        name=lambda wildcards: MAPS[wildcards.map],
        format=FORMATS["map"],
    script:
        "../workflow/scripts/map_gather.py"


rule map_files:
    """What browsers and motif discovery read of a map, and its pictures."""
    input:
        map="results/maps/{map}.zarr/marker.json",
        genome=lambda wildcards: effect_genome(map_of(wildcards)),
    output:
        "results/maps/{map}.files/marker.json",
    log:
        "logs/maps/{map}.files.log",
    benchmark:
        "results/benchmarks/maps/{map}.files.tsv"
    wildcard_constraints:
        map=one_of(MAPS),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        pictures=lambda wildcards: map_of(wildcards).picture,
        exports=lambda wildcards: list(map_of(wildcards).exports),
        format=FORMATS["map"],
    script:
        "../workflow/scripts/map_files.py"


rule map_page:
    """The HTML pages of a map, with tracks, genes and variants below it."""
    input:
        map="results/maps/{map}.zarr/marker.json",
        genome=lambda wildcards: effect_genome(map_of(wildcards)),
        tracks=lambda wildcards: page_tracks(wildcards),
        variants=lambda wildcards: page_variants(wildcards),
        files=lambda wildcards: tracked(map_of(wildcards).page.source_files()),
    output:
        "results/maps/{map}.page/marker.json",
    log:
        "logs/maps/{map}.page.log",
    benchmark:
        "results/benchmarks/maps/{map}.page.tsv"
    wildcard_constraints:
        map=one_of(paged_maps()),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        page=lambda wildcards: map_of(wildcards).page.model_dump_json(),
        stamps=lambda wildcards: stamps(map_of(wildcards).page.source_files()),
        format=FORMATS["map"],
    script:
        "../workflow/scripts/map_page.py"
