"""What one step of training does. The loop knows an objective only by `init`, `step` and `evaluate`.

`Supervised` is the default: the weighted sum of the losses of all targets, by their kinds, gaps masked.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from seqmill.training.augment import View
from seqmill.training.kinds import Scaling, TargetKind


class TrainState(NamedTuple):
    """All that a step changes. ``rest`` holds batch statistics and whatever else a network keeps."""

    params: Any
    rest: Any
    optimizer: Any


class TargetLoss(NamedTuple):
    """Sum of losses and number of labels that are present."""

    total: Array
    labels: Array


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


class Supervised:
    """Sum over targets of weight × mean loss of the labels that are present.

    Parameters
    ----------
    graph : of the network (`split_module`). view : what the network is shown.
    kinds, scalings, weights : by target name.
    optimizer : an optax transformation.
    """

    def __init__(
        self,
        graph: Any,
        view: View,
        kinds: Mapping[str, TargetKind],
        scalings: Mapping[str, Scaling],
        weights: Mapping[str, float],
        optimizer: optax.GradientTransformation,
    ):
        self.graph, self.view, self.kinds, self.weights, self.optimizer = graph, view, kinds, weights, optimizer
        self.scalings = {name: (jnp.asarray(s.centre), jnp.asarray(s.scale)) for name, s in scalings.items()}

    def init(self, params: Any, rest: Any) -> TrainState:
        return TrainState(params, rest, self.optimizer.init(params))

    def _apply(self, params: Any, rest: Any, inputs: dict[str, Array], train: bool, key: Array | None):
        module = nnx.merge(self.graph, params, rest, copy=True)  # without copy flax 0.12 raises inside a transformation
        outputs = module(inputs, train=train, key=key)
        return outputs, split_module(module)[2]

    def _losses(
        self, outputs: Mapping[str, Array], batch: Mapping[str, Array], rows: Array | None = None
    ) -> dict[str, TargetLoss]:
        losses = {}
        for name, kind in self.kinds.items():
            truth, present = labels_of(batch, name)
            if rows is not None:
                present &= rows.reshape(-1, *[1] * (present.ndim - 1))
            centre, scale = self.scalings[name]
            if truth.ndim == 1:
                centre, scale = centre[0], scale[0]
            each = kind.loss(outputs[name], truth, centre, scale)
            losses[name] = TargetLoss(jnp.sum(jnp.where(present, each, 0.0)), jnp.sum(present))
        return losses

    def step(self, state: TrainState, batch: Mapping[str, Array], key: Array) -> tuple[Array, TrainState, dict]:
        """One update.

        Returns
        -------
        loss : scalar. new_state. aux : "gradient_norm" (scalar).
        """
        view_key, network_key = jax.random.split(key)
        shown = self.view.show(batch, view_key)
        inputs = network_inputs(shown)

        def total(params: Any) -> tuple[Array, Any]:
            outputs, rest = self._apply(params, state.rest, inputs, True, network_key)
            losses = self._losses(outputs, shown)
            means = []
            for name, loss in losses.items():
                labels = jnp.maximum(loss.labels, 1).astype(jnp.float32)
                means.append(self.weights[name] * loss.total / labels)
            return jnp.sum(jnp.stack(means)), rest

        (loss, rest), gradient = jax.value_and_grad(total, has_aux=True)(state.params)
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
        for name in self.kinds:
            total = float(np.sum([np.float64(part[name].total) for part in sums]))
            loss += self.weights[name] * total / max(1, sum(int(part[name].labels) for part in sums))
        return loss


def network_inputs(shown: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs of a shown batch by name."""
    return {key.removeprefix("inputs/"): x for key, x in shown.items() if key.startswith("inputs/")}
