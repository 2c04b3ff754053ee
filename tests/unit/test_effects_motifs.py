"""Filters, marginal effects and spacing of a network built by hand: all answers are known."""

import numpy as np
import pytest
from tests.unit import motif_world as world

from seqmill.config.motifs import Marginal, Motifs, Spacing
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.motifs.backgrounds import Backgrounds, check_names, mean_interval, resolve, site_of
from seqmill.effects.motifs.build import build_motifs
from seqmill.effects.motifs.filters import filters_of
from seqmill.effects.motifs.marginal import marginal_effects
from seqmill.effects.motifs.spacing import spacing_effects
from seqmill.formats.motifs import meme_text
from seqmill.genome.sequence import dinucleotide_shuffle
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.motifs import MotifsReader
from seqmill.stores.verify import verify

WIDTH = len(world.SITE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motifs")
    dataset = world.write_dataset(folder)
    return folder, dataset, world.write_network(folder, dataset)


@pytest.fixture(scope="module")
def backgrounds(folders):
    _, dataset, model = folders
    return Backgrounds(Ensemble([model], world.PLAIN), DatasetReader(dataset), 0, None, "motifs.x")


def has_site(codes, site=world.SITE):
    windows = np.lib.stride_tricks.sliding_window_view(codes, WIDTH, axis=1)
    return (windows == site).all(axis=2).any(axis=1)


@pytest.mark.slow
def test_a_filter_is_made_of_what_activates_it(folders):
    _, dataset, model = folders
    found = filters_of(model, dataset)
    rows = world.sequences()[20:50]  # the test part
    windows = np.lib.stride_tricks.sliding_window_view(rows, WIDTH, axis=1)
    assert len(found) == 1
    assert found[0].sites == (windows == world.SITE).all(axis=2).sum() >= 15
    assert found[0].largest == pytest.approx(0.5)
    np.testing.assert_array_equal(found[0].motif.pwm, np.eye(4)[world.SITE])


def test_backgrounds_are_shuffled_test_rows_and_hold_no_n(backgrounds):
    codes, middle = backgrounds.draw(40, 0)
    rows = [row for row in world.sequences()[20:50] if (row < 4).all()]
    assert codes.shape == (40, world.BP) and (codes < 4).all() and (middle == world.BP // 2).all()

    def pairs(row):
        return np.bincount(4 * row[:-1].astype(int) + row[1:], minlength=16).tolist()

    for i, row in enumerate(codes):
        assert pairs(row) == pairs(rows[i % len(rows)])
    again, _ = backgrounds.draw(40, 0)
    other, _ = backgrounds.draw(40, 1)
    np.testing.assert_array_equal(codes, again)
    assert (codes != other).any()
    assert (dinucleotide_shuffle(rows[0], np.random.default_rng([0, 0, 0])) == codes[0]).all()


def test_a_motif_alone_does_what_the_network_was_built_to_do(backgrounds):
    section = Marginal(motifs=["site"], backgrounds=50)
    motifs = {"site": world.sharp(world.SITE), "other": world.sharp(world.OTHER)}
    table = marginal_effects(backgrounds, motifs, section).set_index(["motif", "strand"])
    codes, _ = backgrounds.draw(50, 0)
    already = has_site(codes)
    expected = world.GAIN * (1 - already.mean())
    line = table.loc[("site", "+")]
    assert line["effect"] == pytest.approx(expected, abs=1e-4)
    assert line["without"] == pytest.approx(world.CONSTANT + world.GAIN * already.mean(), abs=1e-4)
    assert line["ci_low"] <= line["effect"] <= line["ci_high"]
    assert abs(table.loc[("site", "-"), "effect"]) < 0.2 * world.GAIN  # a half of a palindrome it is not
    assert abs(table.loc[("other", "+"), "effect"]) < 0.2 * world.GAIN
    assert set(table["target"]) == {"bound"} and set(table["track"]) == {"tf"}


def test_sampled_sites_follow_the_matrix():
    motif = world.sharp(world.SITE)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(site_of(motif, "sampled", rng), world.SITE)
    flat = type(motif)("flat", "", np.tile([0.1, 0.2, 0.3, 0.4], (4000, 1)))
    share = np.bincount(site_of(flat, "sampled", rng), minlength=4) / 4000
    np.testing.assert_allclose(share, [0.1, 0.2, 0.3, 0.4], atol=0.03)


def test_two_sites_of_a_maximum_do_not_add_up(backgrounds):
    """The network takes the maximum: a second site does nothing, so co-operation is minus what one does alone."""
    section = Spacing(pairs=[["site", "site"], ["site", "lost"]], distances_bp=[0, 20], backgrounds=30)
    table = spacing_effects(backgrounds, {"site": world.sharp(world.SITE)}, section)
    assert len(table) == 2 * 4  # pairs whose motif is not there are left out
    codes, _ = backgrounds.draw(30, 1)
    gain = world.GAIN * (1 - has_site(codes).mean())
    lines = table.set_index(["distance_bp", "orientation"])
    for distance in (0, 20):
        both = lines.loc[(distance, "++")]
        assert both["effect_a"] == both["effect_b"] == pytest.approx(gain, abs=1e-4)
        assert both["effect_both"] == pytest.approx(gain, abs=1e-4)
        assert both["cooperation"] == pytest.approx(-gain, abs=1e-4)
        assert lines.loc[(distance, "+-"), "effect_both"] == pytest.approx(gain, abs=0.2)


def test_motifs_too_wide_for_a_background_are_refused(backgrounds):
    with pytest.raises(InputError, match=r"motif long \(70 bp\) is wider"):
        marginal_effects(backgrounds, {"long": world.sharp(np.zeros(70, np.uint8))}, Marginal(motifs=["long"]))
    section = Spacing(pairs=[["site", "site"]], distances_bp=[50], backgrounds=10)
    with pytest.raises(InputError, match="64 bp are longer than a background"):
        spacing_effects(backgrounds, {"site": world.sharp(world.SITE)}, section)


def test_interval_of_a_mean_is_students():
    from scipy.stats import ttest_1samp

    values = np.random.default_rng(0).normal(2, 3, (25, 2))
    mean, low, high = mean_interval(values)
    peer = ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose([low, high], [peer.low, peer.high])
    np.testing.assert_allclose(mean, values.mean(axis=0))


def test_names_are_of_patterns_then_of_the_database():
    known = [type(world.sharp(world.SITE))("MA1", "Ctcf", np.eye(4)), world.sharp(world.OTHER, "MA2")]
    found = [world.sharp(world.SITE, "pos_0")]
    assert list(resolve(["pos_0", "CTCF", "MA2", "pos_7"], found, known)) == ["pos_0", "CTCF", "MA2"]
    check_names(["ctcf", "MA2"], known, "here")
    with pytest.raises(InputError, match="'GATA1' is not in the database of 2: Ctcf, MA2"):
        check_names(["GATA1"], known, "here")


@pytest.fixture(scope="module")
def section(folders):
    folder, *_ = folders
    database = folder / "known.meme"
    database.write_text(meme_text([world.sharp(world.OTHER, "MA2"), world.sharp(world.SITE[::-1], "MA3"),
                                   world.sharp(3 - world.SITE[::-1], "MA1")]))  # fmt: skip
    return Motifs.model_validate(
        {
            "model": "net", "filters": True, "database": database, "matches": 1,
            "marginal": {"motifs": ["MA1", "MA2"], "backgrounds": 12},
            "spacing": {"pairs": [["MA1", "MA2"]], "distances_bp": [0, 5], "backgrounds": 10},
        }
    )  # fmt: skip


def build(folders, section, out):
    _, dataset, model = folders
    build_motifs(out, name="mine", section=section, models=[model], prediction=world.PLAIN, dataset=dataset,
                 state=out.with_name(".state"))  # fmt: skip
    return MotifsReader(out)


def test_a_store_of_motifs_of_a_network(folders, section):
    folder = folders[0]
    reader = build(folders, section, folder / "motifs/mine")
    filters = reader.table("filters")
    assert list(filters["consensus"]) == ["GTCACCA"] and list(filters["match"]) == ["MA1"]
    assert reader.table("matches").iloc[0]["strand"] == "-"
    assert list(reader.known()) == ["MA1"]
    np.testing.assert_allclose(reader.motifs()["filter_0"].pwm, np.eye(4)[world.SITE])
    assert len(reader.table("marginal")) == 4 and len(reader.table("spacing")) == 8
    assert reader.table("patterns").empty and reader.seqlets().empty
    assert reader.attrs["model"] == "net" and reader.attrs["database"]["motifs"] == 3
    assert verify(folder / "motifs/mine") == []
    again = build(folders, section, folder / "again/motifs/mine")
    assert again.marker.files == reader.marker.files


def test_what_cannot_be_asked_for():
    cases = [
        ({}, "either 'map'"),
        ({"map": "m", "model": "n"}, "either 'map'"),
        ({"model": "n"}, "asks for nothing"),
        ({"map": "m", "modisco": None}, "asks for nothing"),
        ({"model": "n", "marginal": {}}, "needs the search of a map"),
        ({"model": "n", "filters": True, "spacing": {"pairs": [["pos_0", "pos_1"]]}}, "searches none"),
        ({"map": "m", "spacing": {"pairs": [["pos_0", "CTCF"]]}}, "needs a 'database'"),
        ({"map": "m", "spacing": {"pairs": [["pos_0", "pos_1"]], "distances_bp": [3, -1]}}, "not below 0"),
        ({"map": "m", "spacing": {"pairs": [["pos_0"]]}}, "at least 2 items"),
    ]
    for values, words in cases:
        with pytest.raises(ValueError, match=words):
            Motifs.model_validate(values)


def test_a_name_that_the_database_lacks_is_told_before_anything_is_computed(folders, section, tmp_path):
    wrong = section.model_copy(update={"marginal": Marginal(motifs=["GATA1"])})
    with pytest.raises(InputError, match=r"motifs\.mine: motif 'GATA1' is not in the database of 3"):
        build(folders, wrong, tmp_path / "mine")
    assert not list(tmp_path.glob("mine*"))
