"""Factorized Basset: Wnuk et al., bioRxiv 229385 (2017), "Predicting DNA accessibility in the pan-cancer tumor genome".

Basset's first two convolutions are replaced by stacks that see as many bases and have about as many parameters:
19 bp by filters of 3, 3, 3, 7 and 7 bp (48, 64, 100, 150 and 300 filters), 11 positions by filters of 7, 3 and 3
(200 each). The rest is Basset's: 200 filters of 7, max pooling over 3, 4 and 4 after each stack, two dense layers of
1,000 units with dropout, batch normalisation and ReLU after every layer. The layers are those on which two independent
open implementations of the preprint agree; dropout is Basset's 0.3. The branch that reads RNA-seq is not here.

Convolutions are padded: 600 bp become 12 positions of 200 channels. With 164 outputs 4,963,542 parameters.
"""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import batch_norm, conv, dropout, linear, max_pool
from seqmill.models.heads import Heads
from seqmill.models.registry import register, the_sequence
from seqmill.runtime.errors import InputError


class FactorizedBassetSettings(Section):
    """Defaults are the published network. ``filters`` and ``widths`` hold one list a stack of convolutions."""

    filters: list[list[int]] = Field([[48, 64, 100, 150, 300], [200, 200, 200], [200]], min_length=1)
    widths: list[list[int]] = Field([[3, 3, 3, 7, 7], [7, 3, 3], [7]], min_length=1)
    pools: list[int] = Field([3, 4, 4], min_length=1)
    hidden: list[int] = Field([1000, 1000])
    dropout: float = Field(0.3, ge=0, lt=1)


@register("factorized_basset")
class FactorizedBasset(nnx.Module):
    """Outputs logits (or raw values), one array a target. Input: one sequence (example, bp, 4)."""

    Settings = FactorizedBassetSettings

    def __init__(
        self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: FactorizedBassetSettings, rngs: nnx.Rngs
    ):
        self.sequence, length = the_sequence(inputs, "factorized_basset")
        shape = [len(stack) for stack in settings.filters]
        if shape != [len(stack) for stack in settings.widths] or len(shape) != len(settings.pools):
            raise InputError(
                "factorized_basset", "filters and widths must have one shape, with one pool for each stack"
            )
        self.settings = settings
        stacks, norms, channels, positions = [], [], 4, length
        for filters, widths, pool in zip(settings.filters, settings.widths, settings.pools):
            stack = []
            for outputs, width in zip(filters, widths):
                stack.append(conv(channels, outputs, width, rngs))
                channels = outputs
            stacks.append(nnx.List(stack))
            norms.append(nnx.List([batch_norm(outputs, rngs) for outputs in filters]))
            positions //= pool
        if positions < 1:
            raise InputError("factorized_basset", f"a window of {length} bp is too short for pools {settings.pools}")
        denses, dense_norms, features = [], [], channels * positions
        for units in settings.hidden:
            denses.append(linear(features, units, rngs))
            dense_norms.append(batch_norm(units, rngs))
            features = units
        self.stacks, self.norms = nnx.List(stacks), nnx.List(norms)
        self.denses, self.dense_norms = nnx.List(denses), nnx.List(dense_norms)
        self.heads = Heads(features, targets, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        x = inputs[self.sequence]
        for stack, norms, pool in zip(self.stacks, self.norms, self.settings.pools):
            for layer, norm in zip(stack, norms):
                x = nnx.relu(norm(layer(x), use_running_average=not train))
            x = max_pool(x, pool)
        x = x.reshape(x.shape[0], -1)
        for number, (dense, norm) in enumerate(zip(self.denses, self.dense_norms)):
            x = nnx.relu(norm(dense(x), use_running_average=not train))
            x = dropout(x, self.settings.dropout, None if key is None else jax.random.fold_in(key, number), train)
        return self.heads(x)
