"""The modules of MMSplice: their sizes, and with the released weights the scores that were published with them."""

import csv
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit import training_toys as toys
from tests.unit.network_toys import check_learns, relu, slow_conv, slow_dense, target

from seqmill.config.imported import Imported
from seqmill.models.blocks import count_parameters
from seqmill.models.registry import build
from seqmill.stores.model import ModelReader
from seqmill.training.artefact import load_network
from seqmill.training.imported import import_weights
from seqmill.training.predict import predictor

PARAMETERS = {"acceptor": (53, 4_833), "donor": (18, 18_049), "exon": (120, 6_145), "intron": (94, 13_825)}
COMPLEMENT = dict(zip("ACGT", "TGCA"))


def network(module: str, bp: int):
    model = build("mmsplice", {"module": module}, {"sequence": toys.sequence_spec(bp)}, {"y": target("y", 1)}, 0)
    rng = np.random.default_rng(5)
    for norm in model.norms:
        for name in ("mean", "var", "scale", "bias"):
            variable = getattr(norm, name)
            variable[...] = jnp.asarray(rng.uniform(0.5, 1.5, variable[...].shape), jnp.float32)
    return model


@pytest.mark.parametrize("module", PARAMETERS)
def test_modules_have_the_parameters_of_the_released_networks(module):
    bp, number = PARAMETERS[module]
    assert count_parameters(network(module, bp)) == number


