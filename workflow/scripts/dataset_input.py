"""Write one named input of a dataset."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    import json

    from seqmill.config.datasets import Dataset
    from seqmill.config.sheet import Track
    from seqmill.examples.inputs import build_input

    section = Dataset.model_validate_json(snakemake.params.section)
    tracks = [Track.model_validate(row) for row in json.loads(snakemake.params.tracks)]
    build_input(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        dataset=section,
        input_name=snakemake.wildcards.input,
        rows=noun(snakemake.input.rows),
        genomes=dict(zip(section.genomes, map(noun, snakemake.input.genomes))),
        tracks=tracks,
        track_stores=dict(zip((track.track for track in tracks), map(noun, snakemake.input.tracks))),
    )
