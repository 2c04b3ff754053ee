# Reads:  one source file of the track sheet, or results/sources/{track} where it was fetched, or of
#         results/experiments; results/genome/{assembly}.zarr; results/quality where that decides
# Writes: results/tracks/{track}.zarr


rule track:
    """One track store, from one source file."""
    input:
        source=lambda wildcards: tracked([TRACKS[wildcards.track].path]),
        genome=lambda wildcards: f"results/genome/{slug(TRACKS[wildcards.track].assembly)}.zarr/marker.json",
        quality=deciding_quality,
    output:
        "results/tracks/{track}.zarr/marker.json",
    log:
        "logs/tracks/{track}.log",
    benchmark:
        "results/benchmarks/tracks/{track}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        track=lambda wildcards: track_scope(TRACKS[wildcards.track]).model_dump_json(),
        partial=lambda wildcards: PROJECT.config.genomes[
            TRACKS[wildcards.track].assembly
        ].partial,
        on_bad_track=(
            PROJECT.config.tracks.on_bad_track if PROJECT.config.tracks else "fail"
        ),
        stamp=lambda wildcards: stamps([TRACKS[wildcards.track].path]),
        on_poor_quality=PROJECT.config.reads.on_poor_quality,
        format=FORMATS["track"],
    script:
        "../workflow/scripts/track.py"
