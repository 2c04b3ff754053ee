"""The quality of all experiments as tables: long and wide, and safe to open in a table program."""

import csv
import json

import pytest
from tests.unit.quality_examples import atac, row, write_qualities, write_quality

from seqmill.reads.quality_table import LONG, build_quality_table, cell
from seqmill.runtime.errors import DamageError
from seqmill.runtime.marker import verify_folder


def table(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    results = tmp_path_factory.mktemp("qualities")
    folders = write_qualities(results)
    return results, folders, build_quality_table(results / "quality-table", folders)


def test_long_table_has_every_number_with_its_limits(made):
    results, folders, _ = made
    lines = table(results / "quality-table/quality.tsv")
    assert tuple(lines[0]) == LONG
    rows = []
    for folder in folders:
        metrics = json.loads((folder / "metrics.json").read_text())
        name = metrics["experiment"]
        rows += [(name, entry["replicate"], entry["metric"], entry["value"]) for entry in metrics["rows"]]
    found = [(line["experiment"], line["replicate"], line["metric"], float(line["value"])) for line in lines]
    assert [item[:3] for item in found] == [item[:3] for item in rows]
    assert [item[3] for item in found] == pytest.approx([item[3] for item in rows], rel=1e-7)
    nrf = next(line for line in lines if (line["experiment"], line["metric"]) == ("old ATAC", "nrf"))
    assert nrf["level"] == "not compliant"
    assert nrf["limits"] == "not compliant below 0.7, warning below 0.9 (ENCODE)"
    assert nrf["words"].startswith("NRF is 0.44: the library holds few different molecules")
    assert (nrf["lower"], nrf["upper"], nrf["n"]) == ("0.4398", "0.4402", "45000000")
    adapters = next(line for line in lines if line["metric"] == "adapter_fraction")
    assert (adapters["level"], adapters["limits"]) == ("not judged", "")


def test_wide_table_has_a_line_a_replicate(made):
    results, _, marker = made
    lines = table(results / "quality-table/samples.tsv")
    places = [(line["experiment"], line["replicate"], line["verdict"]) for line in lines]
    assert places == [
        *(("K562 ATAC", replicate, "good") for replicate in ("1", "2", "pooled")),
        *(("old ATAC", replicate, "poor") for replicate in ("1", "2", "pooled")),
        ("CTCF", "1", "warning"), ("CTCF", "pooled", "warning"),
        *(("yeast", replicate, "good") for replicate in ("1", "2", "pooled")),
    ]  # fmt: skip
    assert (lines[3]["depth"], lines[3]["frip"], lines[3]["nsc"], lines[3]["target"]) == ("8400000", "0.06", "", "")
    assert (lines[6]["nsc"], lines[6]["target"], lines[6]["assay"]) == ("1.31", "CTCF", "chip")
    assert (lines[5]["depth"], lines[5]["peaks"]) == ("", "31000")
    # columns in the order of the words, none without a value
    assert list(lines[0])[:8] == [
        "experiment", "replicate", "assay", "target", "verdict", "depth", "mapped_fraction", "adapter_fraction",
    ]  # fmt: skip
    assert all(any(line[column] for line in lines) for column in lines[0] if column != "target")
    assert marker.noun == "quality-table" and marker.format == 1
    assert marker.attrs["verdicts"] == {"K562 ATAC": "good", "old ATAC": "poor", "CTCF": "warning", "yeast": "good"}
    assert set(marker.attrs["inputs"]) == {"quality/K562=20ATAC", "quality/old=20ATAC", "quality/CTCF", "quality/yeast"}
    assert verify_folder(results / "quality-table") == []


def test_the_same_qualities_give_the_same_bytes(made):
    results, folders, marker = made
    assert build_quality_table(results / "again/quality-table", folders).files == marker.files


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"), ("+1", "'+1"), ("-1+2", "'-1+2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "' =1"), ("\r=1", "' =1"), ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"), ("'=1", "''=1"),
        ("a\nb\x0bc\u2028d", "a b c d"), ("plain", "plain"), (-0.5, "-0.5"), (None, ""), (12345678, "12345678"),
        (1 / 3, "0.33333333"),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula_or_breaks_its_line(value, text):
    assert cell(value) == text


def test_hostile_names_stay_in_their_cells(tmp_path):
    metrics = atac() | {"target": "=1+1\t=2\n=3"}
    folder = write_quality(tmp_path / "quality/bad", "@SUM(A1)\tx\r\ny\ud800", metrics)
    build_quality_table(tmp_path / "quality-table", [folder])
    for name in ("quality.tsv", "samples.tsv"):
        raw = (tmp_path / "quality-table" / name).read_bytes().decode()
        lines = raw.split("\n")
        assert lines.pop() == ""
        assert {line.count("\t") for line in lines} == {lines[0].count("\t")}
        cells = [part for line in lines[1:] for part in line.split("\t")]
        assert not any(part.startswith(("=", "+", "@", "\r")) for part in cells)
    assert table(tmp_path / "quality-table/samples.tsv")[0]["target"] == "'=1+1 =2 =3"


def test_methylation_is_judged_in_the_same_table(tmp_path):
    rows = [
        row("coverage_depth", "1", 12.5, 28_000_000),
        row("cpg_covered", "1", 0.93, 28_000_000),
        row("bisulfite_conversion", "1", 0.971, 100_000),
    ]
    calls = {"assay": "wgbs", "target": "", "rows": rows, "absent": []}
    folder = write_quality(tmp_path / "quality/brain", "brain", calls)
    marker = build_quality_table(tmp_path / "quality-table", [folder])
    lines = {line["metric"]: line for line in table(tmp_path / "quality-table/quality.tsv")}
    assert {metric: line["level"] for metric, line in lines.items()} == {
        "coverage_depth": "not compliant", "cpg_covered": "not judged", "bisulfite_conversion": "warning",
    }  # fmt: skip
    assert "methylation that is not there" in lines["bisulfite_conversion"]["consequence"]
    assert marker.attrs["verdicts"] == {"brain": "poor"}


def test_a_changed_quality_is_refused(tmp_path):
    folder = write_quality(tmp_path / "quality/a", "a", atac())
    path = folder / "metrics.json"
    path.write_bytes(path.read_bytes().replace(b"0.973", b"0.999"))
    with pytest.raises(DamageError, match="content changed"):
        build_quality_table(tmp_path / "quality-table", [folder])
    assert not (tmp_path / "quality-table").exists()
