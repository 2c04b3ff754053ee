"""A training in a process of its own: the device is chosen before jax is imported."""

from pathlib import Path


def train_run(
    out: Path, name: str, model: str, dataset: Path, fold: str, seed: int, start: tuple[Path, list[Path]] | None
) -> None:
    """Body of the training process; ``start`` is the folder of the initial model and those of its datasets."""
    from seqmill.config.models import Model
    from seqmill.runtime.device import choose_device
    from seqmill.runtime.job import start_logging, watch_driver

    start_logging()
    watch_driver()
    section = Model.model_validate_json(model)
    choose_device(section.training.device, section.training.xla_threads)

    from seqmill.training.train import train_model

    initial, seen = start or (None, [])
    train_model(
        out,
        name=name,
        model=section,
        dataset=dataset,
        fold=fold,
        seed=seed,
        initial=initial,
        initial_datasets=seen,
    )
