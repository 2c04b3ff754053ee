"""A mutagenesis map, or that of some of its regions."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.effects import Map
    from seqmill.stages.effects import resume_of
    from seqmill.stages.predictions import choose_device_of

    models = [noun(path) for path in snakemake.input.models]
    choose_device_of(models[0])  # before jax is imported

    from seqmill.config.models import Prediction
    from seqmill.effects.maps.build import build_map

    section = Map.model_validate_json(snakemake.params.section)
    wildcards = snakemake.wildcards
    datasets = [noun(path) for path in snakemake.input.datasets]
    build_map(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        section=section,
        genome=noun(snakemake.input.genome) if snakemake.input.genome else None,
        models=models,
        prediction=Prediction.model_validate_json(snakemake.params.prediction),
        datasets=datasets,
        rows_of=datasets[0] if section.windows is not None else None,
        state=resume_of(noun(snakemake.output[0])),
        part=(int(wildcards.part) - 1, int(wildcards.parts)) if wildcards.get("part") else None,
    )
