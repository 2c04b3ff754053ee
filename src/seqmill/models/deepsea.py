"""DeepSEA: Zhou and Troyanskaya, Nature Methods 12:931 (2015).

Three convolutions of 8 bp (320, 480 and 960 filters), each followed by ReLU, the first two by max pooling over 4, then
one dense layer of 925 units with ReLU and one sigmoid output a feature. Dropout 0.2, 0.2 and 0.5 after the three
convolutional blocks. Convolutions are not padded: 1,000 bp become 53 positions of 960 channels. With 919 outputs
52,843,119 parameters. The layers are those on which open implementations agree.

The penalties of the paper's training (on the norms of weights and on activations) are no part of the network.
"""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import conv, dropout, linear, max_pool
from seqmill.models.heads import Heads
from seqmill.models.registry import register, the_sequence
from seqmill.runtime.errors import InputError


class DeepSEASettings(Section):
    """Defaults are the published network."""

    filters: list[int] = Field([320, 480, 960], min_length=1)
    width: int = Field(8, ge=1)
    pools: list[int] = Field([4, 4, 1], min_length=1)
    dropout: list[float] = Field([0.2, 0.2, 0.5], min_length=1)
    hidden: int = Field(925, ge=1)


@register("deepsea")
class DeepSEA(nnx.Module):
    """Outputs logits (or raw values), one array a target. Input: one sequence (example, bp, 4)."""

    Settings = DeepSEASettings

    def __init__(
        self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: DeepSEASettings, rngs: nnx.Rngs
    ):
        self.sequence, length = the_sequence(inputs, "deepsea")
        if not len(settings.filters) == len(settings.pools) == len(settings.dropout):
            raise InputError("deepsea", "filters, pools and dropout must be lists of one length")
        self.settings = settings
        convs, channels, positions = [], 4, length
        for filters, pool in zip(settings.filters, settings.pools):
            convs.append(conv(channels, filters, settings.width, rngs, padding="VALID"))
            channels, positions = filters, (positions - settings.width + 1) // pool
        if positions < 1:
            raise InputError("deepsea", f"a window of {length} bp is too short for width and pools of these settings")
        self.convs = nnx.List(convs)
        self.hidden = linear(channels * positions, settings.hidden, rngs)
        self.heads = Heads(settings.hidden, targets, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        x = inputs[self.sequence]
        blocks = zip(self.convs, self.settings.pools, self.settings.dropout)
        for number, (layer, pool, rate) in enumerate(blocks):
            x = max_pool(nnx.relu(layer(x)), pool)
            x = dropout(x, rate, None if key is None else jax.random.fold_in(key, number), train)
        return self.heads(nnx.relu(self.hidden(x.reshape(x.shape[0], -1))))
