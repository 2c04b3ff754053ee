"""Words with gaps, positions, GC and the control as features, against strings and loops."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit import training_toys as toys

from seqmill.baselines.control import control_at_bins, control_totals
from seqmill.baselines.features import Features, gc_features
from seqmill.baselines.words import cell_counts, gapped_patterns, kmer_patterns, number_words
from seqmill.config.baselines import Baseline
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec, TargetSpec

PAIR = {"A": "T", "C": "G", "G": "C", "T": "A", "-": "-"}


def turned(word: str) -> str:
    return "".join(PAIR[letter] for letter in reversed(word))


def gapped_words(text: str, k: int, word_bp: int, both: bool) -> dict[str, int]:
    """Every choice of ``k`` letters at most ``word_bp`` apart, gaps as dashes."""
    counts: dict[str, int] = {}
    for places in combinations(range(len(text)), k):
        if places[-1] - places[0] >= word_bp:
            continue
        word = "".join(text[p] if p in places else "-" for p in range(places[0], places[-1] + 1))
        if "N" not in word:
            word = min(word, turned(word)) if both else word
            counts[word] = counts.get(word, 0) + 1
    return counts


def codes_of(texts: list[str]) -> np.ndarray:
    return np.array([["ACGTN".index(letter) for letter in text] for text in texts], np.uint8)


def whole_counts(texts: list[str], patterns, both: bool) -> np.ndarray:
    codes = codes_of(texts)
    return cell_counts(codes, number_words(patterns, both), np.zeros(codes.shape[1], int), 1)[:, 0]


def word_of(pattern, letters) -> str:
    word = ["-"] * (pattern[-1] + 1)
    for offset, letter in zip(pattern, letters):
        word[offset] = letter
    return "".join(word)


def words_of_columns(patterns, both: bool) -> list[str]:
    """The word of each column, columns being in the order of patterns and words."""
    words = [word_of(pattern, letters) for pattern in patterns for letters in product("ACGT", repeat=len(pattern))]
    order = {word: number for number, word in enumerate(words)}
    kept = dict.fromkeys(min(word, turned(word), key=order.__getitem__) if both else word for word in words)
    return sorted(kept, key=order.__getitem__)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(1, 1), (2, 2), (2, 4), (3, 4), (3, 5)]),
    st.booleans(),
    st.lists(st.text("ACGTN", min_size=9, max_size=9), min_size=1, max_size=3),
)
def test_gapped_counts_are_those_of_words(size, both, texts):
    k, word_bp = size
    patterns = gapped_patterns(word_bp, k)
    columns = words_of_columns(patterns, both)
    found = whole_counts(texts, patterns, both)
    assert found.shape == (len(texts), len(columns))
    for row, text in zip(found, texts):
        counts = {word if not both else min(word, turned(word)): n for word, n in zip(columns, row) if n}
        assert counts == gapped_words(text, k, word_bp, both)


def test_a_range_of_word_lengths_stands_side_by_side():
    texts = ["ACGTNACCAGT", "TTTTTTTTTTT"]
    joined = np.concatenate([whole_counts(texts, kmer_patterns(k, k), True) for k in (1, 2, 3)], axis=1)
    assert np.array_equal(whole_counts(texts, kmer_patterns(1, 3), True), joined)


def features_of(kind: str, bp: int, both: bool = True, margin_bp: int = 0, **changes) -> Features:
    extent = {key: changes.pop(key) for key in ("central_bp", "context_bp") if key in changes}
    baseline = Baseline(kind=kind, dataset="d", **changes)
    return Features({"sequence": toys.sequence_spec(bp, margin_bp=margin_bp)}, baseline, both, **extent)


@pytest.mark.parametrize("kind", ["kmer", "gapped_kmer", "gc"])
def test_features_are_the_same_for_both_strands(kind):
    codes = np.random.default_rng(0).integers(0, 5, (20, 60), dtype=np.uint8)
    other = np.where(codes < 4, 3 - codes, 4)[:, ::-1]
    features = features_of(kind, 60)
    assert np.array_equal(
        features.whole({"inputs/sequence": codes}), features.whole({"inputs/sequence": other.astype(np.uint8)})
    )


def test_gc_and_cpg_by_hand():
    codes = codes_of(["CGCGATNN", "GGCCAATT", "AAAAAAAA", "NNNNNNNN"])
    found = features_of("gc", 8).whole({"inputs/sequence": codes})
    # CGCGAT: 4 of 6 bases, 2 CpG, 2 · 6 / (2 · 2)
    np.testing.assert_allclose(found, [[4 / 6, 2, 3], [0.5, 0, 0], [0, 0, 0], [0, 0, 0]], rtol=1e-6)


def test_gc_near_a_bin_is_that_of_the_piece():
    codes = np.random.default_rng(1).integers(0, 4, (5, 60), dtype=np.uint8)
    axes = ("example", "bins", "tracks")
    spec = TargetSpec("p", "profile", "float32", axes, (4, 1), ("t",), bp_per_bin=10, offset_bp=10)
    found = features_of("gc", 60, context_bp=10).binned({"inputs/sequence": codes}, spec)
    for b in range(4):
        piece = codes[:, b * 10 : b * 10 + 30]
        np.testing.assert_allclose(found[:, b, 0], ((piece == 1) | (piece == 2)).mean(axis=1), rtol=1e-6)
        after = codes[:, b * 10 + 1 : b * 10 + 31]  # a CpG counts where it starts
        cpg = (piece[:, : after.shape[1]] == 1) & (after == 2)
        assert np.array_equal(found[:, b, 1], cpg.sum(axis=1))


def test_gc_alone_sees_no_other_input():
    specs = {
        "sequence": toys.sequence_spec(8),
        "features": ArraySpec("input", "features", ("example", "n"), "float32", (3,), "features"),
    }
    assert Features(specs, Baseline(kind="gc", dataset="d"), True).keys == ["inputs/sequence"]
    assert Features(specs, Baseline(kind="kmer", dataset="d", k=1), True).width == 2 + 3
    assert gc_features(np.zeros((2, 20), np.float32)).tolist() == [[0, 0, 0]] * 2


def test_which_word_begins_where():
    found = features_of("onehot", 4, both=False, min_k=1, k=2).whole({"inputs/sequence": codes_of(["ACNT"])})[0]
    single, double = found[:16].reshape(4, 4), found[16:].reshape(3, 16)
    assert single.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert [np.flatnonzero(row).tolist() for row in double] == [[1], [], []]


def test_words_and_positions_stand_side_by_side():
    codes = codes_of(["ACNTAC", "GGTTAA"])
    both, words, places = (
        features_of(kind, 6, k=k, central_bp=4, **more).whole({"inputs/sequence": codes})
        for kind, k, more in (("kmer", 2, {"positions": True}), ("kmer", 2, {}), ("onehot", 1, {}))
    )
    assert np.array_equal(both, np.concatenate([words, places], axis=1))
    assert features_of("kmer", 6, k=2, central_bp=4, positions=True).width == both.shape[1] == 10 + 16


@pytest.mark.parametrize("kind", ["kmer", "onehot"])
def test_the_middle_of_a_window(kind):
    codes = np.random.default_rng(0).integers(0, 4, (3, 30), dtype=np.uint8)
    middle = features_of(kind, 20, both=False, k=1, margin_bp=5, central_bp=9).whole({"inputs/sequence": codes})
    alone = features_of(kind, 9, both=False, k=1).whole({"inputs/sequence": codes[:, 10:19]})
    assert np.array_equal(middle, alone)
    wide = features_of(kind, 20, both=False, k=1, central_bp=50)
    assert np.array_equal(
        wide.whole({"inputs/sequence": codes[:, :20]}),
        features_of(kind, 20, both=False, k=1).whole({"inputs/sequence": codes[:, :20]}),
    )


def test_the_control_is_a_feature_of_windows_and_bins():
    control = ArraySpec(
        "input", "control", ("example", "bins", "tracks"), "float32", (6, 1), "profile", bp_per_bin=5, offset_bp=10,
        tracks=("c",),
    )  # fmt: skip
    x = np.array([1, 2, np.nan, 4, 5, 6], np.float32).reshape(1, 6, 1)
    np.testing.assert_allclose(control_totals(x), [[np.log(19)]], rtol=1e-6)
    target = TargetSpec("p", "profile", "float32", ("example", "bins", "tracks"), (4, 1), ("t",), bp_per_bin=10)
    # bins 0-10 and 30-40: before the control, and its fifth and sixth value; between them 1, 2 and nothing, 4
    expected = np.log1p([0, 1.5, 2, 5.5])
    np.testing.assert_allclose(control_at_bins(x, control, target)[0, :, 0], expected, rtol=1e-6)
    specs = {"sequence": toys.sequence_spec(40), "control": control}
    features = Features(specs, Baseline(kind="kmer", dataset="d", k=1), True)
    batch = {"inputs/sequence": np.zeros((1, 40), np.uint8), "inputs/control": x}
    assert features.binned(batch, target).shape == (1, 4, 3) == (1, 4, features.width)
    np.testing.assert_allclose(features.binned(batch, target)[0, :, 2], expected, rtol=1e-6)
    assert features.whole(batch).shape == (1, 3)


def test_refused_features():
    genes = {"genotype": ArraySpec("input", "genotype", ("example", "genes"), "uint8", (3,), "genotype")}
    with pytest.raises(InputError, match="gc baseline: needs a sequence; the inputs are genotype"):
        Features(genes, Baseline(kind="gc", dataset="d"), True)
    with pytest.raises(InputError, match=r"gapped_kmer baseline: .* at most 10,000 \(a smaller k or word_bp\?\)"):
        features_of("gapped_kmer", 50, k=6, word_bp=10)
    spec = TargetSpec("p", "profile", "float32", ("example", "bins", "tracks"), (4, 1), ("t",), bp_per_bin=10)
    batch = {"inputs/sequence": np.zeros((1, 40), np.uint8)}
    for features in (features_of("onehot", 40), features_of("kmer", 40, positions=True)):
        with pytest.raises(InputError, match="target 'p' has bins: places in the window say nothing of them"):
            features.binned(batch, spec)
    specs = {"sequence": toys.sequence_spec(40), **genes}
    with pytest.raises(InputError, match="has bins: needs one sequence, at most a control; found sequence, genotype"):
        Features(specs, Baseline(kind="kmer", dataset="d"), True).binned(batch, spec)