@pytest.mark.parametrize("module", PARAMETERS)
def test_modules_equal_slow_numpy_networks(module):
    bp = 20
    model = network(module, bp)
    codes = np.random.default_rng(0).integers(0, 4, (3, bp))
    codes[1, 14:] = 4
    x = np.eye(5, dtype=np.float32)[codes][..., :4]
    found = model({"sequence": jnp.asarray(x)}, train=False)["y"]

    def norm(v, number):
        layer = model.norms[number]
        mean, var, scale, bias = (np.asarray(getattr(layer, n)[...]) for n in ("mean", "var", "scale", "bias"))
        return (v - mean) / np.sqrt(var + 1e-3) * scale + bias

    def same(v, number):
        width = model.convs[number].kernel[...].shape[0]
        return slow_conv(np.pad(v, ((width // 2, width // 2), (0, 0))), model.convs[number])

    expected = []
    for row, letters in zip(x.astype(np.float64), codes):
        if module == "acceptor":
            h = norm(relu(same(norm(relu(same(row, 0)), 0), 1)), 1).ravel()
        elif module == "donor":
            h = row.ravel()
            for number, layer in enumerate(model.denses):
                h = relu(norm(slow_dense(h, layer), number))
        elif module == "exon":
            h = relu(norm(same(row, 0), 0))[letters < 4].mean(axis=0)
        else:
            h = relu(same(row, 0)).mean(axis=0)
        expected.append(slow_dense(h, model.heads.layers["y"]))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["acceptor", "donor", "exon", "intron"])
def test_modules_learn(module):
    rng = np.random.default_rng(1)
    batch = {
        "inputs/sequence": rng.integers(0, 4, (16, 24)).astype(np.uint8),
        "targets/y": rng.integers(0, 2, (16, 1)).astype(np.float32),
    }
    inputs, targets = {"sequence": toys.sequence_spec(24)}, {"y": target("y", 1)}
    check_learns("mmsplice", {"module": module, "dropout": 0.0}, inputs, targets, batch)


def test_an_exon_that_is_filled_up_scores_as_without():
    model, longer = network("exon", 30), network("exon", 50)
    codes = np.random.default_rng(2).integers(0, 4, (2, 30))
    x = np.eye(4, dtype=np.float32)[codes]
    padded = np.pad(x, ((0, 0), (0, 20), (0, 0)))
    short, long = (m({"sequence": v}, train=False)["y"] for m, v in ((model, x), (longer, padded)))
    np.testing.assert_allclose(short, long, rtol=1e-5)
    assert jax.tree.leaves(short)[0].std() > 0


# The released modules ------------------------------------------------------------------------------------------------

# file, module, bp, column of the scores
RELEASED = {
    "Intron3": ("intron", 94, "acceptorIntron"),
    "Acceptor": ("acceptor", 53, "acceptor"),
    "Exon": ("exon", 800, "exon"),
    "Donor": ("donor", 18, "donor"),
    "Intron5": ("intron", 94, "donorIntron"),
}


def parts_of(flank5: str, exon: str, flank3: str) -> dict[str, str]:
    """What each module reads of an exon with 100 bp of intron on both sides, as the paper cuts it."""
    return {
        "acceptorIntron": flank5[:-6],
        "acceptor": flank5[-50:] + exon[:3],
        "exon": exon,
        "donor": exon[-5:] + flank3[:13],
        "donorIntron": flank3[6:],
    }


def published(folder: Path) -> Iterator[tuple[str, str, list[str], float]]:
    """(column, exon and variant, sequences, score): scores of exons of BRCA1 that the authors' program gave.

    The genome is not needed: the longest deletions of the table spell it where they are. Alternative alleles are
    taken of substitutions. The first and last exon of a transcript have no intron on one side and were scored with N
    there; which these are the table does not say, so there are two sequences.
    """
    with (folder / "pred.csv").open() as file:
        rows = list(csv.DictReader(file))
    bases: dict[int, str] = {}
    for row in rows:
        _, start, alleles = row["ID"].split(":")
        bases |= {int(start) + i: base for i, base in enumerate(alleles.partition(">")[0])}
    seen = set()
    for row in rows:
        _, position, alleles = row["ID"].split(":")
        start, end = map(int, row["exons"].split(":")[1].split("-"))  # 0-based, half-open; all on the reverse strand
        ref, _, alt = alleles.partition(">")
        for allele, genome in (("ref", {}), ("alt", {int(position): alt})):
            if allele == "alt" and not len(ref) == len(alt) == 1:
                continue
            known = bases | genome

            def strand(low: int, high: int, known: dict[int, str] = known) -> str:
                """Reverse complement of 1-based positions low to high; ? where it is not known."""
                return "".join(COMPLEMENT.get(known.get(p, ""), "?") for p in range(high, low - 1, -1))

            flank5, exon, flank3 = strand(end + 1, end + 100), strand(start + 1, end), strand(start - 99, start)
            inside, first, last = (parts_of(*p) for p in (
                (flank5, exon, flank3), ("N" * 100, exon, flank3), (flank5, exon, "N" * 100)
            ))  # fmt: skip
            for column, sequence in inside.items():
                score = float(row[f"{allele}_{column}"])
                if "?" not in sequence and (column, sequence, score) not in seen:
                    seen.add((column, sequence, score))
                    others = {first[column], last[column]} - {sequence}
                    yield column, f"{row['exons']} {row['ID']} {allele}", [sequence, *others], score


@pytest.fixture(scope="module")
def scores(test_data) -> dict[str, list[tuple[str, list[str], float]]]:
    found: dict[str, list] = {}
    for column, *rest in published(test_data / "weights" / "mmsplice"):
        found.setdefault(column, []).append(rest)
    return found


@pytest.mark.parametrize("name", RELEASED)
def test_released_modules_give_the_published_scores(test_data, scores, tmp_path, name):
    module, bp, column = RELEASED[name]
    file = Imported(
        architecture="mmsplice",
        settings={"module": module},
        window_bp=bp,
        targets={"score": {"tracks": 1, "kind": "quantity"}},
    )
    import_weights(tmp_path / "model", file, test_data / "weights" / "mmsplice" / f"{name}.h5", "import.yaml")
    assert ModelReader(tmp_path / "model").info["parameters"] == PARAMETERS[module][1]
    run = predictor(load_network(tmp_path / "model"), strands=False)

    cases = [case for case in scores[column] if len(case[1][0]) <= bp]
    sequences = sorted({sequence for _, tried, _ in cases for sequence in tried})
    codes = np.full((len(sequences), bp), 4, np.uint8)
    for row, sequence in zip(codes, sequences):
        row[: len(sequence)] = ["ACGTN".index(base) for base in sequence]
    mine = dict(zip(sequences, np.asarray(run({"inputs/sequence": codes})["score"])[:, 0]))
    expected = np.array([score for *_, score in cases])
    inside = np.array([mine[tried[0]] for _, tried, _ in cases])
    nearest = np.array([min((mine[s] for s in tried), key=lambda v: abs(v - score)) for _, tried, score in cases])
    tolerance = 1e-5 * np.ptp(expected)
    assert len(cases) >= 30
    assert np.abs(nearest - expected).max() < tolerance
    assert (np.abs(inside - expected) < tolerance).mean() > 0.7  # not the ends of transcripts
