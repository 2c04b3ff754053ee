"""A network trained with the settings that were chosen in its fold."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Model
    from seqmill.stages.searches import with_best
    from seqmill.stages.training import train_here

    name = snakemake.params.name
    section = Model.model_validate_json(snakemake.params.model)
    model = with_best(section, noun(snakemake.input.search), f"searches.{name}")
    train_here(
        noun(snakemake.output[0]),
        name,
        model.model_dump_json(),
        noun(snakemake.input.dataset),
        snakemake.wildcards.fold,
        int(snakemake.wildcards.seed),
        None,
        [],
    )
