"""Write one array group of one named target of a dataset."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    import json

    from seqmill.config.datasets import Dataset
    from seqmill.config.names import label_of
    from seqmill.config.sheet import Track
    from seqmill.examples.targets import build_target

    section = Dataset.model_validate_json(snakemake.params.section)
    tracks = [Track.model_validate(row) for row in json.loads(snakemake.params.tracks)]
    build_target(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        dataset=section,
        target_name=label_of(snakemake.wildcards.target),
        group=label_of(snakemake.wildcards.group),
        tracks=tracks,
        rows=noun(snakemake.input.rows),
        track_stores=dict(zip((track.track for track in tracks), map(noun, snakemake.input.tracks))),
        genomes=dict(zip(section.genomes, map(noun, snakemake.input.genomes))),
    )
