# Reads:  FASTA and sizes files of the configuration
# Writes: results/genome/{assembly}.zarr


rule genome:
    """One genome store: sequence codes and soft-mask bits of every contig."""
    input:
        lambda wildcards: tracked(GENOMES[wildcards.assembly][1].source_files()),
    output:
        "results/genome/{assembly}.zarr/marker.json",
    log:
        "logs/genome/{assembly}.log",
    benchmark:
        "results/benchmarks/genome/{assembly}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        name=lambda wildcards: GENOMES[wildcards.assembly][0],
        section=lambda wildcards: GENOMES[wildcards.assembly][1].model_dump_json(),
        stamps=lambda wildcards: stamps(GENOMES[wildcards.assembly][1].source_files()),
        format=FORMATS["genome"],
    script:
        "../workflow/scripts/genome.py"
