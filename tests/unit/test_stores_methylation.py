"""Rows of the sheet with methylation calls: track stores, and a dataset of fractions made from them."""

import numpy as np
import pytest
from tests.unit.example_worlds import World
from tests.unit.methylation_examples import allc, bismark, make_genome, merge, modkit, random_calls

from seqmill.config.datasets import Dataset
from seqmill.config.sheet import Track, fetched_track, guess_format, read_sheet
from seqmill.formats.methylation import CallFile
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader
from seqmill.stores.track import TrackReader, build_track

SPLIT = {"kind": "chromosomes", "test": ["chr3"], "valid": ["chr2"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world")).genome("toy", make_genome(2, chr1=3000, chr2=1500, chr3=1500))


@pytest.fixture(scope="module")
def calls(world):
    return random_calls(world.sequences["toy"], seed=4, share=0.2)


def add(world, name, text, **columns):
    file = world.folder / f"{name}.txt"
    file.write_text(text)
    world._build(name, "toy", file, **columns)
    return TrackReader(world.store(name))


def means(values, size, bin_bp):
    """Mean of what lies in each bin, NaN where nothing does."""
    out = []
    for left in range(0, size, bin_bp):
        known = [values[base] for base in range(left, left + bin_bp) if base in values]
        out.append(sum(known) / len(known) if known else np.nan)
    return np.array(out)


def test_a_track_of_fractions(world, calls):
    reader = add(world, "f", bismark(calls), format="bismark", bin_bp=20, missing="nan", assay="WGBS")
    merged = merge(calls)
    for contig in ("chr1", "chr2", "chr3"):
        size = len(world.sequences["toy"][contig])
        expected = means({p: m / t for (c, p), (m, t) in merged.items() if c == contig}, size, 20)
        np.testing.assert_allclose(reader.bins(contig, 0, len(expected)), expected, rtol=1e-6)
        assert np.isnan(expected).any()
    attrs = reader.attrs
    assert (attrs["units"], attrs["layout"], attrs["calls"], attrs["context"]) == (
        "fraction",
        "Bismark coverage",
        "fraction",
        "CG",
    )
    assert attrs["strands_merged"] is True
    assert attrs["n_calls"] == len(merged)
    assert attrs["mean_coverage"] == pytest.approx(sum(t for _, t in merged.values()) / len(merged), abs=1e-4)
    assert attrs["counts"] == {}


def test_a_track_of_reads_of_one_strand(world, calls):
    columns = {"aggregate": "sum", "missing": "nan", "bin_bp": 20}
    reader = add(
        world, "m", modkit(calls), format="bedmethyl", calls="methylated", strand="-", min_coverage=5, **columns
    )
    values = {p: m for c, p, s, m, t, _ in calls if (c, s) == ("chr1", "-") and t >= 5}
    expected = [
        sum(found) if (found := [values[p] for p in range(left, left + 20) if p in values]) else np.nan
        for left in range(0, 3000, 20)
    ]
    np.testing.assert_array_equal(reader.bins("chr1", 0, 150), np.array(expected, np.float32))
    assert reader.attrs["units"] == "reads"
    assert reader.attrs["strands_merged"] is False
    assert reader.attrs["counts"]["calls of the other strand, or of both"] == sum(call[2] == "+" for call in calls)


def test_another_assembly_leaves_no_track(world, calls):
    file = world.folder / "wrong.txt"
    file.write_text(allc([(c, max(0, p - 5), s, m, t, x) for c, p, s, m, t, x in calls]))
    row = Track(track="wrong", location=str(file), format="allc", bin_bp=20, missing="nan")
    genome = GenomeReader(world.genome_store("toy"))
    with pytest.raises(InputError, match=r"wrong\.txt: wrong assembly or off by one\? \("):
        build_track(world.store("wrong"), track=row, genome=genome, partial=False)
    assert not world.store("wrong").exists()


def test_the_genome_store_gives_the_windows(world, calls):
    genome = GenomeReader(world.genome_store("toy"))
    path = world.folder / "direct.txt"
    path.write_text(bismark(calls))
    with CallFile(path, genome.sizes, windows=genome.many) as file:
        found = {("chr1", int(p)) for p in file.contig("chr1").position}
    assert found == {place for place in merge(calls) if place[0] == "chr1"}


def test_a_dataset_of_fractions(world, calls):
    """Targets are means over the bins of the central part; windows without a call are missing."""
    add(world, "d", bismark(calls), format="bismark", bin_bp=10, missing="nan", assay="WGBS")
    add(world, "n", bismark(calls), format="bismark", bin_bp=10, missing="nan", calls="total", aggregate="sum")
    target = {"tracks": "all", "length_bp": 20}
    dataset = Dataset(
        genomes=["toy"],
        windows={"kind": "tiles", "window_bp": 100, "stride_bp": 50},
        targets={"fraction": {"kind": "fraction", **target}, "reads": {"kind": "count", **target}},
        split=SPLIT,
    )
    reader = world.build("set", dataset, {"fraction": ["d"], "reads": ["n"]}, grid_bp=10)
    rows, merged, missing = reader.rows(), merge(calls), 0
    found = reader.read("targets/fraction", 0, reader.n)
    reads = reader.read("targets/reads", 0, reader.n)
    assert found.shape == (reader.n, 1)
    for number, (contig, start) in enumerate(zip(rows["contig"], rows["start"])):
        here = range(start + 40, start + 60)
        bins = [
            [m / t for (c, p), (m, t) in merged.items() if c == contig and p in here and (p - start) // 10 == part]
            for part in (4, 5)
        ]
        known = [sum(values) / len(values) for values in bins if values]
        missing += not known
        np.testing.assert_allclose(found[number, 0], np.mean(known) if known else np.nan, rtol=1e-5)
        total = [t for (c, p), (_, t) in merged.items() if c == contig and p in here]
        np.testing.assert_allclose(reads[number, 0], sum(total) if total else np.nan)
    assert 0 < missing < reader.n
    assert np.nanmax(found) <= 1


TWO = {"format": "bismark", "bin_bp": 10, "missing": "nan", "aggregate": "sum"}


def pairs_dataset():
    target = {"kind": "beta_binomial", "tracks": "all", "length_bp": 20}
    windows = {"kind": "tiles", "window_bp": 100, "stride_bp": 50}
    return Dataset(genomes=["toy"], windows=windows, targets={"reads": target}, split=SPLIT)


def test_a_dataset_of_successes_and_trials(world, calls):
    """Reads of one file as (2, tracks), whatever the order of the rows; windows without a call are missing."""
    other = random_calls(world.sequences["toy"], seed=8, share=0.2)
    for name, some, what in (("t", calls, "total"), ("u", other, "total"), ("v", other, "methylated")):
        add(world, name, bismark(some), calls=what, **TWO)
        world.tracks[name] = world.tracks[name].model_copy(update={"location": "two" if some is other else "one"})
    add(world, "w", bismark(calls), calls="methylated", **TWO)
    world.tracks["w"] = world.tracks["w"].model_copy(update={"location": "one"})
    reader = world.build("pairs", pairs_dataset(), {"reads": ["t", "u", "v", "w"]}, grid_bp=10)
    found, rows = reader.read("targets/reads", 0, reader.n), reader.rows()
    assert reader.targets["reads"].tracks == ("v", "w")
    assert found.shape == (reader.n, 2, 2)
    for track, some in enumerate((other, calls)):
        merged = merge(some)
        for number, (contig, start) in enumerate(zip(rows["contig"], rows["start"])):
            here = [value for (c, p), value in merged.items() if c == contig and start + 40 <= p < start + 60]
            expected = [sum(column) for column in zip(*here)] if here else [np.nan, np.nan]
            np.testing.assert_array_equal(found[number, :, track], expected)
    assert np.isnan(found).any()


def test_successes_and_trials_that_do_not_belong_together(world, calls):
    def refused(message, **rows):
        for name, columns in rows.items():
            file = world.folder / "same.txt"
            file.write_text(bismark(calls))
            world._build(name, "toy", file, **TWO | columns)
        with pytest.raises(InputError, match=message):
            world.build("refused", pairs_dataset(), {"reads": list(rows)}, grid_bp=10)

    refused("track a needs one partner, found 0", a={"calls": "methylated"})
    refused("track a needs a partner: a row of the same file with calls 'methylated'", a={"calls": "total"})
    refused("track a needs one partner, found 0", a={"calls": "methylated"}, b={"calls": "total", "min_coverage": 4})
    refused("track a: successes and trials need methylation calls", a={"aggregate": "mean"})
    refused("track a: reads must stay counts", a={"calls": "methylated", "scale": 2.0}, b={"calls": "total"})


def sheet(tmp_path, text):
    path = tmp_path / "tracks.tsv"
    path.write_text(text)
    return read_sheet(path)


def test_rows_of_the_sheet(tmp_path):
    rows = sheet(
        tmp_path,
        "track\tlocation\tformat\tcalls\tmin_coverage\n"
        "a\ta.cov.gz\t\t\t\n"
        "b\tb.CpG_report.txt.gz\t\ttotal\t5\n"
        "c\tc.bed.gz\tbedMethyl\tmethylated\t\n"
        "d\td.bw\t\t\t\n",
    )
    assert [row.format for row in rows] == ["bismark", "cytosine_report", "bedmethyl", "bigwig"]
    assert [row.missing for row in rows] == ["nan", "nan", "nan", "zero"]
    assert [row.aggregate for row in rows] == ["mean", "sum", "sum", "mean"]
    assert [row.kind for row in rows] == ["signal"] * 4
    assert guess_format("cell_cpg.txt.gz") == "gembs"


def test_columns_of_calls_for_another_track(tmp_path):
    with pytest.raises(InputError, match="column 'min_coverage' is for methylation calls; leave it empty for bigwig"):
        sheet(tmp_path, "track\tlocation\tmin_coverage\nd\td.bw\t3\n")


@pytest.mark.parametrize(("given", "missing"), [({}, "nan"), ({"missing": "zero"}, "zero")])
def test_a_fetched_file_says_that_it_holds_calls(given, missing):
    row = Track(track="e", location="ENCFF000AAA", source="encode", **given)
    assert fetched_track(row, "sources/e/ENCFF000AAA.bed.gz", "bedmethyl").missing == missing
    assert fetched_track(row, "sources/e/ENCFF000AAA.bigWig", "bigwig").missing == given.get("missing", "zero")
