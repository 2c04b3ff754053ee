"""Searches and curves checked against the rest of the configuration."""

from collections.abc import Callable

from seqmill.config.root import Config
from seqmill.config.search import Search, corners, lay
from seqmill.runtime.errors import InputError


def check_searches(config: Config, where: str, folds_of: Callable[[str], list[str]]) -> None:
    """Raise InputError for a search or a curve of an unknown model or fold, or with a setting that no model takes."""
    for kind in ("searches", "curves"):
        for name, section in getattr(config, kind).items():
            place = f"{where}: {kind}.{name}"
            if kind == "curves" and name in config.searches:
                raise InputError(place, f"{name!r} is a search too; give them different names")
            if section.model not in config.models:
                known = ", ".join(config.models) or "none"
                raise InputError(place, f"model {section.model!r} is not configured; known: {known}")
            if config.models[section.model].initial is not None:
                raise InputError(
                    place,
                    f"model {section.model} starts from a trained model; name one that starts from fresh parameters",
                )
            for fold in section.folds or []:
                if fold not in folds_of(section.model):
                    raise InputError(place, f"fold {fold!r} is none of {', '.join(folds_of(section.model))}")
    for name, search in config.searches.items():
        _check_space(config, f"{where}: searches.{name}", search)
    for name, model in config.models.items():
        if model.search is not None:
            _check_taker(config, f"{where}: models.{name}", name, folds_of)


def _check_space(config: Config, where: str, search: Search) -> None:
    model = config.models[search.model]
    margin_bp = config.datasets[model.dataset].margin_bp
    for settings in corners(search):
        laid = lay(model, settings, where)
        if laid.training.max_jitter_bp > margin_bp:
            raise InputError(
                where,
                f"max_jitter_bp {laid.training.max_jitter_bp} needs margin_bp of dataset {model.dataset} to be at "
                f"least as large, it is {margin_bp}",
            )


def _check_taker(config: Config, where: str, name: str, folds_of: Callable[[str], list[str]]) -> None:
    """A model that takes its settings from a search: of the same dataset and network, in folds that are searched."""
    model = config.models[name]
    if model.search not in config.searches:
        known = ", ".join(config.searches) or "none"
        raise InputError(where, f"search {model.search!r} is not configured; known: {known}")
    search = config.searches[model.search]
    searched = config.models[search.model]
    for key in ("dataset", "architecture"):
        mine, other = getattr(model, key), getattr(searched, key)
        if mine != other:
            raise InputError(where, f"search {model.search} is of {key} {other}, the model of {mine}")
    folds = search.folds or folds_of(search.model)
    for fold in folds_of(name):
        if fold not in folds:
            raise InputError(where, f"search {model.search} is not made in fold {fold!r}, only in {', '.join(folds)}")
    for settings in corners(search):
        lay(model, settings, where)
