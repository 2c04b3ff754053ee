"""Attribution: what each base of a sequence contributes to the scores of a network, run by run.

==========================  ==========================================================================================
gradient_input              the gradient of the score; at the base that is there this is gradient × input (Simonyan et
                            al. 2013; Shrikumar et al. 2016). Contributions add up to nothing in particular.
integrated_gradients        the mean gradient on the straight line from a reference to the sequence, in ``steps`` steps
                            by the midpoint rule (Sundararajan, Taly and Yan, ICML 2017, section 3)
deeplift                    the rescale rule (Shrikumar, Greenside and Kundaje, ICML 2017, section 3.5.2;
                            `seqmill.effects.attribution.rescale`)
==========================  ==========================================================================================

The last two compare with references and average over them (DeepSHAP: Lundberg and Lee, NeurIPS 2017, section 4.2):
the window with its dinucleotides shuffled. Shuffles are drawn from the bases of the window alone, so that a region's
numbers depend on nothing else that is computed.

Given are *hypothetical* contributions, those that each of the four bases would have at a position with the multipliers
(or gradients) of the base that is there. That of the base that is there is its contribution. Contributions of the whole
window add up to the score minus the mean score of the references: exactly for DeepLIFT, up to the steps for integrated
gradients; `Contributions.error` says how nearly.

All is computed in float64, in float32 on a TPU.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr

from seqmill.effects.attribution.explained import explained
from seqmill.effects.attribution.rescale import evaluate, moving, multipliers
from seqmill.effects.attribution.rescale_rules import UnknownOperation
from seqmill.effects.measures import check_targets
from seqmill.effects.mutagenesis import Effects, Stretch
from seqmill.genome.sequence import dinucleotide_shuffle
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.genome import N_CODE
from seqmill.stores.specs import track_names

METHODS = ("gradient_input", "integrated_gradients", "deeplift")
COMPLETE = METHODS[1:]
"""Methods whose contributions add up to a difference."""
LEAST_DIFFERENCE = 1e-3
"""Errors are relative to the difference, or to this share of the range of the scores where the difference is less."""


@dataclass
class Contributions(Effects):
    """What was found for one stretch: ``changes`` are hypothetical contributions, NaN at N.

    Attributes
    ----------
    error : target -> float32 (runs, tracks), how far contributions of the window are from adding up to the difference:
        |error| / max(|difference|, `LEAST_DIFFERENCE` × range of the scores), the largest over the references; the
        range is that over the window and its references. Empty for `gradient_input`.
    """

    error: dict[str, np.ndarray] = field(default_factory=dict)


def references(codes: np.ndarray, count: int) -> np.ndarray:
    """Shuffled copies of a sequence with the same dinucleotides, always the same ones for the same sequence.

    Parameters
    ----------
    codes : uint8 (bp,), A0 C1 G2 T3 N4; N stays where it is.

    Returns
    -------
    uint8 (count, bp).
    """
    seed = np.frombuffer(hashlib.sha256(codes.tobytes()).digest()[:16], "<u4").tolist()
    return np.stack([dinucleotide_shuffle(codes, np.random.default_rng([*seed, n])) for n in range(count)])


class Attribution:
    """Contributions of bases to the scores of an ensemble; in place of `seqmill.effects.mutagenesis.Mutagenesis`.

    Parameters
    ----------
    ensemble : `seqmill.effects.ensemble.Ensemble`. targets : to score; all if None.
    method : one of `METHODS`. references : shuffled sequences to compare with. steps : of `integrated_gradients`.

    Raises
    ------
    InputError
        A target is unknown or has no score, or DeepLIFT has no rule for an operation of the network.
    """

    edits = ("substitutions",)

    def __init__(
        self,
        ensemble: Any,
        targets: Sequence[str] | None = None,
        method: str = "deeplift",
        references: int = 20,
        steps: int = 50,
        where: str = "",
    ):
        self.ensemble, self.method, self.references = ensemble, method, references
        self.where = where or str(ensemble.folders[0])
        names = check_targets(ensemble.targets, targets, self.where)
        self.specs = {name: ensemble.targets[name] for name in names}
        self._tracks = sum(len(track_names(spec)) for spec in self.specs.values())
        self._rows = -(-references // -(-references // min(references, ensemble.batch_size)))  # in equal parts
        with _precise():
            self._runs = [self._prepare(network, steps) for network in ensemble.networks]

    def effects(self, stretches: Iterable[Stretch], progress: Progress | None = None) -> Iterator[Contributions]:
        """Contributions of the bases of each stretch, in their order.

        Parameters
        ----------
        stretches : see `Stretch`. progress : counts positions (bp).
        """
        for stretch in stretches:
            yield self._one(stretch)
            if progress is not None:
                progress.add(stretch.last - stretch.first)

    def _one(self, stretch: Stretch) -> Contributions:
        codes = stretch.codes[1:-1]
        if codes.shape != (self.ensemble.extent_bp,) or not 0 <= stretch.first < stretch.last <= len(codes):
            raise ValueError(f"positions {stretch.first} to {stretch.last} of {codes.shape} bases")
        others = references(codes, self.references) if self.method in COMPLETE else None
        runs = [self._run(run, codes, others) for run in stretch.runs]
        found = Contributions(stretch.runs)
        part, known, at = slice(stretch.first, stretch.last), codes < N_CODE, 0
        for name, spec in self.specs.items():
            tracks = slice(at, at + len(track_names(spec)))
            at = tracks.stop
            values = np.stack([contributions[tracks] for contributions, _, _ in runs])
            values = np.where(known[:, None], values, np.nan)[:, :, part].transpose(0, 2, 3, 1)
            found.changes[f"substitutions/{name}"] = values.astype(np.float32)
            found.reference[name] = np.stack([score[tracks] for _, score, _ in runs]).astype(np.float32)
            if others is not None:
                found.error[name] = np.stack([error[tracks] for _, _, error in runs]).astype(np.float32)
        return found

    def _run(self, run: int, codes: np.ndarray, others: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hypothetical contributions (tracks, bp, ACGT), scores and relative errors (tracks,) of the whole window."""
        known = np.flatnonzero(codes < N_CODE)
        length = np.int32(known[-1] + 1 if len(known) else 0)
        network, compiled = self.ensemble.networks[run], self._runs[run]
        with _precise():
            if others is None:
                gradients, value = compiled(network.params, network.rest, codes, length)
                return np.asarray(gradients), np.asarray(value), np.zeros(self._tracks)
            rows = self._rows
            total, sums, scores = np.zeros((self._tracks, len(codes), 4)), [], []
            for start in range(0, len(others), rows):  # of one shape: what fills the last one up does not count
                part = others[start : start + rows]
                full = np.concatenate([part, part[:1].repeat(rows - len(part), axis=0)])
                weight = (np.arange(rows) < len(part)) / len(others)
                found = compiled(network.params, network.rest, codes, length, full, weight)
                contributions, own, others_scores, added = (np.asarray(x) for x in found)
                total += contributions
                sums.append(added[: len(part)])
                scores.append(others_scores[: len(part)])
        added, compared, score = np.concatenate(sums), np.concatenate(scores), np.asarray(own)
        everything = np.concatenate([compared, score[None]])
        least = LEAST_DIFFERENCE * (everything.max(axis=0) - everything.min(axis=0))
        difference = score - compared
        off, scale = np.abs(added - difference), np.maximum(np.abs(difference), least)
        error = np.where(off == 0, 0.0, off / np.where(scale > 0, scale, np.finfo(np.float64).tiny))  # equal scores
        return total, score, error.max(axis=0)

    def _prepare(self, network: Any, steps: int) -> Callable[..., tuple[Array, ...]]:
        """The compiled function of one run."""
        ensemble = self.ensemble
        score = explained(network, self.specs, strands=ensemble.both_strands, shifts_bp=ensemble.shifts_bp)
        kind = _float_type()
        shapes = jax.ShapeDtypeStruct((ensemble.extent_bp, 4), kind), jax.ShapeDtypeStruct((), jnp.int32)
        program = jax.make_jaxpr(score)(network.params, network.rest, *shapes)
        leaves = len(program.jaxpr.invars) - 2

        def coded(codes: Array) -> Array:
            return (codes[..., None] == jnp.arange(4, dtype=codes.dtype)).astype(kind)

        def plain(params: Any, rest: Any, codes: Array, length: Array) -> tuple[Array, Array]:
            fixed = jax.tree.leaves((params, rest))
            value, back = jax.vjp(lambda x: evaluate(program, [*fixed, x, length])[0][0], coded(codes))
            return jax.lax.map(lambda seed: back(seed)[0], jnp.eye(len(value), dtype=kind)), value

        def compared(
            params: Any, rest: Any, codes: Array, length: Array, others: Array, weight: Array
        ) -> tuple[Array, ...]:
            fixed, x, refs = jax.tree.leaves((params, rest)), coded(codes), coded(others)
            give = _Rescale(program, leaves) if self.method == "deeplift" else _Line(program, steps)
            return give(fixed, length, x, refs, weight.astype(kind))

        function = jax.jit(plain if self.method == "gradient_input" else compared)
        given = [jax.ShapeDtypeStruct((ensemble.extent_bp,), jnp.uint8), shapes[1]]
        if self.method in COMPLETE:
            given += [jax.ShapeDtypeStruct((self._rows, ensemble.extent_bp), jnp.uint8)]
            given += [jax.ShapeDtypeStruct((self._rows,), np.float64)]
        try:  # before hours are spent; the first call finds it traced
            jax.eval_shape(function, network.params, network.rest, *given)
        except UnknownOperation as error:
            raise InputError(
                self.where,
                f"method deeplift has no rule for the operation '{error.operation}' of architecture "
                f"{network.info['architecture']}{': ' if error.why else ''}{error.why}; methods that work: "
                "mutagenesis, gradient_input, integrated_gradients",
            ) from None
        return function


