"""Predictions of one trained network on its test part."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.runtime.device import choose_device
    from seqmill.stores.model import ModelReader

    folder = noun(snakemake.input.model)
    training = ModelReader(folder).info["training"]
    choose_device(training["device"], training["xla_threads"])  # before jax is imported

    from seqmill.config.models import Prediction
    from seqmill.training.predict import predict

    predict(
        noun(snakemake.output[0]),
        model_folder=folder,
        dataset=noun(snakemake.input.dataset),
        prediction=Prediction.model_validate_json(snakemake.params.section),
    )
