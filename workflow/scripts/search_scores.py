"""Nested scores of a search beside the optimistic ones."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Model
    from seqmill.config.search import Search
    from seqmill.runtime.device import choose_device
    from seqmill.stages.searches import score_search

    model = Model.model_validate_json(snakemake.params.model)
    choose_device(model.training.device, model.training.xla_threads)  # before jax is imported
    score_search(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        model=model,
        search=Search.model_validate_json(snakemake.params.search),
        dataset=noun(snakemake.input.dataset),
        chosen=[noun(marker) for marker in snakemake.input.chosen],
        trained=[noun(marker) for marker in snakemake.input.trained],
    )
