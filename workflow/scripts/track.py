"""Build one track store from its source file."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.sheet import Track
    from seqmill.stores.genome import GenomeReader
    from seqmill.stores.track import build_track

    build_track(
        noun(snakemake.output[0]),
        track=Track.model_validate_json(snakemake.params.track),
        genome=GenomeReader(noun(snakemake.input.genome)),
        partial=snakemake.params.partial,
        on_bad_track=snakemake.params.on_bad_track,
        quality=noun(snakemake.input.quality) if snakemake.input.quality else None,
        on_poor_quality=snakemake.params.on_poor_quality,
    )
