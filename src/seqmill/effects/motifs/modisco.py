"""Patterns that recur in the contributions of a map, by TF-MoDISco (Shrikumar et al. 2018, arXiv:1811.00416).

The reference implementation (modisco-lite, extra ``motifs``) runs as a process of its own by its own command,
``modisco motifs -s ohe.npz -a shap.npz``: it forks, compiles and takes memory by the gigabyte. Its random numbers have
fixed seeds: the same arrays and settings give the same file, with any number of threads.
"""

import hashlib
import importlib.util
import json
import logging
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from seqmill.config.motifs import Modisco
from seqmill.formats.motifs import Motif
from seqmill.reads.programs import pipeline
from seqmill.runtime.errors import InputError
from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import file_digest

TRIM = 0.3
"""Columns at the ends of a pattern are cut off below this share of its largest one, as modisco-lite's report does."""
LEAST_SEQLETS = 100
"""TF-MoDISco clusters the seqlets of a sign only if there are more."""
SIGNS = {"pos": "pos_patterns", "neg": "neg_patterns"}
_LOG = logging.getLogger("seqmill")


@dataclass(frozen=True)
class Pattern:
    """A pattern, cut to its core.

    Attributes
    ----------
    motif : probabilities; its name is ``pos_0``, ``neg_3``, ..., with the source in front where there are several.
    contributions : float64 (columns, 4), mean contribution of each base over the seqlets (the "CWM").
    region, start, end, strand : int64 (seqlets,), where each lies: region of the map, 0-based half-open positions in
        it, 1 or -1. strength : float64 (seqlets,), sum of its contributions.
    """

    motif: Motif
    contributions: np.ndarray
    region: np.ndarray
    start: np.ndarray
    end: np.ndarray
    strand: np.ndarray
    strength: np.ndarray


def require_modisco() -> None:
    """Raise InputError where modisco-lite is not installed."""
    if importlib.util.find_spec("modiscolite") is None:
        raise InputError("modisco-lite", "is not installed; pip install 'seqmill[motifs]'")


def window_of(settings: Modisco, length: int, where: str) -> int:
    """Width that is searched, even, of regions of ``length`` bp. Raises InputError if it does not fit."""
    wanted = settings.window_bp or length
    if wanted > length:
        raise InputError(where, f"modisco.window_bp {wanted} is wider than the regions of the map ({length} bp)")
    least = settings.core_bp + 2 * settings.flank_bp
    if wanted < 2 * least:
        raise InputError(where, f"{wanted} bp of each region are too few for seqlets of {least} bp")
    return wanted - wanted % 2  # it takes half on either side of the middle


def run_modisco(
    ohe: Path, shap: Path, out: Path, *, settings: Modisco, window_bp: int, threads: int, state: Path, what: str
) -> None:
    """Write TF-MoDISco's own result file.

    Parameters
    ----------
    ohe, shap : ``.npz``, key arr_0, (region, ACGT, position): sequences, hypothetical contributions.
    out : HDF5 file to write. settings, window_bp : see `window_of`.
    state : folder that keeps the result until the noun is written, so that a killed job does not search again.
    what : the work in words, for messages.

    Raises
    ------
    InputError : modisco-lite is not installed. WorkerError : it failed; with its last words.
    """
    require_modisco()
    key = {
        "inputs": [file_digest(ohe), file_digest(shap)], "settings": settings.model_dump(mode="json"),
        "window_bp": window_bp, "version": version("modisco-lite"),
    }  # fmt: skip
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    kept, note = state / f"{name}.h5", state / f"{name}.sha256"
    if not (kept.is_file() and note.is_file() and note.read_text() == file_digest(kept)):
        state.mkdir(parents=True, exist_ok=True)
        work = state / f"{name}.work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        _LOG.info("%s: TF-MoDISco, %d bp of each region", what, window_bp)
        pipeline(
            [_command(ohe, shap, work / "modisco.h5", settings, window_bp)],
            cwd=work,
            what=what,
            env={name: str(threads) for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")},
        )
        (work / "modisco.h5").replace(kept)
        atomic_write(note, file_digest(kept))
        shutil.rmtree(work)
    shutil.copyfile(kept, out)


def _command(ohe: Path, shap: Path, out: Path, settings: Modisco, window_bp: int) -> list[str]:
    values = {
        "-s": ohe.resolve(), "-a": shap.resolve(), "-o": out.resolve(), "-w": window_bp,
        "-n": settings.max_seqlets, "-l": settings.leiden_runs, "-z": settings.core_bp, "-t": settings.trim_bp,
        "-f": settings.flank_bp,
    }  # fmt: skip
    start = [sys.executable, "-c", "from modiscolite.cli import cli; cli()", "motifs"]
    return [*start, *(str(part) for pair in values.items() for part in pair)]


def read_patterns(path: Path, *, length: int, window_bp: int, prefix: str = "") -> list[Pattern]:
    """Patterns of a result file, positive ones first, each kind in TF-MoDISco's order (most seqlets first).

    Parameters
    ----------
    length : of the regions in bp. window_bp : that were searched. prefix : of the names.
    """
    import h5py

    offset, found = length // 2 - window_bp // 2, []
    with h5py.File(path) as file:
        for sign, key in SIGNS.items():
            group = file.get(key, {})
            names = sorted(group, key=lambda name: int(name.rpartition("_")[2]))
            found += [_pattern(group[name], f"{prefix}{sign}_{i}", offset) for i, name in enumerate(names)]
    return found


def _pattern(group: object, name: str, offset: int) -> Pattern:
    values = {key: np.asarray(group[key], np.float64) for key in ("sequence", "contrib_scores")}  # type: ignore[index]
    seqlets = {key: np.asarray(value) for key, value in group["seqlets"].items()}  # type: ignore[index]
    size = np.abs(values["contrib_scores"]).sum(axis=1)
    core = np.flatnonzero(size >= TRIM * size.max())
    first, last = int(core[0]), int(core[-1]) + 1
    pwm = values["sequence"][first:last]
    known = pwm.sum(axis=1, keepdims=True)  # below 1 where seqlets reach over N
    pwm = np.where(known > 0, pwm / np.where(known > 0, known, 1), 0.25)
    back = seqlets["is_revcomp"].astype(bool)
    start = np.where(back, seqlets["end"] - last, seqlets["start"] + first) + offset
    return Pattern(
        Motif(name, "", pwm),
        values["contrib_scores"][first:last],
        region=seqlets["example_idx"].astype(np.int64),
        start=start.astype(np.int64),
        end=(start + last - first).astype(np.int64),
        strand=np.where(back, -1, 1).astype(np.int64),
        strength=seqlets["contrib_scores"][:, first:last].astype(np.float64).sum(axis=(1, 2)),
    )
