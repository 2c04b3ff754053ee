"""What was fitted on one fold, as tensors beside the predictions of its test part, and back.

``{target}/weights`` and ``{target}/intercept`` are of a linear model. Of boosted trees ``{target}/{number}`` is the
text of a LightGBM model as uint8, or a constant as one float64; the numbers count tracks (classes have one model).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.baselines.boosting import Boosted, load
from seqmill.baselines.features import Features
from seqmill.baselines.linear import Linear
from seqmill.baselines.rows import Rows
from seqmill.baselines.tune import Chosen, Fit
from seqmill.config.baselines import Baseline
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.geometry import reverse_complement_allowed
from seqmill.stores.predictions import PredictionsReader

EXTENTS = ("context_bp", "central_bp")


def both_strands(reader: DatasetReader, targets: Sequence[str]) -> bool:
    """Whether a word and its reverse complement are one feature for these targets of a dataset."""
    arrays: Mapping[str, Any] = {**reader.inputs, **{f"target {key}": reader.targets[key] for key in targets}}
    return reader.reverse_complement and reverse_complement_allowed(arrays)


def motifs_digest(baseline: Baseline) -> dict[str, str]:
    """SHA-256 of the file of motifs, for the attributes; nothing where there is none."""
    if baseline.motifs is None:
        return {}
    return {"motifs_sha256": hashlib.sha256(baseline.motifs.read_bytes()).hexdigest()}


def tensors_of(each: Mapping[str, Chosen]) -> dict[str, np.ndarray]:
    """Tensors by name, for `seqmill.stores.predictions.PredictionsWriter`."""
    found: dict[str, np.ndarray] = {}
    for target, chosen in each.items():
        if isinstance(chosen.fit, Linear):
            found[f"{target}/weights"] = np.ascontiguousarray(chosen.fit.weights, np.float64)
            found[f"{target}/intercept"] = np.asarray(chosen.fit.intercept, np.float64)
            continue
        for number, booster in enumerate(chosen.fit.boosters):
            constant = isinstance(booster, float)
            text = b"" if constant else booster.model_to_string().encode()
            found[f"{target}/{number}"] = np.array([booster]) if constant else np.frombuffer(text, np.uint8)
    return found


def read_fits(predictions: str | Path, dataset: str | Path, baseline: Baseline) -> dict[str, Chosen]:
    """The fit of each target that predicted.

    Parameters
    ----------
    predictions : folder of the predictions of a fold. dataset : the dataset that it was fitted on.
    baseline : its section.

    Raises
    ------
    InputError
        The predictions are of no baseline, or were made from another dataset or other motifs.
    """
    found, reader = PredictionsReader(predictions), DatasetReader(dataset)
    tensors, attrs = found.fit(), found.attrs
    for what, then, now in (
        ("dataset", attrs["dataset_digest"], reader.digest),
        ("file of motifs", attrs.get("motifs_sha256"), motifs_digest(baseline).get("motifs_sha256")),
    ):
        if then != now:
            raise InputError(predictions, f"was fitted with another {what} ({then}, now {now}); make it again")
    strands, fits = both_strands(reader, list(found.targets)), {}
    for target in found.targets:
        settings = attrs["chosen"][target]
        extents = {key: settings[key] for key in EXTENTS if key in settings}
        rows = Rows(reader, Features(reader.inputs, baseline, strands, **extents), target)
        fits[target] = Chosen(rows, _fit(tensors, target), settings)
    return fits


def _fit(tensors: Mapping[str, np.ndarray], target: str) -> Fit:
    if f"{target}/weights" in tensors:
        return Linear(tensors[f"{target}/weights"], tensors[f"{target}/intercept"])
    boosters: list[Any] = []
    while (tensor := tensors.get(f"{target}/{len(boosters)}")) is not None:
        text = tensor.tobytes().decode() if tensor.dtype == np.uint8 else None
        boosters.append(float(tensor[0]) if text is None else load().Booster(model_str=text))
    return Boosted(boosters)
