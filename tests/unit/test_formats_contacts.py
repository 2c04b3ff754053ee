"""Contact maps against plain numpy and cooler, and what damaged or hostile ones do."""

import shutil
import struct

import cooler
import h5py
import hictkpy
import numpy as np
import pandas as pd
import pytest
from tests.unit.contact_files import write_hic

from seqmill.formats.contact_header import check_contact_file
from seqmill.formats.contacts import ContactReader
from seqmill.runtime.errors import InputError, WorkerError

SIZES = {"chr1": 10_450, "chr2": 4_000, "chr3": 120}  # the last bin of chr1 is short; chr3 has no contacts
BINS = {"chr1": 105, "chr2": 40, "chr3": 2}
BP = 100


@pytest.fixture(scope="module")
def truth():
    """Upper triangles of random counts, sparser away from the diagonal; one row of chr1 is empty."""
    rng = np.random.default_rng(3)
    maps = {}
    for contig in ("chr1", "chr2"):
        places = np.arange(BINS[contig])
        maps[contig] = np.triu(rng.poisson(20 / (1 + np.abs(places[:, None] - places))))
    maps["chr1"][50], maps["chr1"][:, 50] = 0, 0
    maps["chr1"][3, 3] = 70_000
    return maps | {"chr3": np.zeros((2, 2), int)}


@pytest.fixture(scope="module")
def files(tmp_path_factory, truth):
    """The same map in each format, with a contact between contigs too."""
    folder = tmp_path_factory.mktemp("maps")
    first = dict(zip(BINS, np.cumsum([0, *BINS.values()]).tolist()))
    rows = [
        (first[contig] + i, first[contig] + j, int(counts[i, j]))
        for contig, counts in truth.items()
        for i, j in zip(*np.nonzero(counts))
    ]
    table = pd.DataFrame([*rows, (5, 110, 9)], columns=["bin1_id", "bin2_id", "count"])
    table = table.sort_values(["bin1_id", "bin2_id"])
    for writer in (
        hictkpy.hic.FileWriter(folder / "v9.hic", SIZES, [BP, 500]),
        hictkpy.cooler.FileWriter(folder / "m.cool", SIZES, BP),
    ):
        writer.add_pixels(table)
        writer.finalize()
    cooler.balance_cooler(
        cooler.Cooler(str(folder / "m.cool")), store=True, cis_only=True, ignore_diags=0, mad_max=0, min_nnz=1
    )
    cooler.zoomify_cooler(str(folder / "m.cool"), str(folder / "m.mcool"), [BP, 500], 10_000)
    cooler.balance_cooler(
        cooler.Cooler(f"{folder}/m.mcool::resolutions/{BP}"), store=True, cis_only=True, ignore_diags=0, mad_max=0
    )
    pixels = {c: [(int(i), int(j), int(m[i, j])) for i, j in zip(*np.nonzero(m))] for c, m in truth.items()}
    factors = np.random.default_rng(0).uniform(0.5, 2, BINS["chr1"])
    factors[7], factors[9] = np.nan, 0
    write_hic(folder / "v8.hic", SIZES, BP, pixels, version=8, norms={"KR": {"chr1": factors}})
    write_hic(folder / "kr9.hic", SIZES, BP, pixels, version=9, norms={"SCALE": {"chr1": factors}})
    return folder, factors


def whole(reader, contig, max_distance_bp=10**9):
    """All strips of a contig as one dense upper triangle."""
    out = np.zeros((reader.n_bins(contig),) * 2)
    seen = []
    for first, last, pixels in reader.strips(contig, max_distance_bp):
        seen += range(first, last)
        assert ((pixels.bin1 >= first) & (pixels.bin1 < last)).all()
        assert sorted(zip(pixels.bin1, pixels.bin2)) == list(zip(pixels.bin1, pixels.bin2))
        out[pixels.bin1, pixels.bin2] += pixels.value
    assert seen == list(range(reader.n_bins(contig)))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("file", ["v9.hic", "m.cool", "m.mcool", "v8.hic", "kr9.hic"])
def test_every_format_gives_the_counts(files, truth, file, monkeypatch):
    monkeypatch.setattr("seqmill.formats.contacts.STRIP_PIXELS", 400)  # a few rows at once
    with ContactReader(files[0] / file, SIZES, bin_bp=BP) as reader:
        for contig, counts in truth.items():
            np.testing.assert_array_equal(whole(reader, contig), counts)
            near = np.where(np.subtract.outer(range(len(counts)), range(len(counts))) >= -7, counts, 0)
            np.testing.assert_array_equal(whole(reader, contig, 799), near)
            np.testing.assert_array_equal(reader.weights(contig), np.ones(len(counts)))
        assert reader.counts == {}


