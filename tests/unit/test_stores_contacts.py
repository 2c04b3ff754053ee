"""Stores of contact maps: windows against dense matrices, and what cannot be stored."""

import numpy as np
import pytest
from tests.unit.contact_files import write_hic

from seqmill.config.sheet import Track, read_sheet
from seqmill.config.sources import Genome
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader, build_genome
from seqmill.stores.track import TrackReader, build_track
from seqmill.stores.verify import verify

BP, SIZES = 100, {"chr1": 6_050, "chr2": 2_000, "chrM": 500}
BINS = {"chr1": 61, "chr2": 20}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Genome, file, dense upper triangles and divisive factors; the file does not hold chrM."""
    folder = tmp_path_factory.mktemp("contacts")
    (folder / "toy.fa").write_text(
        "".join(f">{name}\n{'ACGT' * (size // 4)}{'A' * (size % 4)}\n" for name, size in SIZES.items())
    )
    build_genome(folder / "toy.zarr", name="toy", genome=Genome(fasta=folder / "toy.fa"))
    rng = np.random.default_rng(5)
    maps = {contig: np.triu(rng.poisson(1.5, (n, n))) for contig, n in BINS.items()}
    factors = {contig: rng.uniform(0.5, 2, n) for contig, n in BINS.items()}
    factors["chr1"][[4, 30]] = np.nan
    pixels = {c: [(int(i), int(j), int(m[i, j])) for i, j in zip(*np.nonzero(m))] for c, m in maps.items()}
    sizes = {contig: SIZES[contig] for contig in BINS}
    write_hic(folder / "toy.hic", sizes, BP, pixels, version=8, norms={"KR": factors})
    return folder, GenomeReader(folder / "toy.zarr"), maps, factors


def build(tmp_path, world, *, on_bad_track="fail", **more):
    folder, genome, *_ = world
    row = {"track": "map", "location": str(folder / "toy.hic"), "format": "hic", "bin_bp": BP, **more}
    build_track(tmp_path / "map.zarr", track=Track(**row), genome=genome, partial=False, on_bad_track=on_bad_track)
    return TrackReader(tmp_path / "map.zarr")


def dense(upper, factors, start, n, band, balanced):
    """The window, pixel after pixel."""
    out = np.full((n, n), np.nan)
    for a in range(n):
        for b in range(n):
            i, j = sorted((start + a, start + b))
            known = i >= 0 and j < len(upper) and j - i <= band
            if known and not np.isnan(factors[i]) and not np.isnan(factors[j]):
                out[a, b] = upper[i, j] / (factors[i] * factors[j]) if balanced else upper[i, j]
    return out


@pytest.mark.parametrize("max_distance_bp", [1_000, 100_000])
def test_windows(tmp_path, world, max_distance_bp):
    _, _, maps, factors = world
    reader = build(tmp_path, world, normalization="KR", max_distance_bp=max_distance_bp)
    assert (reader.kind, reader.bin_bp, reader.state) == ("contacts", BP, "ok")
    for contig, start, n in [("chr1", 0, 61), ("chr1", 25, 16), ("chr1", -3, 9), ("chr1", 55, 12), ("chr2", 19, 1)]:
        for balanced in (True, False):
            found = reader.contacts(contig, start, n, balanced=balanced)
            expected = dense(maps[contig], factors[contig], start, n, max_distance_bp // BP, balanced)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isnan(reader.contacts("chr1", 70, 3)).all() and reader.contacts("chr1", 70, 3).shape == (3, 3)
    assert np.isnan(reader.contacts("chrM", 0, 2)).all()


def test_without_normalisation_nothing_is_masked(tmp_path, world):
    reader = build(tmp_path, world)
    _, _, maps, _ = world
    full = maps["chr1"] + np.triu(maps["chr1"], 1).T
    np.testing.assert_array_equal(reader.contacts("chr1", 0, 61), full)
    np.testing.assert_array_equal(reader.contacts("chr1", 0, 61, balanced=False), full)


def test_passes_over_rows_give_every_contact_once(tmp_path, world):
    _, _, maps, factors = world
    reader = build(tmp_path, world, normalization="KR", max_distance_bp=900)
    out = np.zeros((61, 61))
    for first in range(0, 70, 7):
        bin1, bin2, value = reader.contact_rows("chr1", first, first + 7)
        assert ((bin1 >= first) & (bin1 < first + 7)).all()
        out[bin1, bin2] += value
    np.testing.assert_array_equal(out, np.triu(maps["chr1"]) - np.triu(maps["chr1"], 10))
    np.testing.assert_allclose(reader.contact_weights("chr1"), 1 / factors["chr1"], rtol=1e-7)
    assert len(reader.contact_rows("chrM", 0, 5)[0]) == len(reader.contact_weights("chrM")) == 0


def test_what_the_store_says_of_itself(tmp_path, world):
    _, _, maps, _ = world
    reader = build(tmp_path, world, normalization="KR", max_distance_bp=900)
    stored = sum(np.count_nonzero(np.triu(m) - np.triu(m, 10)) for m in maps.values())
    said = {
        key: reader.attrs[key] for key in ("units", "normalization", "max_distance_bp", "contacts", "counts", "absent")
    }
    assert said == {
        "units": "contacts",
        "normalization": "KR",
        "max_distance_bp": 900,
        "contacts": stored,
        "counts": {"masked bins": 2},
        "absent": ["chrM"],
    }
    assert verify(tmp_path) == []
    assert "hictkpy" in (tmp_path / "map.zarr/run.json").read_text()
    with pytest.raises(InputError, match="track map holds contacts, signal asked for"):
        reader.bins("chr1", 0, 3)


def test_refused_maps_leave_nothing(tmp_path, world):
    folder, *_ = world
    with pytest.raises(InputError, match="has no resolution of 128 bp; it has 100 bp: set bin_bp of the track"):
        build(tmp_path, world, bin_bp=128)
    with pytest.raises(InputError, match="track map has no bin_bp: set it to a resolution of the file"):
        build(tmp_path, world, bin_bp=None)
    sizes = {contig: SIZES[contig] for contig in BINS}
    write_hic(folder / "far.hic", sizes, BP, {"chr1": [(0, 50, 3)]})
    with pytest.raises(InputError, match=r"far.hic: no data: 0 contacts within 4,000 bp on the 2 contig\(s\) shared"):
        build(tmp_path, world, location=str(folder / "far.hic"), max_distance_bp=4_000)
    nothing = {contig: np.full(n, np.nan) for contig, n in BINS.items()}
    write_hic(folder / "masked.hic", sizes, BP, {"chr1": [(0, 5, 3)]}, norms={"VC": nothing})
    with pytest.raises(InputError, match="normalisation 'VC' masks all 81 bins"):
        build(tmp_path, world, location=str(folder / "masked.hic"), normalization="VC")
    assert list(tmp_path.iterdir()) == []


def test_a_bad_map_may_be_masked(tmp_path, world):
    reader = build(tmp_path, world, bin_bp=128, on_bad_track="mask")
    assert reader.state == "masked" and "no resolution of 128 bp" in reader.attrs["reason"]
    assert np.isnan(reader.contacts("chr1", 0, 4)).all()


def test_rows_of_the_sheet(tmp_path):
    sheet = tmp_path / "tracks.tsv"
    sheet.write_text(
        "track\tlocation\tbin_bp\tnormalization\tmax_distance_bp\na\tx.mcool\t5000\tweight\t1000000\nb\ty.hic\t\t\t\n"
    )
    one, two = read_sheet(sheet)
    assert (one.kind, one.format, one.bin_bp, one.normalization, one.max_distance_bp) == (
        "contacts", "mcool", 5000, "weight", 1_000_000,
    )  # fmt: skip
    assert (two.kind, two.format, two.normalization, two.max_distance_bp) == ("contacts", "hic", "none", 2_000_000)
    sheet.write_text("track\tlocation\tnormalization\na\tx.bw\tKR\n")
    with pytest.raises(InputError, match="column 'normalization' is for contact maps; leave it empty for bigwig"):
        read_sheet(sheet)
