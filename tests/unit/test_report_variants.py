"""What stands beside effects of variants, and haplotypes, on the report page."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tests.unit.report_examples import DROPPED, VARIANTS, variant_table

from seqmill.report.haplotypes import together
from seqmill.report.methods import _variants
from seqmill.report.variants import columns_of, effects, facts, strongest_words
from seqmill.report.words import number

STATISTICS = ["sd", "percentile", "p", "signed_percentile", "signed_p"]


def with_statistics():
    table = variant_table(60)
    table.insert(7, "stratum", "gc <0.4")
    table.insert(8, "background_n", pd.array([150] * 59 + [None], "Int32"))
    for name in [name for name in table if "|" in name]:
        for place, statistic in enumerate(STATISTICS):
            table[f"{name}_{statistic}"] = np.float32((np.arange(60) + place) / 100)
    return table


def test_the_strongest_carry_what_stands_beside_them():
    table = with_statistics()
    told = effects(lambda: iter([table[:20], table[20:]]), ["bound"], {"bound": "logit"}, STATISTICS)
    assert [(item["target"], item["effect"], item["tracks"]) for item in told] == [
        ("bound", "diff", 2), ("bound", "score", 2),
    ]  # fmt: skip
    assert told[1]["beside"] == ["SD", "percentile", "p", "with sign: percentile", "with sign: p", "background"]
    first = told[1]["lines"][0]
    assert first["place"] == "chr1:71" and first["effect"] == -9.5
    assert first["beside"] == pytest.approx([0.07, 0.08, 0.09, 0.10, 0.11, 150])


def test_without_statistics_lines_are_as_they_were():
    table = variant_table(40)
    (item, _) = effects(lambda: iter([table]), ["bound"], {"bound": "logit"})
    assert item["beside"] == [] and set(item["lines"][0]) == {"place", "id", "change", "track", "effect"}
    names = ["a|t|diff", "a|t|diff_sd", "a|sd|diff", "stratum"]
    assert [c.name for c in columns_of(names, ["a"], ["sd"])["a", "diff"]] == ["a|t|diff", "a|sd|diff"]


def test_the_command_tells_the_strongest(monkeypatch, tmp_path):
    table = with_statistics()
    names = list(table)
    attrs = {"statistics": STATISTICS, "targets": {"bound": {}}}
    reader = SimpleNamespace(
        attrs=attrs, columns=[name for name in names if "|" in name], place_columns=names[:9],
        table=lambda columns: iter([table[list(columns)]]),
    )  # fmt: skip
    monkeypatch.setattr("seqmill.stores.variants.VariantsReader", lambda folder: reader)
    lines = strongest_words(tmp_path, 2)
    assert lines[0] == "strongest by diff of bound:" and len(lines) == 3
    assert lines[1].startswith("  chr1:") and "percentile " in lines[1] and "background 150" in lines[1]


def test_interactions_are_told_by_their_size():
    table = pd.DataFrame(
        {
            "contig": "chr1", "start_1based": [1000, 2000, 3000], "end_1based": [1010, 2010, 3010],
            "variants": ["1000:A>C,1010:G>T", "2000:A>C,2010:G>T", "3000:A>C," * 20], "n_variants": [2, 2, 20],
            "carriers": [1, 5, 2], "first_carrier": "a:1", "runs": 1,
        }
    )  # fmt: skip
    for track, shift in (("e", 0.0), ("f|g", 1.0)):
        table[f"b|{track}|diff"] = [1.0, 2.0, 3.0]
        table[f"b|{track}|diff_singles"] = [0.5 - shift, 5.0, 3.0]
        table[f"b|{track}|diff_interaction"] = [0.5 + shift, -3.0, np.nan]
    (group,) = together(table, ["b", "bb"])
    assert [line["place"] for line in group["lines"]] == ["chr1:2,000", "chr1:1,000", "chr1:3,000"]
    assert group["lines"][1] == {
        "place": "chr1:1,000", "variants": "1000:A>C,1010:G>T", "count": 2, "carriers": 1, "track": "f|g",
        "whole": 1.0, "singles": -0.5, "interaction": 1.5,
    }  # fmt: skip
    assert group["lines"][2]["variants"].endswith("…")
    assert together(table[:0], ["b"])[0]["lines"] == []


def test_methods_say_what_was_compared():
    item = facts(VARIANTS | {"background": {"n": 1234}}, DROPPED) | {"effects": [], "haplotypes": {"n": 7}}
    text = _variants(item)
    assert f"those of {number(1234)} background variants" in text and "7 haplotypes of phased variants" in text
    assert "background" not in _variants(facts(VARIANTS, DROPPED) | {"effects": []})
