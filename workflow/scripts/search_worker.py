"""One of the jobs that share the trials of a search in one fold."""

from pathlib import Path

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Model
    from seqmill.config.search import Search
    from seqmill.runtime.device import choose_device
    from seqmill.runtime.files import atomic_write

    model = Model.model_validate_json(snakemake.params.model)
    training = model.training
    choose_device(training.device, training.xla_threads, training.devices)  # before jax is imported

    from seqmill.training.search import work_on

    done = Path(snakemake.output[0])
    study = work_on(
        done.parent,
        name=snakemake.params.name,
        model=model,
        search=Search.model_validate_json(snakemake.params.search),
        dataset=noun(snakemake.input.dataset),
        fold=snakemake.wildcards.fold,
        seed=snakemake.params.seed,
    )
    atomic_write(done, f"{len(study.ended())} trials\n")
