"""The modules of MMSplice: Cheng et al., Genome Biology 20:48 (2019), Methods, and the released networks.

Four small networks score the parts of an exon and its introns, each on its own; ``module`` says which:

- ``acceptor``: the last 50 bp of the intron and 3 bp of the exon. Convolution of 32 filters of 15 bp, ReLU, batch
  normalisation, convolution of 32 filters of 1 bp, ReLU, batch normalisation, dropout 0.2; 4,833 parameters at 53 bp.
- ``donor``: 5 bp of the exon and 13 bp of the intron. Dense layers of 128 and 64 units, each with batch normalisation,
  ReLU and dropout 0.2; 18,049 parameters at 18 bp.
- ``exon``: a convolution of 128 filters of 11 bp, batch normalisation, ReLU, mean over the bases that are not N, so
  that shorter exons are filled up with N; 6,145 parameters.
- ``intron``: a convolution of 256 filters of 13 bp, ReLU, mean over all positions; 13,825 parameters. The paper has
  one for each side of the exon, of 94 bp: 100 less the 6 next to the exon.

Convolutions are padded. Constants of the batch normalisation are those of Keras. Outputs are logits or raw values: the
scores of MMSplice. How the paper joins them (differences between alleles, a linear model) is not here.
"""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import conv, dropout, linear
from seqmill.models.heads import Heads
from seqmill.models.registry import register, the_sequence

# module -> (filters, bp) of its convolutions, units of its dense layers
_LAYERS: dict[str, tuple[list[tuple[int, int]], list[int]]] = {
    "acceptor": ([(32, 15), (32, 1)], []),
    "donor": ([], [128, 64]),
    "exon": ([(128, 11)], []),
    "intron": ([(256, 13)], []),
}


class MMSpliceSettings(Section):
    """Which of the modules, and the dropout of the acceptor and donor ones."""

    module: Literal["acceptor", "donor", "exon", "intron"] = "acceptor"
    dropout: float = Field(0.2, ge=0, lt=1)


@register("mmsplice")
class MMSplice(nnx.Module):
    """Outputs logits (or raw values), one array a target. Input: one sequence (example, bp, 4)."""

    Settings = MMSpliceSettings

    def __init__(
        self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: MMSpliceSettings, rngs: nnx.Rngs
    ):
        self.sequence, length = the_sequence(inputs, "mmsplice")
        self.settings = settings
        convolutions, units = _LAYERS[settings.module]
        convs, denses, norms, channels = [], [], [], 4
        for filters, width in convolutions:
            convs.append(conv(channels, filters, width, rngs))
            if settings.module != "intron":
                norms.append(_batch_norm(filters, rngs))
            channels = filters
        features = channels if settings.module in ("exon", "intron") else channels * length
        for number in units:
            denses.append(linear(features, number, rngs))
            norms.append(_batch_norm(number, rngs))
            features = number
        self.convs, self.denses = nnx.List(convs), nnx.List(denses)
        self.norms = nnx.List(norms)
        self.heads = Heads(features, targets, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        bases = inputs[self.sequence]
        return self.heads(getattr(self, f"_{self.settings.module}")(bases, train, key))

    def _acceptor(self, x: Array, train: bool, key: Array | None) -> Array:
        for layer, norm in zip(self.convs, self.norms):
            x = norm(nnx.relu(layer(x)), use_running_average=not train)
        return dropout(x.reshape(x.shape[0], -1), self.settings.dropout, key, train)

    def _donor(self, x: Array, train: bool, key: Array | None) -> Array:
        x = x.reshape(x.shape[0], -1)
        for number, (layer, norm) in enumerate(zip(self.denses, self.norms)):
            x = nnx.relu(norm(layer(x), use_running_average=not train))
            x = dropout(x, self.settings.dropout, None if key is None else jax.random.fold_in(key, number), train)
        return x

    def _exon(self, x: Array, train: bool, key: Array | None) -> Array:
        known = x.max(axis=2, keepdims=True)
        x = nnx.relu(self.norms[0](self.convs[0](x), use_running_average=not train))
        return (x * known).sum(axis=1) / jnp.maximum(known.sum(axis=1), 1)

    def _intron(self, x: Array, train: bool, key: Array | None) -> Array:
        return nnx.relu(self.convs[0](x)).mean(axis=1)


def _batch_norm(channels: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(channels, momentum=0.99, epsilon=1e-3, rngs=rngs)
