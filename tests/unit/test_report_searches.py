"""Searches and curves in the report: the numbers of their tables, figures that can be read, and what is left out."""

import base64
import re

import numpy as np
import pandas as pd
import pytest
from tests.unit.report_examples import RATE, write_searches, write_size_curve
from tests.unit.store_examples import write_toy_results

from seqmill.config.models import Report
from seqmill.evaluation.searches import _top, draw_trials
from seqmill.formats.drawing import _apart, log_axis, new_figure, say, short_number, style, svg
from seqmill.report.page import gather, render
from seqmill.report.searches import MAX_DRAWN, gather_curves, gather_searches
from seqmill.runtime.errors import DamageError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searches") / "results"
    write_toy_results(folder)
    return {**write_searches(folder), "curves": [write_size_curve(folder)]}


@pytest.fixture(scope="module")
def context(results):
    return gather(Report(title="Searches"), [], [], [], [], **results)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def section(context, name: str) -> str:
    return words(re.search(rf'<section aria-labelledby="{name}">.*?</section>', render(context), re.DOTALL)[0])


def test_nested_values_stand_beside_the_optimistic_ones(results, context):
    text = section(context, "searches")
    table = pd.read_csv(results["scores"][0] / "scores.tsv", sep="\t")
    for line in table.itertuples():
        values = (
            f"{line.nested_loss:.4f} {line.optimistic_loss:.4f} {line.nested_score:.3f} {line.optimistic_score:.3f}"
        )
        assert f"fold {line.fold} {values}" in text
    assert f"mean over folds {table['nested_loss'].mean():.4f} {table['optimistic_loss'].mean():.4f}" in text
    said = f"a nested score of {table['nested_score'].mean():.3f} on test parts that no trial has read"
    assert said in text and f"Search wide gave {said}" in section(context, "summary")


def test_settings_are_told_by_importance_and_trials_by_value(results, context):
    text, (search,) = section(context, "searches"), context["searches"]
    assert [line["key"] for line in search["settings"]] == [RATE, "settings.hidden", "training.batch_size"]
    ranges = ["1 × 10⁻⁵ to 1, logarithmic", "[64] or [128, 64]", "16 to 128, in steps of 16"]
    assert [line["range"] for line in search["settings"]] == ranges
    for fold, folder in zip(search["folds"], results["searches"], strict=True):
        table = pd.read_csv(folder / "trials.tsv", sep="\t")
        values = [line["value"] for line in fold["lines"]]
        assert values[:-1] == sorted(table["value"].dropna()) and np.isnan(values[-1])  # the failed one comes last
        whole = table[table["state"] == "complete"]
        best = whole.loc[whole["value"].idxmin()]
        assert fold["best"] == best["number"] and f"{best['number']} (chosen) {best['value']:.4f}" in text
        chosen = [line["chosen"][search["folds"].index(fold)] for line in search["settings"]]
        assert chosen == [f"{best[RATE]:.4g}", best["settings.hidden"], str(best["training.batch_size"])]
    assert "Trials in fold 0: 19 whole, 4 stopped early, 1 failed" in text
    assert "5 – failed 12" in text and "settings of basset: too large for 20 bp" in text


def test_without_scores_or_importance_the_rest_is_told(results):
    (search,) = gather_searches(results["searches"][:1], [])
    assert search["scores"] is None and search["trials"] == 24
    context = gather(Report(), [], [], [], [], searches=results["searches"][:1])
    context["searches"][0]["settings"] = [{**line, "share": None} for line in search["settings"]]
    context["searches"][0]["told"] = False
    text = section(context, "searches")
    assert "24 trials in fold 0, drawn by" in text and "nested loss" not in text
    assert "too few trials, or too alike, to tell which of them matter" in text
    assert "Search wide gave" not in section(context, "summary")


def test_figures_of_the_first_folds_only(tmp_path):
    write_toy_results(tmp_path / "results")
    nouns = write_searches(tmp_path / "results", folds=tuple("0123456"), trials=8)
    (search,) = gather_searches(**nouns)
    assert [bool(fold["figure"]) for fold in search["folds"]] == [True] * MAX_DRAWN + [False] * 2


