"""The runs (folds and seeds) of one network, applied to any sequences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqmill.config.models import Prediction
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import N_CODE
from seqmill.stores.model import ModelReader
from seqmill.stores.specs import TargetSpec
from seqmill.training.across import check_alike
from seqmill.training.artefact import load_network
from seqmill.training.devices import require_device
from seqmill.training.predict import averaged, predictor

# From predictions by target, arrays (example, ...) on the device, to what is kept of them, a pytree of such arrays.
Reduce = Callable[[Mapping[str, Any]], Any]


class Ensemble:
    """Runs of one network that is shown nothing but sequence.

    Parameters
    ----------
    folders : of the runs.
    prediction : strands, shifts and batch size.

    Attributes
    ----------
    infos : content of each run's ``model.json``.
    window_bp : bases that the network sees. margin_bp : further bases on each side, for shifts.
    extent_bp : length of the sequences to give, window and margins.
    targets : geometry of each prediction, by name. networks : `seqmill.training.artefact.Network` of each run.

    Raises
    ------
    InputError
        Runs that do not fit together, or a network that needs more than a sequence.
    """

    def __init__(self, folders: Sequence[str | Path], prediction: Prediction):
        self.folders = [Path(folder) for folder in folders]
        self.infos = [ModelReader(folder).info for folder in self.folders]
        check_alike(self.infos, self.folders)
        training = self.infos[0]["training"]
        require_device(training["device"], training["xla_threads"])  # before the first array
        networks = self.networks = [load_network(folder) for folder in self.folders]
        inputs = networks[0].view.inputs
        others = any(spec.kind not in ("sequence", "length") for spec in inputs.values())
        sequences = [name for name, spec in inputs.items() if spec.kind == "sequence"]
        if others or len(sequences) != 1:
            raise InputError(
                self.folders[0],
                f"reads {', '.join(inputs)}; maps and variants need a network that reads one sequence and nothing else "
                "(no control, features or other inputs in its dataset)",
            )
        self._input, spec = sequences[0], inputs[sequences[0]]
        self._lengths = [name for name, spec in inputs.items() if spec.kind == "length"]
        self.margin_bp: int = spec.margin_bp
        self.extent_bp: int = spec.shape_per_example[0]
        self.window_bp = self.extent_bp - 2 * self.margin_bp
        self.targets: dict[str, TargetSpec] = networks[0].predicted
        self.batch_size: int = prediction.batch_size or training["batch_size"]
        self.both_strands = self.infos[0]["strands"] and prediction.strands == "auto"
        self.shifts_bp = tuple(prediction.shifts_bp)
        self._runs = [predictor(n, strands=self.both_strands, shifts_bp=self.shifts_bp) for n in networks]
        self._networks = networks

    def __len__(self) -> int:
        return len(self._runs)

    def apply(self, codes: np.ndarray, reduce: Reduce, members: Sequence[int] | None = None) -> list[Any]:
        """What each member makes of some sequences.

        Parameters
        ----------
        codes : uint8 (n, extent_bp), A0 C1 G2 T3 N4.
        reduce : compiled function of the predictions of a batch, called on the device.
        members : numbers of the runs to apply; all if None.

        Returns
        -------
        For each member the pytree of ``reduce`` with NumPy arrays (n, ...).
        """
        chosen = range(len(self)) if members is None else members
        found: list[list[Any]] = [[] for _ in chosen]
        waiting: list[tuple[list[Any], Any, int]] = []
        for batch, count in self._batches(codes):
            for parts, member in zip(found, chosen):
                waiting.append((parts, reduce(self._runs[member](batch)), count))
            while len(waiting) > len(found):  # the device works on the next batch while one is fetched
                _fetch(*waiting.pop(0))
        for taken in waiting:
            _fetch(*taken)
        return [jax.tree.map(lambda *xs: np.concatenate(xs), *parts) for parts in found]

    def function(self, member: int) -> tuple[Callable[[Any, Mapping[str, Any]], dict[str, Any]], Any, str]:
        """What a member computes, not compiled: a function of its variables and of codes {"sequence": (n, extent_bp)};
        its variables; and a text that is the same for members whose functions are the same.

        None of it knows lengths: for networks that read one, sequences must not be filled up.
        """
        network = self._networks[member]
        run = averaged(network, strands=self.both_strands, shifts_bp=self.shifts_bp)

        def predict(variables: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
            return run(*variables, {f"inputs/{self._input}": inputs["sequence"]})

        heads = {name: head.to_json() for name, head in network.heads.items()}
        return predict, (network.params, network.rest), f"{network.info['architecture']} {heads}"

    @property
    def reads_length(self) -> bool:
        """Whether the network is shown how long a sequence is."""
        return bool(self._lengths)

    def _batches(self, codes: np.ndarray) -> Iterator[tuple[dict[str, np.ndarray], int]]:
        """Full batches; the last one is filled up with N, so that one shape is compiled."""
        for start in range(0, len(codes), self.batch_size):
            block = codes[start : start + self.batch_size]
            count = len(block)
            if count < self.batch_size:
                filler = np.full((self.batch_size - count, self.extent_bp), N_CODE, np.uint8)
                block = np.concatenate([block, filler])
            batch = {f"inputs/{self._input}": block}
            if self._lengths:  # of tables, whose sequences are filled up with N at their end
                known = self.extent_bp - np.argmax(block[:, ::-1] < N_CODE, axis=1)
                batch |= {f"inputs/{name}": known.astype(np.int32) for name in self._lengths}
            yield batch, count


def _fetch(parts: list[Any], kept: Any, count: int) -> None:
    parts.append(jax.tree.map(lambda x: np.asarray(x)[:count], kept))
