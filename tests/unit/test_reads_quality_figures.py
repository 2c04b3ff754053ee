"""Pictures of quality: which are drawn, what they show, and that the same numbers give the same bytes."""

import hashlib

import numpy as np
import pytest
from matplotlib.image import imread
from tests.unit.quality_examples import atac, chip, rna
from tests.unit.report_payloads import PAYLOADS

from seqmill.reads import quality_figures
from seqmill.reads.quality_figures import FIGURES, draw


def lines_of(figure):
    """Label to x and y of the lines of the main axes."""
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in figure.axes[0].get_lines()}


def test_what_is_there_is_drawn(tmp_path):
    assert draw(tmp_path / "a", atac()) == ["fragment_sizes.png", "tss_profile.png", "agreement.png"]
    assert draw(tmp_path / "b", chip()) == ["cross_correlation.png"]
    assert draw(tmp_path / "c", rna()) == []
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert names == ["a/agreement.png", "a/fragment_sizes.png", "a/tss_profile.png", "b/cross_correlation.png"]
    for path in tmp_path.rglob("*.png"):
        pixels = imread(path)
        assert pixels.shape[:2] == (510, 810)
        assert np.isclose(pixels[0, 0, :3], 1).all()  # on white, also on a dark page
        assert pixels[..., :3].min() < 0.3


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    digests = []
    for part in ("one", "two"):
        draw(
            tmp_path / part,
            atac() | {"experiment": "a $\\frac{1}{2$ name"} | {"cross_correlation": chip()["cross_correlation"]},
        )
        digests.append(
            {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / part).iterdir()}
        )
    assert digests[0] == digests[1]
    assert set(digests[0]) == set(FIGURES)
    raw = b"".join(path.read_bytes() for path in (tmp_path / "one").iterdir())
    assert b"Software" not in raw and b"atplotlib" not in raw and b"tIME" not in raw


def test_sizes_are_shares_of_all_fragments():
    counts = np.zeros(1001, int)
    counts[[50, 200, 900]] = 60, 30, 10
    drawn = lines_of(quality_figures._fragment_sizes({"fragment_sizes": {"1": counts.tolist(), "2": [0] * 1001}}))
    x, y = drawn["replicate 1"]
    assert (x[50], y[50], y[200], x[-1]) == (50, 60, 30, 800)
    assert "replicate 2" not in drawn  # it has none


def test_starts_without_background_are_not_drawn():
    profile = {"positions": [-5.0, 5.0], "values": {"1": [0, 4.0], "2": [1.0, 3.0]}, "noise": {"1": 0, "2": 0.5}}
    drawn = lines_of(quality_figures._tss_profile({"tss_profile": profile}))
    assert "replicate 1" not in drawn
    assert list(drawn["replicate 2"][1]) == [1.0, 3.0]
    assert quality_figures._tss_profile({"tss_profile": profile | {"noise": {"1": 0, "2": 0}}}) is None


def test_fragment_length_is_marked_on_the_curve():
    figure = quality_figures._cross_correlation(chip())
    curve = chip()["cross_correlation"]["1"]
    marks = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    assert [(mark.get_xdata()[0], mark.get_ydata()[0]) for mark in marks] == [(180, curve["values"][180])]


@pytest.mark.parametrize(("spread", "scale"), [(1.0, "linear"), (3.0, "symlog")])
def test_replicates_on_axes_that_fit_their_values(spread, scale):
    rng = np.random.default_rng(0)
    x = np.append(rng.lognormal(0, spread / 3 if scale == "linear" else spread, 500), 0.0)
    agreement = {"bin_bp": 1000, "pairs": [["1", "2", 0.5, 0.4, 501]]}
    agreement["scatter"] = {"replicates": ["1", "2"], "x": x.tolist(), "y": x[::-1].tolist()}
    axes = quality_figures._agreement({"agreement": agreement}).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == (scale, scale)
    assert axes.get_title(loc="left") == "signal in bins of 1,000 bp, r = 0.500"
    dots = axes.get_lines()[1]
    assert np.array_equal(dots.get_xdata(), x) and np.array_equal(dots.get_ydata(), x[::-1])


def test_many_replicates_and_hostile_names(tmp_path):
    sizes = {str(number): atac()["fragment_sizes"]["1"] for number in range(30)}
    figure = quality_figures._fragment_sizes({"fragment_sizes": sizes, "experiment": " ".join(PAYLOADS)})
    assert len(lines_of(figure)) == 12
    assert len(figure.axes[0].get_title(loc="left")) < 62
    draw(tmp_path, {"fragment_sizes": sizes, "experiment": " ".join(PAYLOADS)})
    assert (tmp_path / "fragment_sizes.png").is_file()


def test_nothing_and_zeros_draw_nothing(tmp_path):
    empty = {"fragment_sizes": {"1": [0] * 1001}, "tss_profile": None, "agreement": {"scatter": None}}
    assert draw(tmp_path, empty) == draw(tmp_path, {}) == []
    assert list(tmp_path.iterdir()) == []


def test_every_figure_says_how_to_read_it():
    assert all(title and len(reading) > 60 for _, title, reading in FIGURES.values())
