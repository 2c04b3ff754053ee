"""The report page."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Report
    from seqmill.config.written import unpacked
    from seqmill.report.page import write_report

    write_report(
        snakemake.output[0],
        report=Report(**unpacked(snakemake.params.section)),
        evaluations=[noun(path) for path in snakemake.input.evaluations],
        datasets=[noun(path) for path in snakemake.input.datasets],
        models=[noun(path) for path in snakemake.input.models],
        predictions=[noun(path) for path in snakemake.input.predictions],
        maps=[noun(path) for path in snakemake.input.maps],
        motifs=[noun(path) for path in snakemake.input.motifs],
        variants=[noun(path) for path in snakemake.input.variants],
        measured=[noun(path) for path in snakemake.input.measured],
        searches=[noun(path) for path in snakemake.input.searches],
        scores=[noun(path) for path in snakemake.input.scores],
        curves=[noun(path) for path in snakemake.input.curves],
        qualities=[noun(path) for path in snakemake.input.qualities],
        experiments=[noun(path) for path in snakemake.input.experiments],
        libraries=[noun(path) for path in snakemake.input.libraries],
        written=unpacked(snakemake.params.written),
        truth_table=snakemake.output[1] if len(snakemake.output) > 1 else None,
    )
