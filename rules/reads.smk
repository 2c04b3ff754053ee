# Reads:  FASTQ, BAM and fragment files of the sheet of reads (or results/sources), results/genome/{assembly}.zarr
# Writes: results/aligners/{assembly}.{aligner}, results/libraries/{experiment}.{replicate},
#         results/experiments/{experiment}, results/quality/{experiment or sample}, results/quality-table
#
# `shell:` and not `script:`, so that --sdm conda brings programs and not another Python (see seqmill/reads_jobs.py).


wildcard_constraints:
    aligner="|".join(ALIGNER_NAMES),
    experiment=one_of(EXPERIMENT_NAMES),
    sample=one_of(SAMPLES),
    replicate=r"\d+",


rule aligner:
    """The index of an aligner."""
    input:
        "results/genome/{assembly}.zarr/marker.json",
    output:
        "results/aligners/{assembly}.{aligner}/marker.json",
    log:
        "logs/aligners/{assembly}.{aligner}.log",
    benchmark:
        "results/benchmarks/aligners/{assembly}.{aligner}.tsv"
    conda:
        "../envs/reads.yaml"
    threads: 8
    resources:
        mem_mb=12000,
        runtime=240,
    params:
        job=lambda wildcards: packed(
            aligner_job(label_of(wildcards.assembly), wildcards.aligner)
        ),
        format=FORMATS["aligner"],
    shell:
        '"$SEQMILL_PYTHON" -m seqmill.stages.reads_jobs aligner {output:q} {params.job} --log {log:q} --threads {threads}'


rule library:
    """One replicate: trimmed, aligned, filtered, without duplicates."""
    input:
        sources=library_sources,
        index=library_index,
        genome=experiment_genome,
    output:
        "results/libraries/{experiment}.{replicate}/marker.json",
    log:
        "logs/libraries/{experiment}.{replicate}.log",
    benchmark:
        "results/benchmarks/libraries/{experiment}.{replicate}.tsv"
    conda:
        "../envs/reads.yaml"
    threads: 8
    resources:
        mem_mb=16000,
        runtime=720,
    params:
        job=lambda wildcards: packed(
            library_job(
                PROJECT,
                EXPERIMENT_NAMES[wildcards.experiment],
                int(wildcards.replicate),
            )
        ),
        stamp=lambda wildcards: stamps(
            path for row in library_rows(wildcards) for path in row.files()
        ),
        format=FORMATS["library"],
    shell:
        '"$SEQMILL_PYTHON" -m seqmill.stages.reads_jobs library {output:q} {params.job} --log {log:q} --threads {threads}'


rule experiment:
    """Replicates together: signal, peaks, reproducible peaks."""
    input:
        libraries=lambda wildcards: library_markers(
            EXPERIMENT_NAMES[wildcards.experiment]
        ),
        control=lambda wildcards: library_markers(experiment_of(wildcards).control),
        genome=experiment_genome,
    output:
        "results/experiments/{experiment}/marker.json",
    log:
        "logs/experiments/{experiment}.log",
    benchmark:
        "results/benchmarks/experiments/{experiment}.tsv"
    conda:
        "../envs/reads.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        job=lambda wildcards: packed(
            experiment_job(PROJECT, EXPERIMENT_NAMES[wildcards.experiment])
        ),
        format=FORMATS["experiment"],
    shell:
        '"$SEQMILL_PYTHON" -m seqmill.stages.reads_jobs experiment {output:q} {params.job} --log {log:q} --threads {threads}'


rule quality:
    """Metrics of an experiment against ENCODE's thresholds."""
    input:
        libraries=lambda wildcards: library_markers(
            EXPERIMENT_NAMES[wildcards.experiment]
        ),
        experiment="results/experiments/{experiment}/marker.json",
        tss=tss_files,
        genome=experiment_genome,
    output:
        "results/quality/{experiment}/marker.json",
    log:
        "logs/quality/{experiment}.log",
    benchmark:
        "results/benchmarks/quality/{experiment}.tsv"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=120,
    params:
        job=lambda wildcards: packed(
            quality_job(PROJECT, EXPERIMENT_NAMES[wildcards.experiment])
        ),
        format=FORMATS["quality"],
    shell:
        '"$SEQMILL_PYTHON" -m seqmill.stages.reads_jobs quality {output:q} {params.job} --log {log:q}'


rule call_quality:
    """Metrics of a sample of methylation calls."""
    input:
        files=lambda wildcards: tracked(sample_files(wildcards)),
        genome=sample_genome,
    output:
        "results/quality/{sample}/marker.json",
    log:
        "logs/quality/{sample}.log",
    benchmark:
        "results/benchmarks/quality/{sample}.tsv"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=120,
    params:
        job=lambda wildcards: packed(
            call_quality_job(PROJECT, SAMPLES[wildcards.sample])
        ),
        stamp=lambda wildcards: stamps(sample_files(wildcards)),
        format=FORMATS["quality"],
    shell:
        '"$SEQMILL_PYTHON" -m seqmill.stages.reads_jobs call-quality {output:q} {params.job} --log {log:q}'


rule quality_table:
    """The qualities of all experiments in one table."""
    input:
        quality_markers(),
    output:
        "results/quality-table/marker.json",
    log:
        "logs/quality-table.log",
    benchmark:
        "results/benchmarks/quality-table.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        job=packed(table_job(PROJECT)),
        format=FORMATS["quality"],
    shell:
        '"$SEQMILL_PYTHON" -m seqmill.stages.reads_jobs quality-table {output:q} {params.job} --log {log:q}'
