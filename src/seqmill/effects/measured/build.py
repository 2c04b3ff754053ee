"""Effects measured by experiment beside what a network and simple baselines predict of them: the noun `measured`."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from seqmill.baselines.applied import AppliedBaseline
from seqmill.baselines.motif_change import MotifChange, named_motifs
from seqmill.config.baselines import Baseline
from seqmill.config.measured import Measured
from seqmill.config.models import Prediction
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.measured.elements import score_elements
from seqmill.effects.measured.scorer import Scorer
from seqmill.effects.measured.sequences import score_sequences
from seqmill.effects.measured.variants import score_variant_effects
from seqmill.effects.measures import SPACES, check_targets
from seqmill.effects.unseen import Unseen
from seqmill.formats.place_values import bigwig_at, nearest_bp
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, upstream
from seqmill.stores.measured import CONSERVATION, DISTANCE, PWM, Column, write_measured
from seqmill.stores.specs import track_names
from seqmill.training.seen import run_name

Judge = Callable[..., pd.DataFrame]
Sequences = Sequence[tuple[np.ndarray | None, np.ndarray]]
MAY_BE_SEEN = "the sequences have no place on the genome of the training: the network may have seen them"
_LOG = logging.getLogger("seqmill")


def build_measured(
    out: str | Path,
    *,
    name: str,
    section: Measured,
    genome: str | Path | None,
    models: Sequence[str | Path],
    prediction: Prediction,
    datasets: Sequence[str | Path] = (),
    baseline: Baseline | None = None,
    fitted: Sequence[str | Path] = (),
    judge: Judge,
) -> None:
    """Score what was measured, judge it, and write the noun.

    Parameters
    ----------
    out : ``…/measured/{name}``. genome : folder of the genome that places are on; None where sequences are given.
    models : folders of the runs of the network. prediction : strands, shifts and batch size.
    datasets : folders of the datasets that the runs were trained on, the network's own first.
    baseline : section of the baseline that ``section.kmer`` names. fitted : folders of its predictions, one for each
        fold of the runs. judge : `seqmill.evaluation.measured.judge`.

    Raises
    ------
    InputError
        A file cannot be used (with its line), a target or track is not predicted, or nothing is left.
    """
    where = f"measured.{name}"
    parameters = {"measured": section.model_dump(mode="json"), "prediction": prediction.model_dump(mode="json")}
    packages = ("numpy", "pandas", "pyarrow", "jax", "jaxlib", "flax", "scikit-learn")
    inputs = upstream(*([genome] if genome else []), *models, *(datasets[:1] if baseline else []), *fitted)
    folder = noun_folder(
        out, noun="measured", label=name, inputs=inputs, parameters=parameters, packages=packages
    )  # fmt: skip
    with folder as (part, attrs, _):
        ensemble = Ensemble(models, prediction)
        targets = check_targets(ensemble.targets, section.targets, where)
        _check_tracks(section, ensemble, targets, where)
        pwm = _motifs(section)
        kmer = None if baseline is None else AppliedBaseline(str(section.kmer), baseline, datasets[0], fitted, targets)
        scorer = Scorer(ensemble, targets, kmer)
        dropped: Counter[str] = Counter()
        reader = GenomeReader(genome) if genome else None
        table, sequences, notes = _rows(scorer, section, name, reader, datasets, dropped)
        columns = [*scorer.columns, *_others(table, sequences, section, pwm)]
        summary = judge(
            table, columns, kind=section.kind, stated=section.tracks, resamples=section.resamples, seed=section.seed
        )
        attrs |= write_measured(part, table, columns, summary, dropped)
        attrs |= _attrs(section, scorer, notes) | {"files": _files(section), "device": jax.devices()[0].device_kind}
    _LOG.info("measured %s: %d rows, %d left out", name, len(table), sum(dropped.values()))


def _check_tracks(section: Measured, ensemble: Ensemble, targets: Sequence[str], where: str) -> None:
    known = [track for target in targets for track in track_names(ensemble.targets[target])]
    for track in section.tracks or ():
        if track not in known:
            raise InputError(where, f"track {track!r} is not predicted; known: {', '.join(known[:20])}")


def _motifs(section: Measured) -> MotifChange | None:
    if section.pwm is None:
        return None
    return MotifChange(named_motifs(section.pwm.file, section.pwm.motifs), section.pwm.score)


def _rows(
    scorer: Scorer,
    section: Measured,
    name: str,
    genome: GenomeReader | None,
    datasets: Sequence[str | Path],
    dropped: Counter[str],
) -> tuple[pd.DataFrame, Sequences, list[str]]:
    """Rows with the scores of network and k-mer baseline, their sequences, and notes."""
    unseen = Unseen(scorer.ensemble.infos, datasets) if section.runs == "unseen" and genome is not None else None
    notes = []
    if unseen is not None and genome is not None and genome.name not in unseen.genomes:
        known = ", ".join(unseen.genomes) or "no genome"
        notes.append(f"places on {genome.name} cannot be compared with training rows on {known}: all runs score all")
        _LOG.warning("measured %s: %s", name, notes[-1])
    if section.kind == "qtl":
        assert genome is not None
        table, both, more = score_variant_effects(scorer, section, name, genome, unseen, dropped)
        return table, both, notes + more
    if genome is None:
        notes.append(MAY_BE_SEEN)
    if section.by_sequence:
        return (*score_sequences(scorer, section, name, dropped), notes)
    return (*score_elements(scorer, section, name, genome, unseen, dropped), notes)


def _others(table: pd.DataFrame, sequences: Sequences, section: Measured, pwm: MotifChange | None) -> list[Column]:
    """Fill in the baselines that have no tracks; returns their columns."""
    columns = []
    if pwm is not None:
        alt = [after for _, after in sequences]
        ref = [before for before, _ in sequences if before is not None]
        table[PWM] = pwm.differences(ref, alt) if ref else pwm.scores(alt)
        columns.append(Column(PWM, PWM))
    contigs, starts = table["contig"].tolist(), (table["position_1based"] - 1).tolist()
    if section.distance is not None:
        table[DISTANCE] = -np.log10(1 + nearest_bp(section.distance, contigs, starts))
        columns.append(Column(DISTANCE, DISTANCE, signed=False))
    if section.conservation is not None:
        table[CONSERVATION] = bigwig_at(section.conservation, contigs, starts)
        columns.append(Column(CONSERVATION, CONSERVATION, signed=False))
    return columns


def _files(section: Measured) -> list[dict[str, str]]:
    return [{"file": path.name, "sha256": file_digest(path)} for path in dict.fromkeys(section.source_files())]


def _attrs(section: Measured, scorer: Scorer, notes: list[str]) -> dict[str, Any]:
    ensemble = scorer.ensemble
    embedded = section.by_sequence or section.elements is not None
    return {
        "model": ensemble.infos[0]["name"],
        "kind": section.kind,
        "targets": scorer.targets,
        "stated": section.tracks,
        "spaces": {target: SPACES[ensemble.targets[target].kind] for target in scorer.targets},
        "models": [run_name(info) for info in ensemble.infos],
        "kmer": section.kmer,
        "motifs": section.pwm.motifs if section.pwm else None,
        "backgrounds": section.backgrounds if embedded else None,
        "block_bp": section.block_bp,
        "resamples": section.resamples,
        "runs": section.runs,
        "both_strands": ensemble.both_strands,
        "shifts_bp": list(ensemble.shifts_bp),
        "window_bp": ensemble.window_bp,
        "notes": notes,
    }
