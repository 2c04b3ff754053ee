"""The objective of autoencoders: give back the bases of the window from a few numbers; no labels."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from seqmill.models.autoencoder import EMBEDDING, RECONSTRUCTION
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import TargetSpec
from seqmill.training.heads import FittedHead, TargetLoss
from seqmill.training.objectives import Supervised, TrainState, network_inputs


class Autoencoder(Supervised):
    """Mean cross-entropy of the known bases (N left out), in nats a base; ln 4 = 1.386 without any knowledge.

    The network has one sequence input and the outputs "reconstruction" (example, bp, 4), logits, and "embedding"
    (example, n). The embedding is what is predicted; targets are not used.
    """

    learns_targets = False
    step_settings = ("precision", "accumulate")

    @classmethod
    def predicted(cls, targets: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """One array of kind "none", "embedding" (example, n)."""
        if not {EMBEDDING, RECONSTRUCTION} <= set(outputs):
            raise InputError(
                "architecture",
                f"objective 'autoencoder' needs the outputs {EMBEDDING!r} and {RECONSTRUCTION!r} of the architecture "
                f"'autoencoder'; found {', '.join(outputs) or 'none'}",
            )
        numbers = outputs[EMBEDDING].shape[1]
        tracks = tuple(f"z{i}" for i in range(numbers))
        return {
            EMBEDDING: TargetSpec(
                EMBEDDING,
                "none",
                "float32",
                ("example", "tracks"),
                (numbers,),
                tracks,
                strand_pairs=tuple(range(numbers)),
                masked=True,
            )
        }

    @classmethod
    def predictions(cls, heads: Mapping[str, FittedHead], outputs: Mapping[str, Array]) -> dict[str, Array]:
        """The embedding."""
        return {EMBEDDING: outputs[EMBEDDING]}

    def _loss(self, outputs: Mapping[str, Array], inputs: Mapping[str, Array], rows: Array | None = None) -> TargetLoss:
        bases = next(iter(inputs[name] for name, spec in self.view.inputs.items() if spec.kind == "sequence"))
        known = bases.sum(axis=-1) > 0
        if rows is not None:
            known &= rows[:, None]
        each = optax.losses.softmax_cross_entropy(outputs[RECONSTRUCTION], bases)
        return TargetLoss(jnp.sum(jnp.where(known, each, 0.0)), jnp.sum(known))

    def _losses(
        self, outputs: Mapping[str, Array], batch: Mapping[str, Array], rows: Array | None = None
    ) -> dict[str, TargetLoss]:
        return {RECONSTRUCTION: self._loss(outputs, network_inputs(batch), rows)}

    def _weight(self, name: str) -> float:
        return 1.0

    def step(self, state: TrainState, batch: Mapping[str, Array], key: Array) -> tuple[Array, TrainState, dict]:
        """One update, as `Supervised.step`."""
        view_key, network_key = jax.random.split(key)
        shown = self.view.show(batch, view_key)
        if self.accumulate > 1:
            return self._in_parts(state, shown, network_key)
        inputs = network_inputs(shown)

        def mean(params: Any) -> tuple[Array, Any]:
            outputs, rest = self._apply(params, state.rest, inputs, True, network_key)
            loss = self._loss(outputs, inputs)
            return loss.total / jnp.maximum(loss.labels, 1), rest

        return self._update(state, mean)

    def evaluate(self, state: TrainState, batch: Mapping[str, Array], rows: Array) -> dict[str, TargetLoss]:
        """Loss of one batch without augmentation; ``rows`` (example,) bool marks the real, not padded ones."""
        inputs = network_inputs(self.view.show(batch))
        outputs, _ = self._apply(state.params, state.rest, inputs, False, None)
        return {RECONSTRUCTION: self._loss(outputs, inputs, rows)}

    def combine(self, sums: list[dict[str, TargetLoss]]) -> float:
        """Mean over the known bases of all batches."""
        parts = [part[RECONSTRUCTION] for part in sums]
        total = float(np.sum([np.float64(part.total) for part in parts]))
        return total / max(1, sum(int(part.labels) for part in parts))
