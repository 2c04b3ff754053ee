"""DeepBind: Alipanahi et al., Nature Biotechnology 33:831 (2015).

A bank of 16 motif detectors (convolution) of 24 bp, rectified; the maximum and the mean of each over the sequence; one
hidden layer of 32 units with ReLU; the output. The paper lets calibration choose between that layer and none
(``hidden: 0``) and takes detectors of 16 for RNA. Detectors reach over both ends of the sequence, so that a motif there
is found; an unknown base, and those beyond the ends, count a quarter of each base. With one output 2,641 parameters.

Positions that touch no base of a padded sequence are left out of the maximum and of the mean. In training the paper
takes the larger score of the two strands of DNA; here the trainer draws a strand and prediction may average both. With
``both_strands`` each detector takes its larger response on the two strands at every place instead: the network then
says the same of a sequence and its reverse complement, and no detector is needed twice. With ``batch_norm`` maxima and
means, which are far smaller, come to one scale. Neither is in the paper.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import batch_norm, conv, dropout, linear
from seqmill.models.heads import Heads
from seqmill.models.registry import register, the_sequence


class DeepBindSettings(Section):
    """Defaults are the published network; ``dropout`` acts before the output, ``pooled_dropout`` after the pooling."""

    motifs: int = Field(16, ge=1)
    width: int = Field(24, ge=1)
    hidden: int = Field(32, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    pooled_dropout: float = Field(0.0, ge=0, lt=1)
    both_strands: bool = False
    batch_norm: bool = False


@register("deepbind")
class DeepBind(nnx.Module):
    """Outputs logits (or raw values), one array a target.

    Inputs: one sequence (example, bp, 4) and, where the dataset has it, the length (example,) in bp of each.
    """

    Settings = DeepBindSettings

    def __init__(
        self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: DeepBindSettings, rngs: nnx.Rngs
    ):
        self.sequence, _ = the_sequence(inputs, "deepbind")
        self.length = next((name for name, spec in inputs.items() if spec.kind == "length"), None)
        self.settings = settings
        self.conv = conv(4, settings.motifs, settings.width, rngs, padding="VALID")
        features = 2 * settings.motifs
        self.norm = batch_norm(features, rngs) if settings.batch_norm else None
        self.hidden = linear(features, settings.hidden, rngs) if settings.hidden else None
        self.heads = Heads(settings.hidden or features, targets, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        overhang = self.settings.width - 1
        x = jnp.pad(inputs[self.sequence], ((0, 0), (overhang, overhang), (0, 0)))
        x = x + (1 - x.sum(axis=-1, keepdims=True)) / 4
        there = self.conv(x)
        if self.settings.both_strands:  # A and T, C and G lie opposite in the order ACGT
            there = jnp.maximum(there, self.conv(x[:, ::-1, ::-1])[:, ::-1])
        x = nnx.relu(there)
        if self.length is None:
            highest, mean = x.max(axis=1), x.mean(axis=1)
        else:
            positions = inputs[self.length].reshape(-1, 1, 1) + overhang
            # Rectified responses are not negative, so 0 changes neither their maximum nor their sum.
            x = jnp.where(jnp.arange(x.shape[1])[:, None] < positions, x, 0.0)
            highest, mean = x.max(axis=1), x.sum(axis=1) / positions[:, 0]
        x = jnp.concatenate([highest, mean], axis=1)
        if self.norm is not None:
            x = self.norm(x, use_running_average=not train)
        x = dropout(x, self.settings.pooled_dropout, None if key is None else jax.random.fold_in(key, 1), train)
        if self.hidden is not None:
            x = nnx.relu(self.hidden(x))
        return self.heads(dropout(x, self.settings.dropout, key, train))
