"""What one step of training does. The loop knows an objective only by `init`, `step`, `evaluate` and `combine`.

An objective is a class in the registry, or "path/to/file.py:Class", that is made as ``Class(graph, view, heads,
optimizer, settings)`` (see `Supervised`) and has

- ``Settings``, a configuration section: unknown keys are refused;
- ``learns_targets``: whether it reads the targets of the dataset; if not, it has no heads and batches no labels;
- ``init(params, rest)`` to a state: any tree of arrays with attributes ``params`` and ``rest``, which become the model;
- ``step(state, batch, key)`` to (loss, new state, aux), ``evaluate(state, batch, rows)`` to a tree of arrays, and
  ``combine`` from the list of these trees to the validation loss. The first two are compiled;
- ``predicted(targets, outputs)``, a class method: specs of what is predicted, by name, from the specs of the targets
  that are learned and the shapes of the network's outputs;
- ``predictions(heads, outputs)``, a class method: these predictions, from the outputs of the network.

A class that defines ``step`` may name in ``step_settings`` the settings "precision" and "accumulate" of the training
that its step follows; they are then set as attributes. Others are refused together with these settings.

`Supervised` is the default: the weighted sum of the losses of all targets, by their kinds, gaps masked.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from seqmill.config.base import Section
from seqmill.config.problems import check_settings
from seqmill.runtime.errors import InputError
from seqmill.runtime.plugins import load_named
from seqmill.training.augment import View
from seqmill.training.freeze import Fixed
from seqmill.training.heads import FittedHead, TargetLoss, predictions_of
from seqmill.training.step import halve_norms, halved, summed_gradient, whole

BUILT_IN = {
    "supervised": "seqmill.training.objectives:Supervised",
    "autoencoder": "seqmill.training.autoencoder:Autoencoder",
}
NEEDED = ("Settings", "learns_targets", "init", "step", "evaluate", "combine", "predicted", "predictions")
Objective = type[Any]  # with what the head of this file asks for


def find_objective(name: str) -> Objective:
    """The class of an objective. Raises InputError that lists the known names."""
    if ".py:" in name:
        path, label, found = load_named(name, "an objective")
        missing = [attribute for attribute in NEEDED if not hasattr(found, attribute)]
        if not isinstance(found, type) or missing:
            lacks = f" with {', '.join(missing)}" if isinstance(found, type) else ""
            raise InputError(path, f"has no class {label!r}{lacks}; an objective has {', '.join(NEEDED)}")
        return found
    if name not in BUILT_IN:
        known = ", ".join(BUILT_IN)
        raise InputError("objective", f"{name!r} is unknown; known: {known}, or path/to/file.py:Class")
    module, _, cls = BUILT_IN[name].partition(":")
    return getattr(importlib.import_module(module), cls)


def read_objective(name: str, settings: Mapping[str, Any]) -> tuple[Objective, Any]:
    """Class of an objective and its checked settings. Raises InputError for an unknown name or setting."""
    cls = find_objective(name)
    return cls, check_settings(cls.Settings, settings, f"settings of objective {name}")


class TrainState(NamedTuple):
    """All that a step changes. ``rest`` holds batch statistics and whatever else a network keeps."""

    params: Any
    rest: Any
    optimizer: Any


def split_module(module: nnx.Module) -> tuple[Any, Any, Any]:
    """Graph, parameters and remaining state of a network."""
    graph, params, *others = nnx.split(module, nnx.Param, ...)
    return graph, params, others[0]


def labels_of(batch: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    """Float32 labels with gaps set to 0, and which are present (bool), of one target of a shown batch."""
    truth = batch[f"targets/{name}"].astype(jnp.float32)
    present = ~jnp.isnan(truth)
    if f"mask/{name}" in batch:
        present &= batch[f"mask/{name}"]
    return jnp.where(present, truth, 0.0), present


class NoSettings(Section):
    """Of an objective that has none."""


class Supervised:
    """Sum over targets of weight × mean loss of the labels that are present.

    Parameters
    ----------
    graph : of the network (`split_module`). view : what the network is shown.
    heads : by target name. optimizer : an optax transformation. settings : of ``Settings``.
    """

    Settings: Any = NoSettings
    learns_targets = True
    step_settings = ("precision", "accumulate")
    precision = "float32"
    accumulate = 1

    def __init__(
        self,
        graph: Any,
        view: View,
        heads: Mapping[str, FittedHead],
        optimizer: optax.GradientTransformation,
        settings: Any = None,
    ):
        self.graph, self.view, self.heads, self.optimizer, self.settings = graph, view, heads, optimizer, settings

    @classmethod
    def predicted(cls, targets: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Specs of the predictions: those of the targets that are learned. Raises InputError for other outputs."""
        if not targets:
            raise InputError("objective", "'supervised' needs a target to learn; the dataset or the model has none")
        for name, spec in targets.items():
            found = outputs[name].shape[1:] if name in outputs else "missing"
            if found != tuple(spec.shape_per_example):
                raise InputError(
                    "architecture",
                    f"its output {name!r} is {found} an example, the target {tuple(spec.shape_per_example)}",
                )
        return dict(targets)

    @classmethod
    def predictions(cls, heads: Mapping[str, FittedHead], outputs: Mapping[str, Array]) -> dict[str, Array]:
        """Predictions by name, from raw outputs."""
        return predictions_of(heads, outputs)

    def init(self, params: Any, rest: Any) -> TrainState:
        return TrainState(params, rest, self.optimizer.init(params))

    def _apply(self, params: Any, rest: Any, inputs: dict[str, Array], train: bool, key: Array | None):
        half = train and self.precision == "bfloat16"  # validated as it will be applied: in float32
        if half:
            params, inputs = halved(params), halved(inputs)
        module = nnx.merge(self.graph, params, rest, copy=True)  # without copy flax 0.12 raises inside a transformation
        if half:
            halve_norms(module)
            nnx.update(module, halved(nnx.filter_state(rest, Fixed)))
        outputs = module(inputs, train=train, key=key)
        if half:
            nnx.update(module, nnx.filter_state(rest, Fixed))
        return whole(outputs) if half else outputs, split_module(module)[2]

    def _weight(self, name: str) -> float:
        """Of a target's mean loss."""
        return self.heads[name].weight

    def _losses(
        self, outputs: Mapping[str, Array], batch: Mapping[str, Array], rows: Array | None = None
    ) -> dict[str, TargetLoss]:
        losses = {}
        for name, head in self.heads.items():
            truth, present = labels_of(batch, name)
            if rows is not None:
                present &= rows.reshape(-1, *[1] * (present.ndim - 1))
            losses[name] = head.losses(outputs[name], truth, present)
        return losses

    def step(self, state: TrainState, batch: Mapping[str, Array], key: Array) -> tuple[Array, TrainState, dict]:
        """One update.

        Returns
        -------
        loss : scalar. new_state. aux : "gradient_norm" (scalar).
        """
        view_key, network_key = jax.random.split(key)
        shown = self.view.show(batch, view_key)
        if self.accumulate > 1:
            return self._in_parts(state, shown, network_key)
        inputs = network_inputs(shown)

        def total(params: Any) -> tuple[Array, Any]:
            outputs, rest = self._apply(params, state.rest, inputs, True, network_key)
            losses = self._losses(outputs, shown)
            means = []
            for name, loss in losses.items():
                labels = jnp.maximum(loss.labels, 1).astype(jnp.float32)
                means.append(self.heads[name].weight * loss.total / labels)
            return jnp.sum(jnp.stack(means)), rest

        return self._update(state, total)

    def _update(
        self, state: TrainState, loss_of: Callable[[Any], tuple[Array, Any]]
    ) -> tuple[Array, TrainState, dict[str, Array]]:
        """One step of the optimiser down ``loss_of(params) -> (loss, rest)``."""
        (loss, rest), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        return self._descend(state, loss, rest, gradient)

    def _in_parts(
        self, state: TrainState, shown: Mapping[str, Array], key: Array
    ) -> tuple[Array, TrainState, dict[str, Array]]:
        """One step of the optimiser, its gradient added up over ``accumulate`` parts of the batch."""
        found = summed_gradient(
            self.accumulate,
            state.params,
            state.rest,
            shown,
            key,
            apply=lambda params, rest, part, key: self._apply(params, rest, network_inputs(part), True, key),
            losses=self._losses,
            weight=self._weight,
        )
        return self._descend(state, *found)

    def _descend(
        self, state: TrainState, loss: Array, rest: Any, gradient: Any
    ) -> tuple[Array, TrainState, dict[str, Array]]:
        updates, optimizer = self.optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return loss, TrainState(params, rest, optimizer), {"gradient_norm": optax.tree.norm(gradient)}

    def evaluate(self, state: TrainState, batch: Mapping[str, Array], rows: Array) -> dict[str, TargetLoss]:
        """Losses of one batch without augmentation; ``rows`` (example,) bool marks the real, not padded ones."""
        shown = self.view.show(batch)
        outputs, _ = self._apply(state.params, state.rest, network_inputs(shown), False, None)
        return self._losses(outputs, shown, rows)

    def combine(self, sums: list[dict[str, TargetLoss]]) -> float:
        """Validation loss of many batches, added in float64 in their order."""
        loss = 0.0
        for name, head in self.heads.items():
            total = float(np.sum([np.float64(part[name].total) for part in sums]))
            loss += head.weight * total / max(1, sum(int(part[name].labels) for part in sums))
        return loss


def network_inputs(shown: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs of a shown batch by name."""
    return {key.removeprefix("inputs/"): x for key, x in shown.items() if key.startswith("inputs/")}
