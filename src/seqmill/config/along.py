"""What of a project can be drawn along a genome."""

from seqmill.config.datasets import Dataset
from seqmill.config.names import slug
from seqmill.config.project import Project

ALONG = ("profile", "count", "binary")  # kinds of targets whose predictions are drawn along a genome


def networks_along(project: Project) -> list[str]:
    """Networks whose examples lie on a genome, and that predict something to draw there."""
    datasets = project.config.datasets
    return [
        name
        for name, model in project.config.models.items()
        if datasets[model.dataset].windows.kind in ("tiles", "peaks")
        and any(target.kind in ALONG for target in datasets[model.dataset].targets.values())
        and model.objective.name != "autoencoder"
    ]


def prediction_places(project: Project, name: str) -> list[str]:
    """Stores below the results whose mean is what a network predicts: of its folds, and of its seeds or their mean."""
    seeds = ["mean"] if project.has_ensemble(name) else project.seeds(name)
    return [f"predictions/{slug(name)}/{fold}.{seed}.zarr" for fold in project.folds(name) for seed in seeds]


def spans_bp(section: Dataset) -> dict[str, int | None]:
    """For each target the central part of a window that a value without bins is about; None for the whole window."""
    label_bp = getattr(section.windows, "label_bp", None)
    return {name: t.length_bp if t.kind == "count" else label_bp for name, t in section.targets.items()}
