"""Motif against motif: a motif is most like itself, p-values are those of the peer and of chance, tables keep form."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.effects.motifs.match import adjusted, compare, match
from seqmill.formats.motifs import Motif, consensus, information, meme_text, read_meme
from seqmill.simulate.motifs import load_motifs

JASPAR = [Motif(motif.matrix_id, motif.name, motif.pwm) for motif in load_motifs().values()]


def random_motifs(count: int, seed: int = 0) -> list[Motif]:
    rng = np.random.default_rng(seed)
    return [Motif(f"r{i}", "", rng.dirichlet(np.full(4, 0.3), int(rng.integers(6, 15)))) for i in range(count)]


def test_a_motif_is_most_like_itself_however_it_is_cut_or_turned():
    database = [*JASPAR, *random_motifs(60)]
    for i, motif in enumerate(JASPAR):
        whole, turned, cut = motif.pwm, motif.pwm[::-1, ::-1], motif.pwm[2:]
        for query, strand, offset in ((whole, 1, 0), (turned, -1, 0), (cut, 1, 2)):
            found = compare(query, [known.pwm for known in database])
            assert found.p.argmin() == i
            assert found.p[i] < 1e-6
            if motif.name not in ("MA0059.1", "MA0506.1"):  # nearly the same on both strands
                assert (found.strand[i], found.offset[i]) == (strand, offset)
            assert found.overlap[i] == len(query)


def test_shuffled_columns_are_like_nothing():
    rng = np.random.default_rng(1)
    database = [*JASPAR, *random_motifs(200, seed=2)]
    queries = [Motif(f"{m.name}.{k}", "", rng.permutation(rng.permutation(m.pwm, axis=1))) for m in JASPAR
               for k in range(4)]  # fmt: skip
    table = match(queries, database, 1)
    assert (table["q"] > 0.05).mean() > 0.8


def test_p_values_are_uniform_for_unrelated_motifs():
    """Queries drawn like the columns of the database: of their p-values a tenth is below 0.1, at most."""
    database = random_motifs(150, seed=3)
    p = np.concatenate([compare(query.pwm, [m.pwm for m in database]).p for query in random_motifs(12, seed=4)])
    assert 0.05 < (p < 0.1).mean() < 0.13
    assert 0.35 < (p < 0.5).mean() < 0.6


def test_p_value_of_one_column_against_all_arrangements():
    """Against every motif of two columns out of the database: the null distribution itself, counted."""
    columns = np.eye(4)[[0, 1, 2, 3, 0, 1]]
    query = np.array([[0.7, 0.1, 0.1, 0.1]])
    database = [columns[[i]] for i in range(6)] * 2
    found = compare(query, database)
    share = np.array([(columns[:, 0] == 1).mean(), (columns[:, 3] == 1).mean()])  # A, and T, which is A turned
    both = share.sum() / 2  # null columns are those of both strands
    assert found.p[0] == pytest.approx(1 - (1 - both) ** 2)
    assert found.p[2] == pytest.approx(1.0)  # C and G are the farthest


@pytest.mark.parametrize(
    ("query", "known", "peer"),
    # p-values of memelite 0.5.0 (tomtom, all defaults) for the same queries and database
    [
        (0, "M4427_1.02", 7.49e-33),
        (1, "M1868_1.02", 8.16e-11),
        (2, "M6119_1.02", 2.66e-08),
        (3, "M4532_1.02", 6.53e-09),
    ],
)
def test_as_the_peer_says(data, query, known, peer):
    database = read_meme(data / "motifs/Jaspar.meme")
    line = match([JASPAR[query]], database, 1).iloc[0]
    assert line["name"] == known
    assert abs(np.log10(line["p"] / peer)) < 0.25


@pytest.fixture(scope="module")
def data():
    import os

    folder = os.environ.get("SEQMILL_TEST_DATA", "")
    if not folder:
        pytest.skip("SEQMILL_TEST_DATA is not set")
    return Path(folder)


def test_table_of_matches():
    table = match(JASPAR[:2], JASPAR, 3)
    assert list(table["rank"]) == [1, 2, 3, 1, 2, 3]
    assert list(table[table["rank"] == 1]["name"]) == [motif.name for motif in JASPAR[:2]]
    assert (table["q"] >= table["p"]).all()
    assert len(match(JASPAR, [], 3)) == len(match([], JASPAR, 3)) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_q_values_are_those_of_the_definition(values):
    p = np.array(values)
    slow = [min(1.0, *(other * len(p) / (p <= other).sum() for other in p if other >= one)) for one in p]
    np.testing.assert_allclose(adjusted(p), slow, rtol=1e-12)


def test_meme_text_comes_back(tmp_path):
    path = tmp_path / "out.meme"
    path.write_text(meme_text(JASPAR, {JASPAR[0].name: 7}))
    assert "nsites= 7 " in path.read_text()
    for motif, again in zip(JASPAR, read_meme(path), strict=True):
        assert (motif.name, motif.alias) == (again.name, again.alias)
        np.testing.assert_allclose(again.pwm, motif.pwm, atol=2e-6)


def test_information_and_consensus():
    pwm = np.array([[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0], [0.1, 0.2, 0.3, 0.4]])
    bits = [2 + sum(p * np.log2(p) for p in column if p) for column in pwm]
    np.testing.assert_allclose(information(pwm), bits)
    assert consensus(pwm) == "AaAt"
