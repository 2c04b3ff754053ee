"""Verbs of mutagenesis maps, motifs and variants."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqmill.cli.settings import RESULTS, build, project_of, remark
from seqmill.cli.stages import folds_of, model_of
from seqmill.runtime.errors import InputError
from seqmill.stages.sources import of_genome

COMMAND = "the command"
_SOURCE = {"maps": "regions", "variants": "file"}
_OWN = (
    "model", "out", "regions", "file", "genome", "targets", "runs", "fold", "seed", "edits", "tile_bp", "effects",
    "min_ref_match", "standard_deviation", "background", "background_sampled", "haplotypes", "samples",
)  # fmt: skip


def _section(kind: Any, project: Any, values: dict[str, Any]) -> Any:
    """A section made of arguments, checked as one of the configuration is."""
    from seqmill.config.effects import check_effects
    from seqmill.config.problems import check_settings

    section = check_settings(kind, {key: value for key, value in values.items() if value is not None}, COMMAND)
    check_effects(project.config, section, COMMAND)
    return section


def _configured(arguments: argparse.Namespace, project: Any, section: str, what: str) -> str | None:
    """The name that is asked for; None where the arguments make one of their own."""
    given = [key for key in _OWN if getattr(arguments, key, None) is not None]
    if arguments.name is None and arguments.model is None:
        raise InputError(COMMAND, f"name {what} of the configuration, or --model with its other arguments")
    if arguments.name is None:
        for key in ("out", _SOURCE[section]):
            if getattr(arguments, key) is None:
                raise InputError(COMMAND, f"--model needs --{key} too")
        return None
    if given:
        raise InputError(COMMAND, f"--{given[0].replace('_', '-')} is for {what} that has no name")
    known = getattr(project.config, section)
    if arguments.name not in known:
        listed = ", ".join(known) or "none"
        raise InputError(project.where, f"{section}: {arguments.name!r} is not configured; known: {listed}")
    return arguments.name


def _trained(arguments: argparse.Namespace, project: Any) -> list[Path]:
    from seqmill.stages.predictions import trained_runs

    name = model_of(arguments, project)
    seeds = None if arguments.seed is None else [arguments.seed]
    return trained_runs(project, RESULTS, name, folds_of(arguments, project, name), seeds)


def ism(arguments: argparse.Namespace) -> int:
    from seqmill.config.effects import Map
    from seqmill.stages import effects as effects_steps

    keys = ("model", "regions", "genome", "targets", "runs", "edits", "tile_bp")
    return _score(arguments, Map, "maps", "a map", keys, effects_steps.of_map, effects_steps.map_of_regions)


def motifs(arguments: argparse.Namespace) -> int:
    from seqmill.stages.motifs import of_motifs

    project = project_of(arguments)
    known = project.config.motifs
    if arguments.name not in known:
        listed = ", ".join(known) or "none"
        raise InputError(project.where, f"motifs: {arguments.name!r} is not configured; known: {listed}")
    return build(arguments, project, lambda steps: [of_motifs(steps, arguments.name)])


def variants(arguments: argparse.Namespace) -> int:
    from seqmill.config.effects import VariantSet
    from seqmill.config.names import slug
    from seqmill.stages import effects as effects_steps

    def step(steps: Any, name: str) -> list[Any]:
        return [effects_steps.of_variants(steps, name)]

    keys = (
        "model", "file", "genome", "targets", "runs", "effects", "min_ref_match", "standard_deviation", "background",
        "haplotypes", "samples",
    )  # fmt: skip
    if arguments.name is None and arguments.background is not None:
        arguments.background = {"file": arguments.background}
    elif arguments.name is None and arguments.background_sampled is not None:
        arguments.background = {"sampled": arguments.background_sampled}
    what = "a set of variants"
    code = _score(arguments, VariantSet, "variants", what, keys, step, effects_steps.scores_of_file)
    if not (code or arguments.quiet or arguments.json):
        from seqmill.report.variants import strongest_words

        folder = arguments.out if arguments.name is None else RESULTS / "variants" / slug(arguments.name)
        remark(arguments, "\n".join(strongest_words(folder)))
    return code


def measured(arguments: argparse.Namespace) -> int:
    from seqmill.stages.measured import of_measured

    project = project_of(arguments)
    if arguments.name not in project.config.measured:
        listed = ", ".join(project.config.measured) or "none"
        raise InputError(project.where, f"measured: {arguments.name!r} is not configured; known: {listed}")
    return build(arguments, project, lambda steps: [of_measured(steps, arguments.name)])


def _score(
    arguments: argparse.Namespace,
    kind: Any,
    part: str,
    what: str,
    keys: tuple[str, ...],
    step: Callable[[Any, str], list[Any]],
    once: Callable[..., list[Path]],
) -> int:
    """Build what the configuration names (``step``), or what the arguments describe (``once``)."""
    from seqmill.config.effects import genome_of

    project = project_of(arguments)
    name = _configured(arguments, project, part, what)
    if name is not None:
        return build(arguments, project, lambda steps: step(steps, name))
    section = _section(kind, project, {key: getattr(arguments, key) for key in keys})
    trained = _trained(arguments, project)
    genome = genome_of(project.config, section, COMMAND)

    def then() -> list[Path]:
        return once(project, RESULTS, section, trained, arguments.out)

    return build(arguments, project, lambda steps: [of_genome(steps, genome)], then)
