"""Write one named input of a dataset."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.datasets import Dataset
    from seqmill.examples.inputs import build_input

    section = Dataset.model_validate_json(snakemake.params.section)
    build_input(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        dataset=section,
        input_name=snakemake.wildcards.input,
        rows=noun(snakemake.input.rows),
        genomes=dict(zip(section.genomes, map(noun, snakemake.input.genomes))),
    )