def test_coarser_resolution(files, truth):
    with ContactReader(files[0] / "v9.hic", SIZES, bin_bp=500) as reader:
        expected = np.add.reduceat(np.add.reduceat(truth["chr1"], range(0, 105, 5), 0), range(0, 105, 5), 1)
        np.testing.assert_array_equal(whole(reader, "chr1"), expected)


@pytest.mark.parametrize("file", ["m.cool", "m.mcool"])
def test_cooler_balances_alike(files, file):
    place = f"{files[0]}/{file}" + ("" if file == "m.cool" else f"::resolutions/{BP}")
    with ContactReader(files[0] / file, SIZES, bin_bp=BP, normalization="weight") as reader:
        for contig in ("chr1", "chr2"):
            w = reader.weights(contig)
            expected = np.triu(cooler.Cooler(place).matrix(balance=True).fetch(contig))
            np.testing.assert_allclose(np.triu(whole(reader, contig) * w * w[:, None]), expected, rtol=1e-12)
        assert np.isnan(reader.weights("chr1")[50])


@pytest.mark.parametrize(("file", "name"), [("v8.hic", "KR"), ("kr9.hic", "SCALE")])
def test_vectors_of_hic_divide_and_mask(files, file, name):
    folder, factors = files
    with ContactReader(folder / file, SIZES, bin_bp=BP, normalization=name) as reader:
        expected = np.array([1 / d if d > 0 else np.nan for d in factors])  # NaN and 0 both mask
        np.testing.assert_allclose(reader.weights("chr1"), expected, rtol=1e-6)
        assert np.isnan(reader.weights("chr2")).all()  # the file has no vector for it


def test_names_are_harmonised_and_other_contigs_counted(files, truth):
    genome = {"1": SIZES["chr1"], "9": 5_000}
    with ContactReader(files[0] / "m.mcool", genome, bin_bp=BP) as reader:
        assert reader.contigs == {"1": "chr1"}
        assert reader.counts == {"contigs not in the genome": 2}
        np.testing.assert_array_equal(whole(reader, "1"), truth["chr1"])


def test_a_piece_of_a_genome_drops_what_lies_behind_it(files, truth):
    with ContactReader(files[0] / "v9.hic", {"chr1": 6_050}, bin_bp=BP, partial=True) as reader:
        np.testing.assert_array_equal(whole(reader, "chr1"), truth["chr1"][:61, :61])


def read_all(path, sizes=SIZES, **more):
    with ContactReader(path, sizes, **{"bin_bp": BP, **more}) as reader:
        for contig in reader.contigs:
            whole(reader, contig)
            reader.weights(contig)


def assert_refused(path, match, error=InputError, sizes=SIZES, **more):
    with pytest.raises(error, match=match) as caught:
        read_all(path, sizes, **more)
    assert str(caught.value).startswith(str(path))


def test_missing_resolution_and_normalisation_list_what_there_is(files):
    folder, _ = files
    assert_refused(folder / "v9.hic", r"has no resolution of 128 bp; it has 100, 500 bp: set bin_bp", bin_bp=128)
    assert_refused(folder / "m.cool", r"has no resolution of 500 bp; it has 100 bp", bin_bp=500)
    assert_refused(
        folder / "v8.hic", r"has no normalisation 'weight' at 100 bp; it has: KR \(or none", normalization="weight"
    )
    assert_refused(folder / "m.mcool", r"has no normalisation 'KR' at 100 bp; it has: weight", normalization="KR")


def test_another_assembly(files):
    other = {**SIZES, "chr1": 10_600}
    assert_refused(files[0] / "m.mcool", r"chr1 10,450 in the file, 10,600 in the genome", sizes=other)
    assert_refused(files[0] / "v8.hic", r"no contig is in the genome", sizes={"II": 10_450})


def test_what_is_no_contact_map(files, tmp_path):
    folder, _ = files
    (tmp_path / "page.hic").write_text("<!DOCTYPE html>" + " " * 100)
    assert_refused(tmp_path / "page.hic", r"is neither .hic nor .mcool or .cool \(first bytes 0x3C21444F\)")
    old = bytearray((folder / "v8.hic").read_bytes())
    struct.pack_into("<i", old, 4, 7)
    (tmp_path / "old.hic").write_bytes(old)
    assert_refused(tmp_path / "old.hic", r"\.hic of version 7; versions 8 and 9 can be read")
    (tmp_path / "empty.hic").write_bytes(b"")
    assert_refused(tmp_path / "empty.hic", r"is neither .hic")
    with h5py.File(tmp_path / "other.cool", "w") as file:
        file["x"] = np.arange(200)
    assert_refused(tmp_path / "other.cool", r"damaged or truncated contact map \(.*")


