"""Scores of motifs by hand and against loops."""

import numpy as np
import pytest
from tests.unit import training_toys as toys

from seqmill.baselines.features import Features
from seqmill.baselines.motif_scores import PSEUDO, MotifScores, log_odds
from seqmill.baselines.words import bin_grid
from seqmill.config.baselines import Baseline
from seqmill.formats.motifs import Motif
from seqmill.stores.specs import TargetSpec


def motif(name: str, length: int, seed: int) -> Motif:
    return Motif(name, "", np.random.default_rng(seed).dirichlet([0.3] * 4, length))


MOTIFS = [motif("a", 6, 0), motif("b", 4, 1), motif("c", 6, 2)]


def place_scores(codes: np.ndarray, one: Motif, both: bool) -> list[list[float]]:
    """Scores of the orientations at each place of one sequence, by loops."""
    length, found = len(one.pwm), []
    for start in range(len(codes) - length + 1):
        word = [int(code) for code in codes[start : start + length]]
        words = [word] + ([[3 - c if c < 4 else 4 for c in reversed(word)]] if both else [])
        found.append([])
        for each in words:
            score = 0.0
            for row, code in zip(one.pwm, each):
                p = min(row) if code == 4 else row[code]
                score += np.log((p + PSEUDO) / (1 + 4 * PSEUDO) / 0.25)
            found[-1].append(score)
    return found


def expected(
    codes: np.ndarray, motifs: list[Motif], both: bool, first: int = 0, last: int | None = None
) -> list[float]:
    """Features of the places that start in ``first`` to ``last``."""
    best, mean = [], []
    for one in motifs:
        scores = np.array(place_scores(codes, one, both)[first:last])
        best.append(scores.max())
        mean.append(np.log(np.exp(scores).mean()))
    return best + mean


def test_one_place_by_hand():
    sure = Motif("m", "", np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]]))
    good, bad = np.log(1.001 / 1.004 / 0.25), np.log(0.001 / 1.004 / 0.25)
    np.testing.assert_allclose(log_odds(sure)[0], [good, bad, bad, bad, bad])
    found = MotifScores([sure], False).whole(np.array([[0, 1], [0, 2], [0, 4]], np.uint8))
    np.testing.assert_allclose(found[:, 0], [2 * good, good + bad, good + bad], rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], found[:, 0], rtol=1e-5)
    both = MotifScores([sure], True).whole(np.array([[2, 3]], np.uint8))  # GT is AC on the other strand
    np.testing.assert_allclose(both[0], [2 * good, np.log((np.exp(2 * good) + np.exp(2 * bad)) / 2)], rtol=1e-5)


@pytest.mark.parametrize("both", [True, False])
def test_windows_against_loops(both, monkeypatch):
    codes = np.random.default_rng(3).integers(0, 5, (7, 40), dtype=np.uint8)
    scores = MotifScores(MOTIFS, both)
    wanted = [expected(row, MOTIFS, both) for row in codes]
    np.testing.assert_allclose(scores.whole(codes), wanted, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr("seqmill.baselines.motif_scores.PLACE_BYTES", 1)
    np.testing.assert_allclose(scores.whole(codes), wanted, rtol=1e-4, atol=1e-4)


def test_both_strands_give_the_same_scores():
    codes = np.random.default_rng(3).integers(0, 5, (7, 40), dtype=np.uint8)
    other = np.where(codes < 4, 3 - codes, 4)[:, ::-1].astype(np.uint8)
    np.testing.assert_allclose(
        MotifScores(MOTIFS, True).whole(codes), MotifScores(MOTIFS, True).whole(other), rtol=1e-4
    )


@pytest.mark.parametrize("offset", [0, 6, 10])
def test_bins_against_loops(offset):
    codes = np.random.default_rng(4).integers(0, 4, (3, 50), dtype=np.uint8)
    spec = TargetSpec(
        "p", "profile", "float32", ("example", "bins", "tracks"), (4, 1), ("t",), bp_per_bin=10, offset_bp=offset
    )
    found = MotifScores(MOTIFS, True).around(codes, bin_grid(spec, 50), 8)
    for row in range(3):
        for b in range(4):
            first, last = max(0, offset + b * 10 - 10), offset + b * 10 + 20
            np.testing.assert_allclose(found[row, b], expected(codes[row], MOTIFS, True, first, last), rtol=1e-4)


def test_a_motif_longer_than_the_sequence_has_its_worst_score():
    found = MotifScores(MOTIFS, True).whole(np.zeros((1, 5), np.uint8))[0]
    worst = [log_odds(one).min(axis=1).sum() for one in MOTIFS]
    np.testing.assert_allclose(found[[0, 2, 3, 5]], [worst[0], worst[2]] * 2, rtol=1e-5)
    assert found[1] > worst[1]


def test_motifs_of_a_file_are_features(tmp_path):
    path = tmp_path / "m.txt"
    path.write_text(">MA1 one\nA [ 9 0 0 ]\nC [ 0 9 0 ]\nG [ 0 0 5 ]\nT [ 1 1 5 ]\n")
    baseline = Baseline(kind="pwm", dataset="d", motifs=path)
    features = Features({"sequence": toys.sequence_spec(20)}, baseline, True)
    codes = np.random.default_rng(0).integers(0, 4, (4, 20), dtype=np.uint8)
    one = Motif("MA1", "one", np.array([[0.9, 0, 0, 0.1], [0, 0.9, 0, 0.1], [0, 0, 0.5, 0.5]]))
    wanted = [expected(row, [one], True) for row in codes]
    np.testing.assert_allclose(features.whole({"inputs/sequence": codes}), wanted, rtol=1e-4, atol=1e-4)
    assert baseline.source_files() == [path]
