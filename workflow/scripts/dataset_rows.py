"""Choose the rows of a dataset."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.datasets import Dataset
    from seqmill.examples.rows import build_rows

    params = snakemake.params
    section = Dataset.model_validate_json(params.section)
    build_rows(
        noun(snakemake.output[0]),
        name=params.name,
        dataset=section,
        genomes=dict(zip(section.genomes, map(noun, snakemake.input.genomes))),
        blacklists=dict(params.blacklists),
        tracks=dict(zip(params.tracks, map(noun, snakemake.input.tracks))),
        assemblies=dict(zip(params.tracks, params.assemblies)),
        roles={role: list(names) for role, names in params.roles.items()},
        grid_bp=params.grid_bp,
    )