@pytest.mark.parametrize("file", ["v9.hic", "kr9.hic", "v8.hic", "m.cool", "m.mcool"])
def test_no_cut_file_is_taken(files, tmp_path, file):
    raw = (files[0] / file).read_bytes()
    taken = []
    for length in [*range(len(raw), len(raw) - 200, -1), *range(64, len(raw), 997)]:
        (tmp_path / file).write_bytes(raw[:length])
        try:
            check_contact_file(tmp_path / file)
            taken.append(length)
        except InputError as error:
            assert "truncated" in error.message  # noqa: PT017
    # a .hic that ends before its table of normalisations is one without any
    assert taken[0] == len(raw) and len(taken) <= 1 + (file == "v9.hic")


def test_pixels_that_cannot_be(files, tmp_path):
    def changed(change, name):
        shutil.copy(files[0] / "m.cool", tmp_path / name)
        with h5py.File(tmp_path / name, "r+") as file:
            change(file)
        return tmp_path / name

    def negative(file):
        file["pixels/count"][4] = -3

    def twice(file):
        file["pixels/bin2_id"][1] = file["pixels/bin2_id"][0]

    def square(file):
        file.attrs["storage-mode"] = "square"

    assert_refused(changed(negative, "negative.cool"), r"the contact at chr1:0 × 400 \(0-based\) is no count \(-3\)")
    assert_refused(changed(twice, "twice.cool"), r"chr1:0 × \d+ \(0-based\) comes twice|damaged or truncated")
    assert_refused(changed(square, "square.cool"), r"square")
    write_hic(tmp_path / "nan.hic", SIZES, BP, {"chr1": [(2, 5, float("nan"))]})
    assert_refused(tmp_path / "nan.hic", r"the contact at chr1:200 × 500 \(0-based\) is no count \(nan\)")


def test_a_map_may_not_reach_for_other_files(files, tmp_path):
    """HDF5 follows links to other files, and reads raw data from them, without a word."""
    folder, _ = files
    for name in ("link.cool", "raw.cool"):
        shutil.copy(folder / "m.cool", tmp_path / name)
    (tmp_path / "secret").write_bytes(bytes(range(256)) * 400)
    with h5py.File(tmp_path / "link.cool", "r+") as file:
        del file["pixels/count"]
        file["pixels/count"] = h5py.ExternalLink(str(folder / "m.cool"), "/pixels/count")
    with h5py.File(tmp_path / "raw.cool", "r+") as file:
        n = len(file["pixels/count"])
        del file["pixels/count"]
        file.create_dataset("pixels/count", (n,), "i4", external=[(str(tmp_path / "secret"), 0, 4 * n)])
    assert_refused(tmp_path / "link.cool", r"links to another file \(.*m\.cool\); a map must hold its own data")
    assert_refused(tmp_path / "raw.cool", r"damaged or truncated contact map")


def test_cells_and_unequal_bins(tmp_path):
    bins = pd.DataFrame({"chrom": "chr1", "start": [0, 100, 250], "end": [100, 250, 300]})
    pixels = pd.DataFrame({"bin1_id": [0], "bin2_id": [1], "count": [2]})
    cooler.create_cooler(str(tmp_path / "x.cool"), bins, pixels)
    assert_refused(tmp_path / "x.cool", r"has bins of unequal length", sizes={"chr1": 300})
    even = pd.DataFrame({"chrom": "chr1", "start": [0, 100, 200], "end": [100, 200, 300]})
    cooler.create_scool(str(tmp_path / "x.scool"), even, {"a": pixels, "b": pixels})
    assert_refused(tmp_path / "x.scool", r"\.scool of many cells", sizes={"chr1": 300})


@pytest.mark.parametrize("file", ["v8.hic", "m.cool"])
def test_flipped_bytes_end_in_an_error_or_in_numbers(files, tmp_path, file):
    """Whatever is in the file, this process gets an answer: counts, or one of two errors."""
    raw = (files[0] / file).read_bytes()
    rng = np.random.default_rng(11)
    refusals = 0
    for number in range(4):
        forged = bytearray(raw)
        places = rng.integers(0, len(raw) if number % 2 else min(len(raw), 2000), 6)
        for place, value in zip(places.tolist(), rng.integers(0, 256, 6).tolist()):
            forged[place] = value
        (tmp_path / file).write_bytes(forged)
        try:
            read_all(tmp_path / file, timeout_s=5)
        except (InputError, WorkerError) as error:
            refusals += str(error).startswith(f"{tmp_path / file}:")
    assert refusals