def test_curves_have_sizes_runs_and_spreads(results, context):
    text, (curve,) = section(context, "curves"), context["curves"]
    summary = pd.read_csv(results["curves"][0] / "summary.tsv", sep="\t")
    for line in summary.itertuples():
        said = (
            f"{line.rows:,} {100 * line.fraction:g} % 2 {line.mean:.3f} {line.min:.3f} to {line.max:.3f} {line.std:.3f}"
        )
        assert said.replace("-", "−") in text
    assert "size: peaks (3 sizes, 2 folds, 1 seed)" in text
    auroc = summary.query("metric == 'auroc' and target == 'peaks'").set_index("rows")
    first = curve["targets"][0]["metrics"][0]
    assert first["sentence"] == (
        "From 2,000 to 8,000 training rows (25 % to 100 % of all) the mean AUROC goes from "
        f"{auroc.loc[2000, 'mean']:.3f} to {auroc.loc[8000, 'mean']:.3f}; runs of the larger size differ by "
        f"{auroc.loc[8000, 'std']:.3f}."
    )
    points = pd.read_csv(results["curves"][0] / "points.tsv", sep="\t").query("metric == 'auroc' and target == 'peaks'")
    for fold, run in points.groupby("fold"):
        values = " ".join(f"{value:.3f}" for value in run.sort_values("fraction")["value"])
        assert f"fold {fold}, seed 0 {values}" in text


def test_trials_are_part_of_the_time_that_was_spent(context):
    assert context["record"]["seconds"] == pytest.approx(1200, abs=60)  # two folds of ten minutes, and little else
    assert "and the networks of searches’ scores and of curves" in section(context, "record")


def test_methods_say_how_it_was_done(context):
    text = section(context, "methods")
    assert f"Settings of basset ({RATE}, settings.hidden, training.batch_size) were searched in each fold apart" in text
    assert "nested cross-validation; Varma and Simon" in text
    assert "networks were trained on 5 %, 25 %, 100 % of the training rows" in text


def test_a_page_without_searches_has_no_word_of_them(tmp_path):
    page = render(gather(Report(), [], [], [], []))
    assert not re.search("search|size of the training data|curve", page, re.IGNORECASE)


def test_a_changed_table_is_damage(tmp_path):
    write_toy_results(tmp_path / "results")
    nouns = write_searches(tmp_path / "results", folds=("0",), trials=8)
    with open(nouns["searches"][0] / "trials.tsv", "a") as handle:
        handle.write("9\tcomplete\t0.1\t1\t1\t1\t[1]\t\n")
    with pytest.raises(DamageError, match=r"trials\.tsv"):
        gather_searches(**nouns)
    curve = write_size_curve(tmp_path / "results")
    (curve / "summary.tsv").write_text("target\n")
    with pytest.raises(DamageError, match=r"summary\.tsv"):
        gather_curves([curve])


def test_bad_trials_leave_room_for_the_good_ones(tmp_path):
    values = pd.Series([1.0, 1.1, 1.2, 1.3, 900.0])
    assert _top(values) == pytest.approx(1 + 3 * 0.2)
    assert _top(pd.Series([1.0, 1.1, 1.2])) == 1.2  # nothing lies far above
    assert _top(pd.Series([0.5, 0.5])) == float("inf") and _top(pd.Series([1.0, 1.0, 2.0])) == 2.0
    table = pd.DataFrame({"number": range(5), "state": "complete", "value": values, "rate": 10.0 ** -np.arange(5)})
    draw_trials(tmp_path / "trials.svg", table, ["rate"], {})
    assert (tmp_path / "trials.svg").stat().st_size > 10_000


def test_logarithmic_axes_are_labelled_with_plain_numbers():
    assert _apart([40, 42, 400, 4000]) == [42, 400, 4000]
    assert [short_number(value) for value in (0.00001, 0.02, 950, 12_500)] == ["1e-5", "0.02", "950", "12.5k"]
    figure = new_figure(3, 2)
    axes = style(figure.subplots(1, 1))
    axes.plot([40, 400, 4000], [1, 2, 3])
    log_axis(axes, [40, 400, 4000])
    say(axes, x="rows")
    svg(figure)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["40", "400", "4k"]
    assert not [label for label in axes.get_xticklabels(minor=True) if label.get_text()]


def test_pictures_are_drawn_and_named(context):
    page = render(context)
    for name in ("Optimistic and nested values of search wide", "Metrics of size on peaks"):
        source = re.search(rf'<img src="data:image/svg\+xml;base64,([^"]+)" alt="{name}', page)[1]
        assert base64.b64decode(source).startswith(b"<?xml")
