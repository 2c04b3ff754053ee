"""The metric table of one dataset."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.evaluation.tables import evaluate

    evaluate(
        noun(snakemake.output[0]), name=snakemake.params.name, predictions=[noun(path) for path in snakemake.input]
    )
