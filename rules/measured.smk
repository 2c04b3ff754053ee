# Reads:  results/models, results/genome, results/datasets, files of measured effects
# Writes: results/measured/{measured}

from seqmill.config.measured import measured_genome


def measured_of(wildcards):
    return PROJECT.config.measured[MEASURED[wildcards.measured]]


def measured_genomes(wildcards):
    """Genome that places are read from; none where the sequences are given."""
    name = measured_genome(PROJECT.config, measured_of(wildcards), PROJECT.where)
    return f"results/genome/{slug(name)}.zarr/marker.json" if name else []


def measured_baseline(wildcards):
    """Section of the k-mer baseline, as JSON; empty if there is none."""
    name = measured_of(wildcards).kmer
    if name is None:
        return ""
    return run_scope(PROJECT.config.baselines[name]).model_dump_json()


def measured_files(wildcards):
    """Files that the section, and the baseline that it names, read."""
    section = measured_of(wildcards)
    others = [PROJECT.config.baselines[section.kmer]] if section.kmer else []
    return [path for one in (section, *others) for path in one.source_files()]


def measured_markers():
    return [f"results/measured/{key}/marker.json" for key in MEASURED]


rule measured:
    """Effects measured by experiment beside what a network and simple baselines predict of them."""
    input:
        genome=lambda wildcards: measured_genomes(wildcards),
        models=lambda wildcards: effect_models(measured_of(wildcards)),
        datasets=lambda wildcards: effect_datasets(measured_of(wildcards)),
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
