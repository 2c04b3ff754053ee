"""A training in processes of its own: the device is chosen before jax is imported."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import InputError, SeqmillError


def train_run(
    out: Path, name: str, model: str, dataset: Path, fold: str, seed: int, start: tuple[Path, list[Path]] | None
) -> None:
    """Body of the training process; ``start`` is the folder of the initial model and those of its datasets."""
    from seqmill.runtime.job import start_logging, watch_driver

    start_logging()
    watch_driver()
    initial, seen = start or (None, [])
    train_here(out, name, model, dataset, fold, seed, initial, seen)


def train_here(
    out: Path, name: str, model: str, dataset: Path, fold: str, seed: int, initial: Path | None, seen: list[Path]
) -> None:
    """Train in this process, or in as many as the configuration asks for (``model``, its section as JSON)."""
    from seqmill.config.models import Model

    section = Model.model_validate_json(model).training
    processes = section.processes
    if processes == 1:
        _train(out, name, model, dataset, fold, seed, initial, seen)
        return
    from seqmill.runtime.cluster import run_processes, stand_together

    if section.devices == "all" and section.device != "cpu" and stand_together():
        raise InputError(
            "training.devices",
            f"'all' for {processes} processes of one machine would give each every {section.device}; name a number",
        )
    paths = [str(out), str(dataset), None if initial is None else str(initial), [str(folder) for folder in seen]]
    request = json.dumps([*paths, name, model, fold, seed])
    command = [sys.executable, "-m", "seqmill.stages.training", request]
    run_processes(command, processes, what=f"training of {name} {fold}.{seed}")


def _train(out: Any, name: str, model: str, dataset: Any, fold: str, seed: int, initial: Any, seen: list[Any]) -> None:
    from seqmill.config.models import Model
    from seqmill.runtime.device import choose_device

    section = Model.model_validate_json(model)
    choose_device(section.training.device, section.training.xla_threads, section.training.devices)

    from seqmill.training.train import train_model

    train_model(
        out, name=name, model=section, dataset=dataset, fold=fold, seed=seed, initial=initial, initial_datasets=seen
    )


def worker(request: str) -> None:
    """One of several processes; its lines are "LEVEL text", for `seqmill.runtime.cluster.run_processes`.

    After an error it ends at once: the end that jax arranges waits for the others.
    """
    from seqmill.runtime.job import watch_driver

    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    log = logging.getLogger("seqmill")
    log.setLevel(os.environ.get("SEQMILL_LOG_LEVEL", "INFO"))
    watch_driver()
    out, dataset, initial, seen, name, model, fold, seed = json.loads(request)
    try:
        _train(out, name, model, dataset, fold, seed, initial, seen)
    except SeqmillError as error:
        log.error("%s", error)
        sys.stderr.flush()
        os._exit(error.exit_code)
    except BaseException as error:
        log.error("unexpected error: %s: %s", type(error).__name__, error, exc_info=True)
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    worker(sys.argv[1])
