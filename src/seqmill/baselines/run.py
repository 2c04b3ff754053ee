"""Baselines: fitted on the training rows of a run, tuned on its validation rows, applied to its test rows.

Values (quantity, profile, count) are fitted by squared error, labels and fractions by cross-entropy, classes and
distributions by the cross-entropy of one softmax. Predictions have the form of a network's. On datasets without a
sequence the inputs themselves are the features, for example deleted genes.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqmill.baselines.fitted import both_strands, motifs_digest, tensors_of
from seqmill.baselines.rows import first_rows
from seqmill.baselines.tune import Chosen, fit_target, fits_kind
from seqmill.config.baselines import Baseline
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.layout import upstream
from seqmill.stores.parts import Block, chosen_targets, cut_blocks, folds_of, part_ranges
from seqmill.stores.predictions import PredictionsWriter


def run_baseline(out: str | Path, *, name: str, baseline: Baseline, dataset: str | Path, fold: str) -> None:
    """Fit a baseline on one run of a dataset and write its predictions of the test part, with the fit.

    Parameters
    ----------
    out : ``…/predictions/{name}/{fold}.0.zarr``. name : of the baseline. baseline : its configuration.
    dataset : folder of the dataset. fold : run, e.g. "0".

    What was chosen on the validation rows stands in the attribute ``chosen``. Linear algebra and trees run on one
    thread, so that the bits do not depend on the machine's cores.

    Raises
    ------
    InputError
        A part of the run is empty, a target is unknown or of a kind that the baseline cannot be fitted to, or there
        would be too many features.
    """
    from threadpoolctl import threadpool_limits

    reader = DatasetReader(dataset)
    targets = _targets(reader, baseline)
    ranges: dict[str, list[Block]] = {}
    for part in ("train", "valid", "test"):
        ranges[part] = part_ranges(reader.parts, folds_of(reader, fold, part))
        if not ranges[part]:
            raise InputError(reader.name, f"the {part} part of run {fold} has no rows")
    train = first_rows(ranges["train"], baseline.max_train_rows)
    strands = both_strands(reader, targets)
    with threadpool_limits(1):
        each = {key: fit_target(reader, key, baseline, strands, train, ranges["valid"]) for key in targets}
        attrs = {
            "kind": "baseline",
            "model": name,
            "dataset": reader.name,
            "dataset_digest": reader.digest,
            "fold": fold,
            "seed": 0,
            "part": "test",
            "bootstrap_unit": reader.bootstrap_unit,
            "features": max(chosen.settings["features"] for chosen in each.values()),
            "chosen": {key: chosen.settings for key, chosen in each.items()},
            **motifs_digest(baseline),
        }
        _write(Path(out), attrs, reader, each, ranges["test"], baseline)


def _targets(reader: Any, baseline: Baseline) -> list[str]:
    """The targets that the section names, or all that the baseline can be fitted to."""
    names = chosen_targets(reader, baseline.targets)
    fitted = [name for name in names if fits_kind(reader.targets[name].kind, baseline)]
    others = [name for name in names if name not in fitted]
    if others and (baseline.targets or not fitted):
        found = f"target {others[0]!r} is of kind {reader.targets[others[0]].kind}"
        raise InputError(f"{baseline.kind} baseline", f"{found}, which 'fit: {baseline.fit}' cannot fit")
    if others:
        logging.getLogger("seqmill").warning("%s baseline: not fitted: %s", baseline.kind, ", ".join(others))
    return fitted


def _write(
    out: Path,
    attrs: dict[str, Any],
    reader: Any,
    each: Mapping[str, Chosen],
    ranges: Sequence[Block],
    baseline: Baseline,
) -> None:
    table = reader.rows()
    total = sum(stop - start for start, stop in ranges)
    with (
        PredictionsWriter(
            out,
            f"{attrs['model']}/{attrs['fold']}.0",
            attrs,
            {key: chosen.rows.spec for key, chosen in each.items()},
            inputs=upstream(reader.folder),
            parameters=baseline.model_dump(mode="json"),
            fit=tensors_of(each),
        ) as writer,
        Progress(f"baseline {attrs['model']}", total, "examples") as progress,
    ):
        for start, stop in cut_blocks(ranges, reader.chunk_examples):
            values = {}
            for key, chosen in each.items():
                values[key] = (chosen.predict(start, stop), *chosen.rows.labels(start, stop))
            writer.append(table.iloc[start:stop], values)
            progress.add(stop - start)
