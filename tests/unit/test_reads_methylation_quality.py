"""Quality of bisulfite sequencing against plain counts."""

import numpy as np
import pytest
from tests.unit.example_worlds import World
from tests.unit.methylation_examples import allc, bedmethyl11, bismark, make_genome, merge, random_calls, states

from seqmill.formats.methylation import CallFile
from seqmill.reads.methylation_quality import conversion, cpgs, methylation_metrics
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    world.genome("toy", make_genome(2, chr1=3000, chr2=1500, chr3=100))
    world.texts = {name: text for name, text in world.sequences["toy"].items() if name != "chr3"}
    world.reader = GenomeReader(world.genome_store("toy"))
    return world


def put(world, name, text):
    path = world.folder / name
    path.write_text(text)
    return path


def value(rows, metric, replicate="1"):
    return next(row for row in rows if (row["metric"], row["replicate"]) == (metric, replicate))


def test_depth_and_share_of_cpgs(world):
    calls = random_calls(world.texts, seed=1, share=0.3)
    rows = methylation_metrics({"1": put(world, "a", bedmethyl11(calls))}, world.reader)
    number = sum(text.count("CG") for text in world.texts.values())  # chr3 has no call, and counts for nothing
    depth = value(rows, "coverage_depth")
    assert depth["value"] == pytest.approx(sum(call[4] for call in calls) / number)
    assert depth["n"] == number
    covered = value(rows, "cpg_covered")
    assert covered["value"] == pytest.approx(len(merge(calls)) / number)
    assert covered["lower"] < covered["value"] < covered["upper"]
    assert [row["metric"] for row in rows] == ["coverage_depth", "cpg_covered"]


def test_cpgs_across_blocks(world, monkeypatch):
    monkeypatch.setattr("seqmill.reads.methylation_quality.BLOCK_BP", 7)
    assert cpgs(world.reader, ["chr1"]) == world.texts["chr1"].count("CG")


def test_conversion_is_that_of_the_spike_in(world):
    calls = random_calls(world.texts, seed=1, contexts=("CG", "CHH"))
    spike = [("lambda", p, "+", int(p % 50 == 0), 1, "CHH") for p in range(2000)]
    path = put(world, "b", allc([*calls, *spike]))
    rows = methylation_metrics({"1": path}, world.reader, conversion_contigs=["chrL", "lambda"])
    found = value(rows, "bisulfite_conversion")
    assert (found["value"], found["n"]) == (0.98, 2000)
    # Wilson (1927), by hand: z = 1.959964
    z2 = 1.959964**2
    middle = (0.98 + z2 / 4000) / (1 + z2 / 2000)
    half = 1.959964 / (1 + z2 / 2000) * (0.98 * 0.02 / 2000 + z2 / (4 * 2000**2)) ** 0.5
    assert (found["lower"], found["upper"]) == pytest.approx((middle - half, middle + half), rel=1e-6)


@pytest.mark.parametrize("context", ["CHH", "CHG"])
def test_conversion_of_other_contexts(world, context):
    calls = random_calls(world.texts, seed=1, contexts=("CG", context))
    with CallFile(put(world, context, allc(calls)), world.reader.sizes, windows=world.reader.many) as file:
        found = conversion(file, ["lambda"])
    own = [call for call in calls if call[5] == context]
    assert found["value"] == pytest.approx(1 - sum(call[3] for call in own) / sum(call[4] for call in own))
    assert found["n"] == sum(call[4] for call in own)
    assert found["replicate"] == "pooled"


def test_no_conversion_of_cpgs_alone(world):
    with CallFile(put(world, "c", bismark(random_calls(world.texts))), world.reader.sizes) as file:
        assert conversion(file, ["lambda"]) is None


def test_replicates_are_compared_where_both_are_deep(world):
    one, two = (random_calls(world.texts, seed=seed, most=15) for seed in (1, 2))
    paths = {"1": put(world, "one", bismark(one)), "2": put(world, "two", bedmethyl11(two))}
    found = value(methylation_metrics(paths, world.reader), "replicate_pearson", "pooled")
    a, b = merge(one), merge(two)
    both = [key for key in a if key in b and a[key][1] >= 10 and b[key][1] >= 10]
    x, y = ([calls[key][0] / calls[key][1] for key in both] for calls in (a, b))
    assert found["n"] == len(both) > 10
    assert found["value"] == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-6)


def test_the_worst_of_three_replicates(world):
    one = random_calls(world.texts, seed=1)
    paths = {name: put(world, name, bismark(calls)) for name, calls in (("1", one), ("2", one))}
    paths["3"] = put(world, "3", bismark(random_calls(world.texts, seed=7)))
    rows = methylation_metrics(paths, world.reader)
    alone = methylation_metrics({name: paths[name] for name in ("1", "3")}, world.reader)
    assert value(rows, "replicate_pearson", "pooled") == value(alone, "replicate_pearson", "pooled")
    assert len([row for row in rows if row["metric"] == "replicate_pearson"]) == 1


def test_few_deep_cpgs_and_no_counts_give_no_number(world):
    shallow = bismark(random_calls(world.texts, most=2))
    rows = methylation_metrics({"1": put(world, "s", shallow), "2": put(world, "t", shallow)}, world.reader)
    assert {row["metric"] for row in rows} == {"coverage_depth", "cpg_covered"}
    rows = methylation_metrics({"1": put(world, "u", states(random_calls(world.texts)))}, world.reader)
    assert {row["metric"] for row in rows} == {"cpg_covered"}
    with pytest.raises(InputError, match="no file of calls given"):
        methylation_metrics({}, world.reader)
