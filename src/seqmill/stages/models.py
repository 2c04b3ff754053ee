"""Steps that train networks."""

from seqmill.config.lineage import given_datasets, given_folder, initial_seed, lineage
from seqmill.config.names import slug
from seqmill.config.scope import run_scope
from seqmill.runtime.child import in_child
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import MARKER, read_marker
from seqmill.stages.datasets import of_dataset
from seqmill.stages.searches import of_search, with_best
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps, some_of
from seqmill.stages.training import train_run
from seqmill.stores.versions import FORMATS


def of_model(steps: Steps, name: str, fold: str, seed: int) -> Step:
    """One run of one network, trained in a process of its own (the device is chosen before jax is imported)."""
    models, where = steps.project.config.models, steps.project.where
    if name not in models:
        raise InputError(where, f"model {name!r} is not configured; known: {some_of(models)}")
    model, dataset = run_scope(models[name]), of_dataset(steps, models[name].dataset)
    place = f"models/{slug(name)}/{fold}.{seed}"
    before = lineage(models, name, where)
    seen = [of_dataset(steps, models[earlier].dataset) for earlier in before]
    initial = of_model(steps, before[0], fold, initial_seed(models, name, seed, where)) if before else None
    given = given_folder(models, name, fold, seed, where)
    folder = initial.folder if initial else given
    known = [*[step.folder for step in seen], *given_datasets(models, [name, *before])]
    start = (folder, known) if folder else None
    chosen = of_search(steps, model.search, fold) if model.search else None

    def build() -> None:
        section = with_best(model, chosen.folder, f"models.{name}") if chosen else model
        text, what = section.model_dump_json(), f"training of {name} {fold}.{seed}"
        in_child(train_run, steps.results / place, name, text, dataset.folder, fold, seed, start, what=what)

    settings = {"model": model.model_dump(mode="json"), "fold": fold, "seed": seed, "format": FORMATS["model"]}
    settings |= {"initial": read_marker(given).digest} if given else {}
    needs = [dataset, *([initial] if initial else []), *seen, *([chosen] if chosen else [])]
    what, sources = f"model {name}, fold {fold}, seed {seed}", [given / MARKER] if given else []
    return steps.step(place, what, settings, build, sources=sources, needs=needs)
