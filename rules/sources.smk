# Reads:  the lock (at parse time); the hosts it names, or the cache
# Writes: results/sources/{source}/, the fetched files of a track or of a location of the configuration


# on clusters where the nodes of jobs reach no host, this rule runs on the one that submits
localrules:
    fetch,


rule fetch:
    """The files of one track or location, exactly as the lock pins them."""
    output:
        "results/sources/{source}/marker.json",
    log:
        "logs/sources/{source}.log",
    benchmark:
        "results/benchmarks/sources/{source}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=720,
    params:
        pinned=lambda wildcards: pinned(wildcards.source),
        format=FORMATS["source"],
    script:
        "../workflow/scripts/fetch.py"
