# Reads:  nothing
# Writes: results/simulation/, the demo's world, only where the configuration has a `simulation` section

if PROJECT.config.simulation:

    rule simulate_world:
        """A genome with a stated motif grammar, and the sequencing files that follow from it."""
        output:
            "results/simulation/marker.json",
            "results/simulation/genome.fa.gz",
            "results/simulation/genome.sizes",
            "results/simulation/blacklist.bed",
            "results/simulation/atac.bam",
            "results/simulation/chip_ctcf.bw",
            "results/simulation/chip_myc.bw",
            "results/simulation/atac.narrowPeak.gz",
            "results/simulation/ctcf.narrowPeak.gz",
            "results/simulation/gata1.narrowPeak.gz",
            "results/simulation/myc.narrowPeak.gz",
            "results/simulation/variants.vcf.gz",
            "results/simulation/regions.bed",
        log:
            "logs/simulation.log",
        benchmark:
            "results/benchmarks/simulation.tsv"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            settings=PROJECT.config.simulation.model_dump_json(),
            format=FORMATS["world"],
        script:
            "../workflow/scripts/simulate_world.py"