@dataclass(frozen=True)
class _Rescale:
    """DeepLIFT of all tracks, a mean over references."""

    program: ClosedJaxpr
    leaves: int

    def __call__(self, fixed: list, length: Array, x: Array, refs: Array, weight: Array) -> tuple[Array, ...]:
        (score,), at_input = evaluate(self.program, [*fixed, x, length])
        moves = [False] * self.leaves + [True, False]
        live = [var for var in at_input if var in moving(self.program, moves)]

        def other(ref: Array) -> tuple[Array, list[Array]]:
            (found,), values = evaluate(self.program, [*fixed, ref, length])
            return found, [values[var] for var in live]

        scores, at_references = jax.vmap(other)(refs)

        def track(seed: Array) -> tuple[Array, Array]:
            def one(values: list[Array]) -> Array:
                at_reference = at_input | dict(zip(live, values))
                found = multipliers(self.program, moves, at_input, at_reference, [seed])[self.leaves]
                return jnp.zeros_like(x) if found is None else found

            return _contributions(jax.vmap(one)(at_references), x, refs, weight)

        hypothetical, added = jax.lax.map(track, jnp.eye(len(score), dtype=x.dtype))
        return hypothetical, score, scores, added.T


@dataclass(frozen=True)
class _Line:
    """Integrated gradients of all tracks, a mean over references."""

    program: ClosedJaxpr
    steps: int

    def __call__(self, fixed: list, length: Array, x: Array, refs: Array, weight: Array) -> tuple[Array, ...]:
        def score(one: Array) -> Array:
            return evaluate(self.program, [*fixed, one, length])[0][0]

        value, scores = score(x), jax.vmap(score)(refs)
        seeds = jnp.eye(len(value), dtype=x.dtype)

        def step(sums: tuple[Array, Array], share: Array) -> tuple[tuple[Array, Array], None]:
            back = jax.vjp(jax.vmap(score), refs + share * (x - refs))[1]

            def track(seed: Array) -> tuple[Array, Array]:
                return _contributions(back(jnp.broadcast_to(seed, (len(refs), len(seed))))[0], x, refs, weight)

            return jax.tree.map(jnp.add, sums, jax.lax.map(track, seeds)), None

        start = jnp.zeros((len(value), *x.shape), x.dtype), jnp.zeros((len(value), len(refs)), x.dtype)
        shares = (jnp.arange(self.steps, dtype=x.dtype) + 0.5) / self.steps
        (hypothetical, added), _ = jax.lax.scan(step, start, shares)
        return hypothetical / self.steps, value, scores, added.T / self.steps


def _contributions(found: Array, x: Array, refs: Array, weight: Array) -> tuple[Array, Array]:
    """Hypothetical contributions (bp, ACGT), weighted over references, and what those of the bases that are there add
    up to with each reference; from multipliers (references, bp, ACGT)."""
    own = (found * refs).sum(axis=2, keepdims=True)
    hypothetical = jnp.tensordot(weight, found - own, axes=1)
    return hypothetical, (found * (x - refs)).sum(axis=(1, 2))


def _precise() -> Any:
    return jax.enable_x64(_float_type() == np.float64)


def _float_type() -> Any:
    return np.float32 if jax.default_backend() == "tpu" else np.float64
