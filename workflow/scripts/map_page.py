"""The HTML pages of a map."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.effects import MapPage
    from seqmill.report.map_page import write_map_page

    page = MapPage.model_validate_json(snakemake.params.page)
    write_map_page(
        noun(snakemake.output[0]),
        map_folder=noun(snakemake.input.map),
        genome=noun(snakemake.input.genome) if snakemake.input.genome else None,
        regions=page.regions,
        tracks=[noun(path) for path in snakemake.input.tracks],
        genes=page.genes,
        variants=[noun(path) for path in snakemake.input.variants],
        vcf=page.vcf,
    )
