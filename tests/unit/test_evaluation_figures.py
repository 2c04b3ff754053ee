"""Figures of the evaluation: the numbers in them, which there are, and that names from sheets are only text."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve
from tests.unit.evaluation_toys import binary, rows_of, spec, write

from seqmill.evaluation.curves import GRID, curve
from seqmill.evaluation.profiles import pick_windows
from seqmill.evaluation.tables import evaluate
from seqmill.runtime.marker import read_marker, verify_folder
from seqmill.stores.specs import TargetSpec

pytestmark = pytest.mark.slow

N = 240
NAME = 'site $\\frac{1}{2}$ <b>&"'


@pytest.mark.parametrize("tied", [False, True])
def test_curves_are_those_of_scikit_learn(tied):
    rng = np.random.default_rng(1)
    truth = (rng.random(300) < 0.3).astype(int)
    score = np.round(rng.normal(size=300) + truth, 1 if tied else 12)
    rate, precision = curve(truth, score)
    wrong, right, _ = roc_curve(truth, score, drop_intermediate=False)
    assert rate[1:] == pytest.approx(np.interp(GRID, wrong, right)[1:])
    each, recall, _ = precision_recall_curve(truth, score)
    for at, found in zip(GRID[1:], precision[1:]):
        assert found == each[np.flatnonzero(recall >= at)[-1]]  # scikit-learn goes from low cut-offs to high ones
    assert precision[0] == precision[1]


def test_curves_need_both_classes():
    assert curve(np.zeros(4), np.arange(4.0)) is None
    assert curve(np.ones(4), np.arange(4.0)) is None
    assert curve(np.zeros(0), np.zeros(0)) is None
    rate, precision = curve(np.array([1, 0]), np.array([2.0, 1.0]))
    assert set(rate) == set(precision) == {1.0}


def test_windows_are_picked_by_percentile():
    r = np.linspace(-1, 1, 101)
    assert pick_windows(r) == [(90, 90), (50, 50), (10, 10)]
    assert pick_windows(np.append(r, np.nan)) == pick_windows(r)
    assert pick_windows(np.full(3, np.nan)) == []


def everything(folder):
    """Two networks (one with an ensemble) and a baseline on targets of four kinds, in two folds."""
    level = TargetSpec("level", "quantity", "float32", ("example",), ())
    shape = TargetSpec("s", "profile", "float32", ("example", "bins", "tracks"), (12, 2), ("x", "y"), bp_per_bin=50)
    specs = {NAME: spec("binary", ["a $_1", "b", "c"], dtype="uint8"), "level": level, "signal": shape}
    specs["reads"] = spec("count", ["h", "k"])
    paths = []
    for fold in "01":
        rows = rows_of(N).assign(source_row=np.arange(N) + N * int(fold))
        fixed = np.random.default_rng(int(fold))
        values, counts = fixed.normal(size=N).astype(np.float32), fixed.poisson(9, (N, 2)).astype(np.float32)
        signal = fixed.poisson(fixed.gamma(1, 2, (N, 12, 2))).astype(np.float32)
        for model, kind, seed in (("deep", "network", 0), ("deep", "network", "mean"), ("kmer", "baseline", 0)):
            rng = np.random.default_rng([ord(model[0]), int(fold), seed == "mean"])
            stored = {
                NAME: binary(rng, 1.0 if kind == "network" else 0.4, N, truth_seed=int(fold)),
                "level": (values + rng.normal(size=N), values, np.ones(N, bool)),
                "signal": (signal + rng.gamma(1, 1, signal.shape), signal, np.ones(signal.shape, bool)),
                "reads": (counts * rng.gamma(5, 0.2, counts.shape), counts, np.ones(counts.shape, bool)),
            }
            paths.append(write(folder, stored, specs, model=model, kind=kind, fold=fold, seed=seed, rows=rows))
    return paths


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    paths = everything(folder)
    for out in ("first", "again"):
        evaluate(folder / out / "toy", name="toy", predictions=paths)
    return folder


def test_each_kind_has_its_figures_and_the_marker_lists_them(drawn):
    figures = read_marker(drawn / "first/toy").attrs["figures"]
    assert [(figure["target"], figure["what"]) for figure in figures] == [
        (NAME, "curves"),
        (NAME, "tracks"),
        ("level", "scatter"),
        ("signal", "profiles"),
        ("signal", "tracks"),
        ("reads", "scatter"),
        ("reads", "tracks"),
    ]
    assert {figure["file"] for figure in figures} == {
        str(path.relative_to(drawn / "first/toy")) for path in (drawn / "first/toy/figures").iterdir()
    }
    for figure in figures:
        assert set(figure) == {"file", "what", "target", "title", "caption", "alt"}
        assert len(figure["caption"]) > 60
    tracks = [figure["caption"] for figure in figures if figure["what"] == "tracks"]
    assert all(caption.startswith("Each mark is one track: deep (seeds averaged) against kmer.") for caption in tracks)
    table = pd.read_csv(drawn / "first/toy/metrics.tsv", sep="\t")
    for figure in figures:
        if figure["what"] == "tracks":  # bars are spoken of where there are some
            lines = table[(table["target"] == figure["target"]) & (table["over"] == "track")]
            assert ("Bars: 95 %" in figure["caption"]) == bool(lines["ci_low"].notna().any()), figure
    assert verify_folder(drawn / "first/toy") == []


def test_figures_are_the_same_bytes_again(drawn):
    first, again = (read_marker(drawn / out / "toy") for out in ("first", "again"))
    assert first.files == again.files
    assert first.digest == again.digest


def test_figures_are_plain_svg(drawn):
    """No script, no date, no address but those of the standards, and every element known."""
    for path in (drawn / "first/toy/figures").iterdir():
        tags = {element.tag.split("}")[1] for element in ElementTree.parse(path).iter()}
        drawing = {"svg", "g", "defs", "path", "use", "clipPath", "rect", "style"}
        assert tags - drawing <= {"metadata", "RDF", "Work", "type", "format", "creator", "Agent", "title"}
        text = path.read_text()
        assert "href" not in text.replace('xlink:href="#', "").replace("xmlns:xlink", "")
        assert "<dc:date>" not in text


def test_a_metric_without_values_has_no_panel(tmp_path):
    """All labels are yes: average precision is 1 for both, AUROC does not exist."""
    predicted, truth, mask = binary(np.random.default_rng(0), 1.0, N)
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    values = {"peaks": (predicted, np.ones_like(truth), mask)}
    net = write(tmp_path, values, specs, rows=rows_of(N))
    base = write(tmp_path, values, specs, rows=rows_of(N), model="base", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[net, base])
    assert [figure["alt"] for figure in read_marker(tmp_path / "toy").attrs["figures"]] == [
        "ROC and precision-recall curves of net, base on peaks.",
        "AUPRC of each track of peaks: net against base.",
    ]


def test_no_labels_no_figures(tmp_path):
    predicted, truth, mask = binary(np.random.default_rng(0), 1.0, N)
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    for name, rows in (("none", 0), ("masked", N)):
        values = {"peaks": (predicted[:rows], truth[:rows], np.zeros_like(mask[:rows]))}
        path = write(tmp_path / name, values, specs, rows=rows_of(N)[:rows])
        evaluate(tmp_path / f"out_{name}", name="toy", predictions=[path])
        listed = read_marker(tmp_path / f"out_{name}").attrs["figures"]
        assert all((tmp_path / f"out_{name}" / figure["file"]).is_file() for figure in listed)
    assert read_marker(tmp_path / "out_none").attrs["figures"] == []
