"""The score of a run as a function of one-hot bases, as mutagenesis scores it: strands and shifts averaged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from seqmill.effects.measures import score
from seqmill.stores.geometry import margin_bins
from seqmill.training.artefact import Network
from seqmill.training.augment import reverse_complement
from seqmill.training.objectives import network_inputs
from seqmill.training.shifts import cover, moved_back


def explained(
    network: Network, specs: Mapping[str, Any], *, strands: bool, shifts_bp: Sequence[int]
) -> Callable[[Any, Any, Array, Array], Array]:
    """Function from parameters, other state, bases and length to the scores of all tracks.

    The same numbers as `seqmill.training.predict.predictor` and `seqmill.effects.measures.score` give for codes.

    Parameters
    ----------
    specs : of the targets to score, in the order of the result. strands, shifts_bp : to average predictions over.

    Returns
    -------
    Function of (params, rest, bases float (bp, ACGT) with margins, length int32 () of a sequence that is filled up with
    N), which gives float (tracks,). All floats are of the type of ``bases``.
    """
    view, heads = network.view, network.heads
    (name,) = [name for name, spec in view.inputs.items() if spec.kind == "sequence"]
    lengths = [name for name, spec in view.inputs.items() if spec.kind == "length"]
    margin = margin_bins(view.inputs[name])

    # All views of a window make one batch.
    moved = tuple(shifts_bp) != (0,)
    views = [(shift, other_strand) for shift in shifts_bp for other_strand in ((False, True) if strands else (False,))]

    def seen(bases: Array, length: Array, shift: int, other_strand: bool) -> Array:
        x = bases[margin + shift : len(bases) - margin + shift]
        if other_strand and lengths:  # turned within its length: what fills it up stays at its end
            source = (length - 1 - jnp.arange(len(x), dtype=jnp.int32)) % len(x)
            x = jnp.take(x, source, axis=0)[:, ::-1]
        elif other_strand:
            x = x[::-1, ::-1]  # A and T, C and G lie opposite
        return x

    def apply(params: Any, rest: Any, bases: Array, length: Array) -> Array:
        def as_type(leaf: Array) -> Array:
            return leaf.astype(bases.dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

        params, rest = jax.tree.map(as_type, (params, rest))
        module = nnx.merge(network.graph, params, rest, copy=True)
        shown = {f"inputs/{name}": jnp.stack([seen(bases, length, *view) for view in views])}
        shown |= {f"inputs/{other}": jnp.full(len(views), length) for other in lengths}
        outputs = module(network_inputs(shown), train=False, key=None)
        predicted = network.objective.predictions(heads, outputs)
        found = []
        for target, spec in specs.items():
            total: Any = 0
            for number, (shift, other_strand) in enumerate(views):
                x = predicted[target][number : number + 1]
                x = reverse_complement(x, spec) if other_strand else x
                total = total + (moved_back(x, spec, jnp.int32(shift)) if moved else x)
            total = total / (cover(spec, shifts_bp) if moved else 1)
            found.append(score(total / 2 if strands else total, spec)[0])
        return jnp.concatenate(found)

    return apply
