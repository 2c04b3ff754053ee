"""Track stores against hand-made values, and what a bad track does."""

import logging
import os

import numpy as np
import pytest
from tests.unit.store_examples import CONTIGS, write_toy_fasta

from seqmill.config.sheet import Track
from seqmill.config.sources import Genome
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader, build_genome
from seqmill.stores.track import TrackReader, build_track
from seqmill.stores.verify import verify


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genome")
    build_genome(folder / "toy.zarr", name="toy", genome=Genome(fasta=write_toy_fasta(folder)))
    return GenomeReader(folder / "toy.zarr")


def build(tmp_path, genome, text, file="x.bedgraph", on_bad_track="fail", **more):
    (tmp_path / file).write_text(text)
    settings = {"track": "x", "location": str(tmp_path / file), "format": file.split(".")[1], "bin_bp": 10, **more}
    build_track(tmp_path / "x.zarr", track=Track(**settings), genome=genome, partial=False, on_bad_track=on_bad_track)
    return TrackReader(tmp_path / "x.zarr")


def slow_bins(size, runs, bin_bp, missing):
    """Mean of each bin, base after base."""
    values = [None] * size
    for start, end, value in runs:
        values[start:end] = [value] * (end - start)
    out = []
    for start in range(0, size, bin_bp):
        bases = values[start : start + bin_bp]
        known = [v for v in bases if v is not None]
        if missing == "zero":
            out.append(sum(known) / len(bases))
        else:
            out.append(sum(known) / len(known) if known else float("nan"))
    return out


@pytest.mark.parametrize("missing", ["zero", "nan"])
def test_bins_are_means_of_bases(tmp_path, genome, missing):
    runs = [(3, 8, 2.0), (8, 27, 0.5), (2995, 3001, 4.0)]
    text = "".join(f"chr1\t{s}\t{e}\t{v}\n" for s, e, v in runs)
    reader = build(tmp_path, genome, text, missing=missing)
    np.testing.assert_allclose(reader.bins("chr1", 0, 301), slow_bins(CONTIGS["chr1"], runs, 10, missing), rtol=1e-6)
    assert (reader.kind, reader.bin_bp, reader.state, reader.name) == ("signal", 10, "ok", "x")


def test_outside_and_absent_contigs_are_nan(tmp_path, genome):
    reader = build(tmp_path, genome, "chr1\t0\t20\t1\n")
    np.testing.assert_array_equal(reader.bins("chr1", -2, 5), [np.nan, np.nan, 1, 1, 0])
    np.testing.assert_array_equal(reader.bins("chr1", 300, 3), [0, np.nan, np.nan])
    assert np.isnan(reader.bins("chr2", 0, 26)).all()
    assert reader.attrs["absent"] == ["chr2"]


def test_sign_flip_swaps_extremes(tmp_path, genome):
    text = "chr1\t0\t10\t-3\nchr1\t10\t15\t-1\nchr1\t15\t20\t-7\n"
    assert build(tmp_path, genome, text, sign="flip").bins("chr1", 0, 3).tolist() == [3, 4, 0]
    assert build(tmp_path, genome, text, sign="flip", aggregate="max").bins("chr1", 0, 2).tolist() == [3, 7]
    zero = build(tmp_path, genome, text, sign="flip").bins("chr1", 5, 1)
    assert not np.signbit(zero).any()


def test_blocks_join_without_a_seam(tmp_path, genome, monkeypatch):
    monkeypatch.setattr("seqmill.stores.track.BLOCK_BINS", 7)
    runs = [(start, start + 5, float(start % 13)) for start in range(0, 2990, 9)]
    text = "".join(f"chr1\t{s}\t{e}\t{v}\n" for s, e, v in runs)
    found = build(tmp_path, genome, text).bins("chr1", 0, 301)
    np.testing.assert_allclose(found, slow_bins(CONTIGS["chr1"], runs, 10, "zero"), rtol=1e-6)


