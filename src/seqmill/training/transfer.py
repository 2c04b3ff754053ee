"""What of a network that starts from a trained one may change, and how fast.

The changes are made to the network before the training: frozen parameters are none any more (`freeze`), layers with
low-rank changes have two small matrices more (`lora`). Steps, saved states and devices then need nothing of this. When
the model is written, the network is given its ordinary tensors back.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from seqmill.config.transfer import Initial
from seqmill.runtime.errors import InputError
from seqmill.training.artefact import names_of, tensors_of
from seqmill.training.freeze import freeze, is_head, lies_in, listed, thaw
from seqmill.training.lora import add_lora, merge_lora, scale_of
from seqmill.training.objectives import split_module


@dataclass(frozen=True)
class Transfer:
    """A network to train of which a part is fixed.

    Attributes
    ----------
    graph, params, rest : of the network to train; ``params`` has only what may change.
    fixed : tensors by name that are written as they are now.
    info : for ``model.json``.
    """

    graph: Any
    params: Any
    rest: Any
    fixed: Mapping[str, np.ndarray] = field(repr=False)
    info: dict[str, Any]

    def tensors(self, params: Any, rest: Any) -> dict[str, np.ndarray]:
        """Tensors of the ordinary network, by name (`artefact.tensors_of`), of a trained state."""
        params, rest = jax.tree.map(jnp.asarray, (params, rest))  # on the host, where several devices trained
        module = nnx.merge(self.graph, params, rest, copy=True)
        merge_lora(module)
        thaw(module)
        return tensors_of(*split_module(module)[1:]) | dict(self.fixed)


def transfer(
    graph: Any, params: Any, rest: Any, section: Initial, *, copied: list[str], seed: int, label: str
) -> Transfer | None:
    """The network as `Initial` wants it trained; None where it is trained as any other.

    Parameters
    ----------
    copied : names of the tensors that come from the trained model. seed : of the matrices of LoRA.
    label : of the training, for messages.

    Raises
    ------
    InputError
        A layer that is named is not there, what is to stay fixed did not come from the trained model, or nothing is
        left to train.
    """
    if section.freeze is None and section.lora is None and not section.learning_rates:
        return None
    where, tensors = f"{label}: initial", tensors_of(params, rest)
    layers = sorted({name.partition(".")[2] for name in tensors})
    places: list[str] = []
    if isinstance(section.freeze, list):
        places = section.freeze
        _check_names(places, layers, where, "freeze")
    elif section.freeze or section.lora:
        places = sorted({name.partition(".")[0] for name in layers if not is_head(name)})
    fixed = sorted(name for name in tensors if lies_in(name.partition(".")[2], places))
    missing = [name for name in fixed if name not in copied]
    if missing:
        raise InputError(where, f"{listed(missing)} did not come from the trained model, so it cannot stay fixed")
    module = nnx.merge(graph, params, rest, copy=True)
    freeze(module, lambda name: lies_in(name, places), where)
    changed = add_lora(module, section.lora, places, seed, where) if section.lora else []
    graph, params, rest = split_module(module)
    trained = names_of(params)[0]
    if not trained:
        raise InputError(where, "nothing is left to train: all parameters are fixed")
    _check_names(list(section.learning_rates), trained, where, "learning_rates")
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    fixed = [name for name in fixed if name not in {f"params.{layer}.kernel" for layer in changed}]
    info: dict[str, Any] = {"fixed": fixed, "learning_rates": dict(section.learning_rates), "trained": count}
    if section.lora is not None:
        info["lora"] = {"rank": section.lora.rank, "scale": scale_of(section.lora), "layers": changed}
    logging.getLogger("seqmill").info("%s: %s numbers are trained, the others stay fixed", label, f"{count:,}")
    # copies: the first step takes the buffers of the state
    return Transfer(graph, params, rest, {name: np.array(tensors[name]) for name in fixed}, info)


def _check_names(places: list[str], names: list[str], where: str, key: str) -> None:
    """Each place is one of the dotted names, or one lies in it."""
    for place in places:
        if not any(lies_in(name, [place]) for name in names):
            tops = sorted({name.rpartition(".")[0] or name for name in names})
            raise InputError(
                where, f"{key}: the network has nothing to train named {place!r}; there are {listed(tops)}"
            )


def layer_rates(rates: Mapping[str, float]) -> optax.GradientTransformation:
    """Multiply updates by the factor of the longest name of ``rates`` that their parameter is, or lies in.

    Discriminative fine-tuning of Howard & Ruder 2018 (ULMFiT, arXiv 1801.06146), section 3.2: the learning rate of each
    layer is a factor of that of the optimiser.
    """

    def update(updates: Any, state: optax.EmptyState, params: Any = None) -> tuple[Any, optax.EmptyState]:
        names, leaves, structure = names_of(updates)
        scaled = []
        for name, leaf in zip(names, leaves):
            places = [place for place in rates if lies_in(name, [place])]
            scaled.append(leaf * rates[max(places, key=len)] if places else leaf)
        return jax.tree_util.tree_unflatten(structure, scaled), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
