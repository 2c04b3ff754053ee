"""Basset: Kelley, Snoek and Rinn, Genome Research 26:990 (2016), Methods "Model architecture" and Supplementary.

Three convolutions (300 filters of 19 bp, 200 of 11, 200 of 7), each followed by batch normalisation, ReLU and max
pooling (3, 4, 4), then two dense layers of 1,000 units, each with batch normalisation, ReLU and dropout 0.3, then one
sigmoid output a cell type. Convolutions are not padded: 600 bp become 10 positions of 200 channels. With 164 outputs
4,135,064 parameters, batch normalisation included.

The paper trained with RMSprop, learning rate 0.002, decay 0.98, batches of 128 (its released settings); these are
given in `PAPER_TRAINING`, the trainer's own defaults hold otherwise. The released code also renormalises weight rows
to a norm of at most 7, which the paper does not mention: ``training.optimizer.max_weight_norm``.
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

PAPER_TRAINING = {
    "batch_size": 128,
    "optimizer": {"name": "rmsprop", "learning_rate": 0.002, "settings": {"decay": 0.98}},
}


class BassetSettings(Section):
    """Defaults are the published network."""

    filters: list[int] = Field([300, 200, 200], min_length=1)
    widths: list[int] = Field([19, 11, 7], min_length=1)
    pools: list[int] = Field([3, 4, 4], min_length=1)
    hidden: list[int] = Field([1000, 1000])
    dropout: float = Field(0.3, ge=0, lt=1)


@register("basset")
class Basset(nnx.Module):
    """Outputs logits (or raw values), one array a target. Input: one sequence (example, bp, 4)."""

    Settings = BassetSettings

    def __init__(self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: BassetSettings, rngs: nnx.Rngs):
        self.sequence, length = the_sequence(inputs, "basset")
        self.settings = settings
        convs, norms, channels, positions = [], [], 4, length
        for filters, width, pool in zip(settings.filters, settings.widths, settings.pools, strict=True):
            convs.append(conv(channels, filters, width, rngs, padding="VALID"))
            norms.append(batch_norm(filters, rngs))
            channels, positions = filters, (positions - width + 1) // pool
        if positions < 1:
            raise InputError("basset", f"a window of {length} bp is too short for widths and pools of these settings")
        denses, dense_norms, features = [], [], channels * positions
        for units in settings.hidden:
            denses.append(linear(features, units, rngs))
            dense_norms.append(batch_norm(units, rngs))
            features = units
        self.convs, self.conv_norms = nnx.List(convs), nnx.List(norms)
        self.denses, self.dense_norms = nnx.List(denses), nnx.List(dense_norms)
        self.heads = Heads(features, targets, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        x = inputs[self.sequence]
        for layer, norm, pool in zip(self.convs, self.conv_norms, self.settings.pools):
            x = max_pool(nnx.relu(norm(layer(x), use_running_average=not train)), pool)
        x = x.reshape(x.shape[0], -1)
        for number, (dense, norm) in enumerate(zip(self.denses, self.dense_norms)):
            x = nnx.relu(norm(dense(x), use_running_average=not train))
            x = dropout(x, self.settings.dropout, None if key is None else jax.random.fold_in(key, number), train)
        return self.heads(x)