def test_intervals_keep_summits_and_scores(tmp_path, genome):
    text = "chr1\t50\t90\ta\t0\t.\t7.5\t-1\t-1\t11\nchr1\t10\t20\tb\t0\t.\t2.5\t-1\t-1\t-1\n"
    reader = build(tmp_path, genome, text, file="x.narrowpeak", bin_bp=None)
    found = reader.intervals("chr1")
    assert found.start.tolist() == [10, 50]
    assert found.end.tolist() == [20, 90]
    assert found.summit.tolist() == [15, 61]
    assert found.score.tolist() == [2.5, 7.5]
    assert len(reader.intervals("chr2").start) == 0
    assert reader.attrs["counts"] == {"no summit (middle used)": 1}
    with pytest.raises(InputError, match="track x holds intervals, signal asked for"):
        reader.bins("chr1", 0, 1)


def test_fragments_count_on_every_contig(tmp_path, genome):
    reader = build(tmp_path, genome, "chr1\t5\t15\nchr1\t8\t12\n", file="x.fragments", aggregate="sum")
    assert reader.bins("chr1", 0, 3).tolist() == [7, 7, 0]
    assert reader.bins("chr2", 0, 26).tolist() == [0] * 26


BAD = "chr1\t0\t20\t1\nchr1\t10\t30\t1\n"


def test_a_bad_track_fails_and_leaves_nothing(tmp_path, genome):
    with pytest.raises(InputError, match=r"x.bedgraph:2: overlap"):
        build(tmp_path, genome, BAD)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []


@pytest.mark.parametrize(("policy", "state"), [("drop", "dropped"), ("mask", "masked")])
def test_a_bad_track_may_be_dropped_or_masked(tmp_path, genome, caplog, policy, state):
    with caplog.at_level(logging.WARNING, "seqmill"):
        reader = build(tmp_path, genome, BAD, on_bad_track=policy)
    assert reader.state == state
    assert np.isnan(reader.bins("chr1", 0, 5)).all()
    assert "x.bedgraph:2: overlap" in reader.attrs["reason"]
    assert any(f"track x is {state}: " in r.getMessage() and "overlap" in r.getMessage() for r in caplog.records)
    assert verify(tmp_path / "x.zarr") == []


def test_a_missing_source_is_named(tmp_path, genome):
    track = Track(track="x", location=str(tmp_path / "none.bw"), format="bigwig", bin_bp=10)
    with pytest.raises(InputError, match=r"none.bw: source of track x does not exist"):
        build_track(tmp_path / "x.zarr", track=track, genome=genome, partial=False)


@pytest.mark.parametrize("kind", ["folder", "pipe", "/dev/zero"])
def test_a_source_that_is_no_file_is_named(tmp_path, genome, kind):
    path = tmp_path / "x.bw"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(kind)
    track = Track(track="x", location=str(path), format="bigwig", bin_bp=10)
    with pytest.raises(InputError, match=r"x.bw: source of track x is not a regular readable file"):
        build_track(tmp_path / "x.zarr", track=track, genome=genome, partial=False)


def test_a_gap_meaning_against_the_kind_of_track_is_warned_of(tmp_path, genome, caplog):
    with caplog.at_level(logging.WARNING, "seqmill"):
        build(tmp_path, genome, "chr1\t0\t10\t50\n", assay="WGBS", missing="zero")
        assert "missing is 'zero' for assay WGBS: bases without a call count as unmethylated" in caplog.text
        caplog.clear()
        build(tmp_path, genome, "chr1\t5\t15\n", file="x.fragments", missing="nan")
        assert "missing is 'nan' for counted reads" in caplog.text
        caplog.clear()
        build(tmp_path, genome, "chr1\t0\t10\t50\nchr1\t10\t20\t60\n", assay="WGBS", missing="nan")
        assert caplog.text == ""


def test_odd_values_are_warned_of(tmp_path, genome, caplog):
    with caplog.at_level(logging.WARNING, "seqmill"):
        build(tmp_path, genome, "chr1\t0\t10\t-3.2\n")
        assert "smallest bin -3.2, expected ≥ 0 (log ratio?" in caplog.text
        caplog.clear()
        build(tmp_path, genome, "chr1\t0\t3001\t2\n")
        assert "every bin is 2 (std 0)" in caplog.text


def test_centres_are_not_for_bam(tmp_path, genome):
    with pytest.raises(InputError, match="reads 'centres' is for fragment files"):
        build(tmp_path, genome, "x", file="x.bam", reads="centres")
