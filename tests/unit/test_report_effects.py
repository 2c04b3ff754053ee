"""Maps, truth, variants and methods on the report page."""

import ast
import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.unit.report_effects import TRACKS, write_map, write_world
from tests.unit.report_examples import variant_table
from tests.unit.report_payloads import PAYLOADS, contrast

from seqmill.config.augment import Augment
from seqmill.config.models import Report, Training
from seqmill.evaluation.truth import COLUMNS
from seqmill.report.logo import COLOURS
from seqmill.report.maps import gather_map, pack
from seqmill.report.methods import PAPERS, _baseline, _changes, _step
from seqmill.report.page import render, safe_json, write_report
from seqmill.report.truth import gather_truth
from seqmill.report.variants import columns_of
from seqmill.stores.maps import MapWriter
from seqmill.stores.specs import TargetSpec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def context(report_context):
    return report_context


def test_the_only_script_is_ours_and_allowed_by_its_digest(context):
    page = render(context)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    data, script = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\beval\b|\bFunction\(|innerHTML|document\.write|fetch\(|XMLHttpRequest", script)
    assert [item["name"] for item in json.loads(data)["maps"]] == ["sites", "more"]


@pytest.mark.parametrize("payload", [*PAYLOADS, "<!--<script>", "\u2028\u2029", "</ScRiPt >"])
def test_the_data_block_cannot_be_closed_early(payload):
    text = safe_json({"name": payload, payload: [payload]})
    assert not set("<>&") & set(text)
    text.encode("utf-8")
    assert json.loads(text)["name"] == payload.encode("utf-8", "replace").decode()


def test_effects_of_the_data_block_are_those_of_the_map():
    values = np.array([[0.5, -1.25], [np.nan, 0.0]], np.float32)
    packed = pack(values)
    whole = np.frombuffer(base64.b64decode(packed["bytes"]), "<i2").astype(float).reshape(values.shape)
    found = np.where(whole == -32768, np.nan, whole * packed["scale"])
    np.testing.assert_allclose(found, values, atol=packed["scale"] / 2)
    assert packed["scale"] == pytest.approx(1.25 / 32767)
    assert pack(np.zeros((2, 2)))["scale"] == 1.0


def test_every_control_has_a_name(context):
    page = render(context)
    for button in re.findall(r"<button[^>]*>.*?</button>", page):
        assert re.search(r'aria-label="[^"]+"', button) or re.search(r">\s*[a-zA-Z]{4,}", button)
    assert len(re.findall(r"<label>[A-Z][a-z]+ <select", page)) == 2 * 2


def test_a_map_is_told(context):
    found = context["maps"][0]
    assert (found["n"], found["shown"], len(found["stills"]), found["tracks"]) == (12, 12, 12, list(TRACKS))
    sizes = [line["largest"] for line in found["regions"]]
    assert sizes == sorted(sizes, reverse=True)
    assert context["maps"][1]["edits"] == ["substitutions", "deletions"]
    assert all("deletions" in region for region in context["maps"][1]["data"]["regions"])
    assert "AUROC of 1.000" in context["truths"][0]["sentence"]
    page = render(context)
    assert "12 of 12 regions can be looked at here" in page


def test_pictures_are_limited_and_the_page_says_so(tmp_path, monkeypatch):
    write_world(tmp_path / "results")
    folder = write_map(tmp_path / "results", count=5)
    monkeypatch.setattr("seqmill.report.maps.MAX_BYTES", 3 * 240 * 4 * 2 * 2 * 4 // 3)
    monkeypatch.setattr("seqmill.report.maps.MAX_LISTED", 4)
    found = gather_map(folder)
    assert (found["n"], found["shown"], found["hidden"], len(found["data"]["regions"])) == (5, 3, 1, 3)
    assert [region["name"] for region in found["data"]["regions"]] == [line["name"] for line in found["regions"][:3]]


def test_variants_are_told(context):
    effects = context["variants"][0]["effects"]
    assert [(item["effect"], item["tracks"], len(item["lines"])) for item in effects] == [
        ("diff", 2, 20),
        ("score", 2, 20),
    ]
    assert effects[1]["label"] == "ALT − REF of the score (logit)"
    table = variant_table()
    for item in effects:
        columns = table[[f"bound|{track}|{item['effect']}" for track in "ef"]]
        largest = columns.abs().max(axis=1).sort_values(ascending=False).head(20)
        assert [abs(line["effect"]) for line in item["lines"]] == pytest.approx(list(largest))
        first = table.loc[largest.index[0]]
        assert item["lines"][0]["place"] == f"{first['contig']}:{first['position_1based']:,}"
    assert effects[1]["lines"][0] == {
        "place": "chr1:71", "id": "rs7", "change": "A→ACGTAC…(21 bp)", "track": "f", "effect": -9.5,
    }  # fmt: skip
    page = render(context)
    assert "399 of 420 alleles" in page
    assert "99.8 %" in page
    assert "each run saw the place in training" in page


def test_columns_of_names_that_hold_the_separator():
    names = ["contig", "a|b|t|1|diff", "a|t|diff"]
    found = columns_of(names, ["a", "a|b"])
    assert {key: [column.track for column in columns] for key, columns in found.items()} == {
        ("a|b", "diff"): ["t|1"],
        ("a", "diff"): ["t"],
    }


def test_truth_table_is_written_and_without_truth_has_its_header_alone(tmp_path):
    nouns = {"evaluations": [], "datasets": [], "models": [], "predictions": []}
    write_report(tmp_path / "a.html", report=Report(), **nouns, truth_table=tmp_path / "truth.tsv")
    assert (tmp_path / "truth.tsv").read_text().split() == COLUMNS
    write_world(tmp_path / "results")
    maps = [write_map(tmp_path / "results", count=2)]
    write_report(tmp_path / "a.html", report=Report(), **nouns, maps=maps, truth_table=tmp_path / "truth.tsv")
    table = pd.read_csv(tmp_path / "truth.tsv", sep="\t")
    assert list(table.columns) == COLUMNS
    assert table["auroc"][0] == pytest.approx(1)
    assert table["map"].unique() == ["sites"]


def test_papers_are_those_of_the_files_of_the_networks():
    folder = Path(__file__).parents[2] / "src/seqmill/models"
    for name, paper in PAPERS.items():
        told = ast.get_docstring(ast.parse((folder / f"{name}.py").read_text()))
        found = " ".join(told.split()[:60]).replace('"', "")
        for word in re.findall(r"[A-Z][a-z]+|\d{2,}", paper):
            assert word in found, (name, word)


def test_methods_say_what_the_records_say(context):
    said = {paragraph["heading"]: paragraph["text"] for paragraph in context["methods"]}
    assert "Network basset on toy: Basset (Kelley, Snoek and Rinn" in said["Networks"]
    assert "2 runs" in said["Networks"] and "4,137,000 parameters" in said["Networks"]
    assert "500 resamples of blocks (a block is a contig)" in said["Evaluation"]
    words = {"dataset": "toy", "kind": "kmer", "fit": "linear"}
    assert "counts of words of 5 bases, fitted" in _baseline("kmer", words)
    assert "counts of words of 1 to 6 bases, fitted" in _baseline("kmer", words | {"min_k": 1, "k": 6})
    assert "GC content and CpG counts, fitted" in _baseline("gc", words | {"kind": "gc"})
    assert "Map sites: in 12 regions of sim1" in said["Mutagenesis"]
    assert "numpy" in said["Software"]
    assert not re.search(r"None|nan|\{|: \.", " ".join(said.values()))


def test_methods_say_what_a_step_did():
    plain = Training().model_dump(mode="json")
    assert _step(plain) == _step({}) == []
    other = plain | {"precision": "bfloat16", "accumulate": 4, "ema_decay": 0.999, "skip_spikes": 6.0}
    assert _step(other) == [
        "Steps were computed in bfloat16, with parameters and losses in float32.",
        "Batches were computed in 4 parts, their gradients added up.",
        "Moving averages of the parameters (decay 0.999) were validated and kept.",
        "Steps with a loss or gradient norm above 6 times its running median were skipped.",
    ]


def test_methods_say_how_sequences_were_changed():
    augment = {"max_deletion_bp": 20, "mutation_fraction": 0.05, "noise_std": 0.2}
    source = "In training, sequences were changed at random (EvoAug, Lee et al., Genome Biology 24:105, 2023): "
    kinds = "deletion (up to 20 bp), mutation (5.0 % of bases), noise (of 0.2)"
    assert _changes(Augment(**augment)) == f"{source}{kinds}."
    some = Augment(**augment, max_augs=2, hard=False, plain_epochs=1)
    assert _changes(some) == f"{source}{kinds}, up to 2 of these an example; the last 1 pass without changes."


def test_letters_and_texts_of_the_map_stand_out_from_white():
    script = Path(__file__).parents[2].joinpath("src/seqmill/report/templates/viewer.js").read_text()
    drawn = dict(re.findall(r"([ACGT]): '(#[0-9a-f]{6})'", script))
    assert drawn == COLOURS
    texts = re.findall(r"(?:INK|SOFT) = '(#[0-9a-f]{6})'", script)
    assert len(texts) == 2
    for colour in texts:
        assert contrast(colour, "#ffffff") >= 4.5
    for colour in drawn.values():  # large letters
        assert contrast(colour, "#ffffff") >= 3


def test_a_map_of_sequences_of_a_table_counts_from_their_first_base(tmp_path):
    """They lie on no genome: contig empty, start -1, end the length - 1."""
    spec = TargetSpec("bound", "binary", "uint8", ("example", "tracks"), (1,), ("a",))
    attrs = {"model": "net", "genome": "", "spaces": {"bound": "logit"}, "models": {"0.0": 1}, "both_strands": False}
    attrs |= {"shifts_bp": [0], "runs": "unseen"}
    row = {
        "name": "seq1",
        "genome": "",
        "contig": "",
        "start": -1,
        "end": 9,
        "strand": 1,
        "runs": 1,
        "window_start": -1,
    }
    effects = np.zeros((10, 4, 1), np.float32)
    effects[4, 2] = -2
    codes = np.zeros(10, np.uint8)
    with MapWriter(
        tmp_path / "maps/t.zarr", "t", attrs, length=10, edits=["substitutions"], targets={"bound": spec}, spread=False
    ) as writer:
        arrays = {"sequence": codes, "reference/bound": np.zeros(1), "substitutions/bound": effects}
        writer.append(row, arrays)
    found = gather_map(tmp_path / "maps/t.zarr")
    (line,) = found["regions"]
    assert (line["place"], line["length"], line["what"], line["effect"]) == ("–", 10, "5 A→G", -2.0)
    (region,) = found["data"]["regions"]
    assert (region["contig"], region["start"], region["sequence"]) == ("seq1", 0, "A" * 10)
    assert gather_truth(tmp_path / "maps/t.zarr") is None
