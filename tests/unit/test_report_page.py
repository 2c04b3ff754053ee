"""The report page: what it says is what is in the stores, and no name in it can do anything."""

import base64
import hashlib
import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.unit.cli_world import config, write_world
from tests.unit.report_examples import write_results
from tests.unit.report_payloads import PAYLOADS, VOID, contrast, poisoned

from seqmill.cli import main
from seqmill.config.models import Report
from seqmill.report.judged import _guessing
from seqmill.report.page import gather, render, write_report
from seqmill.report.words import number
from seqmill.runtime.errors import DamageError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory, report_nouns):
    folder = tmp_path_factory.mktemp("page")
    write_report(folder / "index.html", report=Report(title="A toy"), **report_nouns)
    return folder, report_nouns


@pytest.fixture(scope="module")
def context(report_context):
    return report_context


class Skeleton(HTMLParser):
    """Tags with the names of their attributes, and the addresses and hidden text that could run."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.open, self.text = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "style", "srcdoc")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_page_is_well_formed_and_needs_nothing_else(results):
    page = (results[0] / "index.html").read_text()
    skeleton = Skeleton(page)
    assert skeleton.open == []
    assert {address.split(":")[0] for address in skeleton.addresses if not address.startswith("#")} == {"data"}
    forbidden = {"script", "iframe", "object", "embed", "link", "base", "form", "input", "svg", "template", "audio"}
    assert not forbidden & {tag for tag, *_ in skeleton.tags}
    assert not any(name.startswith("on") or name == "style" for _, *names in skeleton.tags for name in names)
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {a[1:] for a in skeleton.addresses if a.startswith("#")} <= set(ids)


def test_policy_forbids_script_and_fits_the_style(results):
    page = (results[0] / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ")[:3] == ["default-src 'none'", f"style-src 'sha256-{digest}'", "img-src data:"]
    assert "script-src" not in policy
    assert "unsafe" not in policy


def test_headings_are_in_order_and_tables_have_scopes(context):
    page = render(context)
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert not re.findall(r"<th(?![^>]*scope=)[ >]", page)
    assert all("aria-label" in part for part in re.findall(r'<div class="scroll"[^>]*>', page))
    # the first thing that takes the focus leads to the content
    assert re.search(r"<body>\s*<a class=\"skip\" href=\"#main\">", page)
    assert re.findall(r'<h2 id="([^"]+)"', page) == re.findall(r'<li><a href="#([^"]+)"', page)


def test_a_benchmark_of_two_datasets_and_three_networks(tmp_path):
    """Cards are grouped by dataset and target, and figures with many runs show their means."""
    one = write_results(tmp_path / "results", networks=("basset", "danq", "bpnet"), baselines=("kmer", "gc"))
    nouns = {key: folders * (1 if key == "models" else 2) for key, folders in one.items()}
    context = gather(Report(title="Benchmark"), **nouns)
    cards = [
        (card["dataset"], card["target"], [net["run"] for net in card["networks"]]) for card in context["headlines"]
    ]
    runs = [f"{name}, mean of 2 runs" for name in ("basset", "bpnet", "danq")]
    assert cards == [("toy", target, runs) for target in ("peaks", "level")] * 2
    assert all(len(network["rows"]) == 2 for card in context["headlines"] for network in card["networks"])
    page = render(context)
    assert Skeleton(page).open == []
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_image_says_what_it_shows(results):
    page = (results[0] / "index.html").read_text()
    images = re.findall(r"<img [^>]*>", page)
    # training; curves or scatter, and tracks; metrics and differences of four and three metrics
    assert len(images) == 1 + 2 * 2 + 7 + 7
    assert all(len(re.search(r'alt="([^"]*)"', image)[1]) > 20 for image in images)


def test_numbers_of_the_tables_are_on_the_page(results):
    folder, nouns = results
    text = " ".join(Skeleton((folder / "index.html").read_text()).text)
    metrics = pd.read_csv(nouns["evaluations"][0] / "metrics.tsv", sep="\t")
    for line in metrics[(metrics["fold"] == "all") | (metrics["over"] != "track")].itertuples():
        assert f"{line.value:.3f}".replace("-", "−") in text
        assert f"{line.ci_low:.3f} to {line.ci_high:.3f}".replace("-", "−") in text
    for line in pd.read_csv(nouns["evaluations"][0] / "comparison.tsv", sep="\t").itertuples():
        assert f"{line.difference:.3f}" in text
        assert line.verdict in text
        assert f"{line.tracks_better} of {line.tracks} tracks" in text
    assert "took 3 min of computing" in text  # two trainings of 100.2 s and little else
    for words in (
        "network’s AUROC",
        "baseline’s AUROC",
        "basset, fold 0, seed 0",
        "without the start-up of their jobs",
    ):
        assert words in text
    assert "50 examples of 20 bp with 2 bp on each side for shifts" in text


@pytest.mark.parametrize(("best", "limited"), [(2, False), (3, True)])
def test_a_kept_pass_that_is_the_last_is_told(results, tmp_path, best, limited):
    from seqmill.stores.model import write_model

    history = [{"epoch": i, "step": i, "train_loss": 1.0, "valid_loss": 2.0 if i == best else 3.0} for i in (1, 2, 3)]
    info = {"architecture": "dense", "fold": "0", "seed": 4, "best_epoch": best, "valid_loss": 2.0, "steps": 3}
    info |= {"device": "cpu", "xla_threads": 1, "dataset": "toy", "note": "the loss <b>never</b> fell"}
    write_model(tmp_path / "models/net/0.4", "net", {"w": np.zeros(1, np.float32)}, info, history)
    write_report(tmp_path / "index.html", report=Report(), **{**results[1], "models": [tmp_path / "models/net/0.4"]})
    page = (tmp_path / "index.html").read_text()
    assert ("more <code>max_epochs</code> may help" in page) == limited
    assert "Fold 0, seed 4: the loss &lt;b&gt;never&lt;/b&gt; fell." in page


def test_guessing_is_half_or_the_share_of_positives():
    columns = [pd.DataFrame({"prevalence": [0.1, 0.3]}), pd.DataFrame({"prevalence": [0.2, 0.4]})]
    assert _guessing("auroc", columns) == 0.5
    assert _guessing("auprc", columns) == pytest.approx(0.25)
    assert _guessing("pearson", columns) == 0
    assert _guessing("accuracy", columns) is None


def test_summary_on_the_terminal_has_the_numbers_of_the_tables(results, capsys):
    folder = results[1]["evaluations"][0].parents[1]
    table = pd.read_csv(folder / "evaluation/toy/comparison.tsv", sep="\t")
    first = table[(table["target"] == "peaks") & (table["metric"] == "auroc") & (table["fold"] == "all")].iloc[0]
    assert main(["summary", str(folder)]) == 0
    assert (
        f"toy: peaks: basset is better than kmer: AUROC, mean of 3 tracks: {first['network_value']:.3f} vs "
        f"{first['baseline_value']:.3f}, difference {first['difference']:+.3f} "
        f"[{first['ci_low']:+.3f}, {first['ci_high']:+.3f}] over 24 blocks (2 runs)\n"
    ) in capsys.readouterr().out
    assert main(["summary", "--json", str(folder)]) == 0
    found = json.loads(capsys.readouterr().out)["comparisons"]
    assert sorted((row["target"], row["fold"], row["metric"]) for row in found) == [
        ("level", "all", "pearson"),
        ("peaks", "all", "auroc"),
    ]


def test_page_is_the_same_again(results, tmp_path):
    folder, nouns = results
    write_report(tmp_path / "again.html", report=Report(title="A toy"), **nouns)
    assert (tmp_path / "again.html").read_bytes() == (folder / "index.html").read_bytes()


@pytest.fixture(scope="module")
def harmless(context):
    return Skeleton(render(poisoned(context, "harmless"))).tags


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_names_stay_text(context, harmless, payload):
    """Every string of what the page shows is replaced; the tree of tags must not change."""
    hostile = Skeleton(render(poisoned(context, payload)))
    assert hostile.tags == harmless
    assert hostile.open == []
    for address in hostile.addresses:
        assert address.startswith(("#", "data:image/svg+xml;base64,", "data:image/png;base64,"))


def test_hostile_names_in_figures_are_drawn_not_parsed():
    from seqmill.report.figures import Line, dot_plot

    for payload in PAYLOADS:
        uri = dot_plot([Line(payload, 0.5, 0.4, 0.6)], payload)
        svg = base64.b64decode(uri.partition(",")[2]).decode()
        inside = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
        assert not re.search(r"<(script|foreignObject|a|image|iframe)\b|\son\w+=|javascript:", inside, re.IGNORECASE)


def test_nouns_without_runs_or_evaluation(results, tmp_path):
    nouns = {**results[1], "evaluations": [], "models": [], "predictions": []}
    write_report(tmp_path / "data.html", report=Report(), **nouns)
    page = (tmp_path / "data.html").read_text()
    assert 'id="datasets"' in page
    assert 'id="training"' not in page
    assert "seqmill report" in page


def test_a_missing_noun_is_named_and_nothing_is_written(tmp_path):
    nothing = {"evaluations": [], "datasets": [tmp_path / "gone.zarr"], "models": [], "predictions": []}
    with pytest.raises(DamageError, match=r"gone\.zarr/marker\.json: missing"):
        write_report(tmp_path / "index.html", report=Report(), **nothing)
    assert list(tmp_path.iterdir()) == []


def test_genomes_and_tracks_of_a_dataset_are_told(tmp_path, monkeypatch):
    """From a configuration to the page: file, state, what the reader counted, and a track that could not be read."""
    monkeypatch.chdir(write_world(tmp_path / "work"))
    sheet = Path("data/tracks.tsv")
    sheet.write_text(sheet.read_text() + "broken\tdata/broken.bed\tbed\n")
    Path("data/broken.bed").write_text("chr1\t9\t3\n")
    values = config()
    values["tracks"]["on_bad_track"] = "drop"
    values["datasets"]["peaks"]["targets"]["bound"]["tracks"] = ["ctcf", "broken"]
    Path("config/config.yaml").write_text(json.dumps(values))
    assert main(["dataset", "peaks"]) == 0
    told = {"genomes": {"toy": {"file": "${ROOT}/toy.fa", "licence": "CC0"}}, "tracks": {"ctcf": {"licence": "CC BY"}}}
    found = gather(Report(), [], [Path("results/datasets/peaks.zarr")], [], [], written=told)["sources"]
    assert found["genomes"][0]["licence"] == "CC0"
    assert [track["licence"] for track in found["tracks"]] == ["", "CC BY"]
    assert [(g["name"], g["file"], g["contigs"], g["bp"]) for g in found["genomes"]] == [
        ("toy", "${ROOT}/toy.fa", 3, 120_000)
    ]
    states = [(track["name"], track["state"], track["file"]) for track in found["tracks"]]
    assert states == [("broken", "dropped", "data/broken.bed"), ("ctcf", "ok", "data/ctcf.bed")]
    assert "data/broken.bed:1" in found["tracks"][0]["reason"]
    assert found["tracks"][1]["digest"] == hashlib.sha256(Path("data/ctcf.bed").read_bytes()).hexdigest()
    shutil.rmtree("results/tracks/ctcf.zarr")
    found = gather(Report(), [], [Path("results/datasets/peaks.zarr")], [], [])["sources"]
    assert found["absent"] == [{"name": "tracks/ctcf.zarr", "rebuilt": False}]


def test_density_is_that_of_the_labels(results):
    from seqmill.report.collect import dataset
    from seqmill.stores.dataset import DatasetReader

    folder = results[1]["datasets"][0]
    reader = DatasetReader(folder)
    rows, values, mask = (
        reader.rows(),
        reader.read("targets/peaks", 0, reader.n),
        reader.read("mask/peaks", 0, reader.n),
    )
    for line in dataset(folder)["targets"][0]["density"]:
        inside = (rows["pool"] == line["pool"]).to_numpy()
        assert line["mean"] == pytest.approx(values[inside][mask[inside]].mean())
        assert line["missing"] == pytest.approx(1 - mask[inside].mean())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.81234, "0.812"),
        (-0.006, "−0.006"),
        (1234567, "1,234,567"),
        (0.0001, "0.0001"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_numbers_in_words(value, text):
    assert number(value) == text


def test_colours_of_text_have_the_contrast_of_wcag_aa():
    css = Path(__file__).parents[2].joinpath("src/seqmill/report/templates/page.css").read_text()
    themes = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", theme))
        for name in ("ink", "soft", "link", "good", "bad", "even", "warn"):
            for ground in ("paper", "tint"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        for ground in ("paper", "tint"):  # borders of controls
            assert contrast(colours["edge"], colours[ground]) >= 3, ground
