"""The noun experiment, from libraries made by hand with planted peaks and shifts."""

import gzip
import shutil

import numpy as np
import pybigtools
import pysam
import pytest

from seqmill.config.reads import Experiment, Reads, output_file
from seqmill.config.sources import Genome
from seqmill.reads.experiment import build_experiment
from seqmill.reads.fragments import Fragments, write_fragments
from seqmill.runtime.errors import InputError, WorkerError
from seqmill.runtime.marker import read_marker, verify_folder
from seqmill.stores.genome import build_genome
from seqmill.stores.layout import noun_folder

needs_macs = pytest.mark.skipif(
    not (shutil.which("macs3") or shutil.which("macs2")), reason="macs is not installed (apt-get install macs)"
)
SIZES = {"chrI": 60_000, "chrII": 30_000, "quiet": 2_000, "chrM": 3_000}
SITES = {"chrI": [10_000, 30_000, 50_000], "chrII": [15_000]}


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genome")
    rng = np.random.default_rng(0)
    bases = {name: "".join(rng.choice(list("ACGT"), size)) for name, size in SIZES.items()}
    bases["quiet"] = "N" * SIZES["quiet"]
    (folder / "toy.fa").write_text("".join(f">{name}\n{text}\n" for name, text in bases.items()))
    build_genome(folder / "toy.zarr", name="toy", genome=Genome(fasta=folder / "toy.fa"))
    return folder / "toy.zarr"


def _fragments(seed, *, sites=SITES, n_site=200, n_noise=600, length=120):
    """Pairs: uniform noise and heaps around planted places."""
    rng = np.random.default_rng(seed)
    pieces = {}
    for contig in ("chrI", "chrII"):
        middle = [rng.integers(500, SIZES[contig] - 500, n_noise)]
        middle += [rng.normal(site, 60, n_site).astype(int) for site in sites.get(contig, [])]
        middle = np.concatenate(middle)
        half = rng.integers(length // 2 - 20, length // 2 + 20, len(middle))
        pieces[contig] = Fragments.of(middle - half, middle + half, rng.choice([-1, 1], len(middle)))
    return pieces


def _single(pieces, read=36):
    """One read of an end of each fragment."""
    out = {}
    for contig, (start, end, strand) in pieces.items():
        forward = strand > 0
        first = np.where(forward, start, end - read)
        out[contig] = Fragments.of(first, first + read, strand)
    return out


def _library(path, pieces, *, assay="atac", paired=True, sizes=SIZES, shift=None):
    with noun_folder(path, noun="library", label=path.name) as (part, attrs, _):
        write_fragments(part / "fragments.parquet", sizes, paired, pieces)
        attrs |= {"assay": assay, "paired": paired, "read_length": 36, "counts": {}, "shift": shift or {}}
    return path


def _info(assay, numbers, *, control="", strandedness="none"):
    return Experiment("x", assay, "", control, "", strandedness, {number: [] for number in numbers})


def _build(folder, genome, libraries, assay="atac", control=(), threads=1, **settings):
    name = "input" if control else ""
    return build_experiment(
        folder / "experiments/x", experiment=_info(assay, libraries, control=name), libraries=libraries,
        control=list(control), settings=Reads(**settings), genome=genome, threads=threads,
    )  # fmt: skip


def _signal(folder, output, contig="chrI", replicate="", replicates=1):
    file = pybigtools.open(str(folder / "experiments/x" / output_file(output, replicate, replicates=replicates)))
    return file.values(contig, 0, SIZES[contig], fillna=0)


def _peaks(path):
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    return [(row[0], int(row[1]) + int(row[9])) for row in rows]


def _cuts(pieces, contig, plus, minus):
    """By a loop: how often each base is cut."""
    out = np.zeros(SIZES[contig])
    for start, end in zip(pieces[contig].start.tolist(), pieces[contig].end.tolist()):
        out[start + plus] += 1
        out[end - 1 + minus] += 1
    return out


@needs_macs
def test_two_replicates_of_atac(tmp_path, genome):
    one, two = _fragments(1, sites=SITES | {"chrII": [5_000, *SITES["chrII"]]}), _fragments(2)
    libraries = {
        1: _library(tmp_path / "libraries/x.1", one),
        2: _library(tmp_path / "libraries/x.2", two, shift={"prior_plus": 4, "prior_minus": -5}),
    }
    marker = _build(tmp_path, genome, libraries, threads=3, seed=5)
    folder, attrs = tmp_path / "experiments/x", marker.attrs
    signals = ("cut_sites", "coverage", "fold_change", "p_value")
    files = {output_file(output, number, replicates=2) for output in signals for number in ("", "1", "2")}
    files |= {f"peaks{kind}.narrowPeak.gz" for kind in ("", ".rep1", ".rep2", ".pseudo1", ".pseudo2")}
    assert set(marker.files) == files | {"reproducible_peaks.narrowPeak.gz"}
    assert verify_folder(folder) == []

    # the second replicate was shifted before: nothing is added again
    first, second = _cuts(one, "chrI", 4, -5), _cuts(two, "chrI", 0, 0)
    np.testing.assert_array_equal(_signal(tmp_path, "cut_sites", replicate="1", replicates=2), first)
    np.testing.assert_array_equal(_signal(tmp_path, "cut_sites", replicate="2", replicates=2), second)
    np.testing.assert_array_equal(_signal(tmp_path, "cut_sites"), first + second)
    assert attrs["shift"] == {"1": [4, -5], "2": [0, 0]}

    # planted places come back; the one of replicate 1 alone is in the pooled halves, but not in both replicates
    found = _peaks(folder / "reproducible_peaks.narrowPeak.gz")
    planted = [("chrI", site) for site in SITES["chrI"]] + [("chrII", 5_000), ("chrII", 15_000)]
    for contig, site in planted:
        assert any(name == contig and abs(summit - site) < 150 for name, summit in found)
    counts, about = attrs["peaks"], attrs["reproducibility"]
    assert (about["method"], about["Nt"], about["Np"], about["chosen"]) == ("overlap", 4, 5, "pooled")
    assert about["rescue"] == 1.25 and about["verdict"] == "pass" and (about["N1"], about["N2"]) == (5, 4)
    assert counts["reproducible"] == len(found) == 5
    assert counts["pooled"] == len(_peaks(folder / "peaks.narrowPeak.gz")) >= 5
    assert set(counts) == {"pooled", "rep1", "rep2", "pseudo1", "pseudo2", "reproducible"}
    command = attrs["commands"]["rep2"]
    expected = "-p 0.01 -s 36 --nomodel --shift -75 --extsize 150 --keep-dup all --call-summits -B --SPMR"
    assert expected in command and "-g 93000" in command and str(tmp_path) not in command
    assert "rep1.pseudo2" in attrs["commands"] and attrs["macs"]

    # known contigs without reads are known to be 0, excluded ones are not known
    for output in ("cut_sites", "fold_change", "p_value"):
        contigs = pybigtools.open(str(folder / f"{output}.bw")).chroms()
        assert "quiet" in contigs and "chrM" not in contigs
    assert _signal(tmp_path, "fold_change")[9_900:10_100].min() > 3


@needs_macs
def test_threads_and_repeats_give_the_same_bytes(tmp_path, genome):
    digests = []
    for number, threads in enumerate((1, 4)):
        folder = tmp_path / str(number)
        libraries = {1: _library(folder / "libraries/x.1", _fragments(1, n_noise=200))}
        digests.append(_build(folder, genome, libraries, threads=threads).digest)
    assert digests[0] == digests[1]


@needs_macs
def test_one_replicate_is_written_once(tmp_path, genome):
    marker = _build(tmp_path, genome, {3: _library(tmp_path / "libraries/x.3", _fragments(3))})
    assert not [file for file in marker.files if "rep3" in file]
    assert marker.attrs["reproducibility"]["verdict"] == "not judged"
    assert marker.attrs["replicates"] == [3]
    found = _peaks(tmp_path / "experiments/x/reproducible_peaks.narrowPeak.gz")
    assert any(name == "chrII" and abs(summit - 15_000) < 150 for name, summit in found)


@pytest.mark.slow
@needs_macs
def test_chip_with_control_and_single_reads(tmp_path, genome):
    both = {"chrI": [*SITES["chrI"], 40_000], "chrII": SITES["chrII"]}
    pieces = [_single(_fragments(seed, sites=both, n_noise=2000, length=200)) for seed in (1, 2)]
    libraries = {
        number: _library(tmp_path / f"libraries/x.{number}", one, assay="chip", paired=False)
        for number, one in enumerate(pieces, 1)
    }
    background = _single(_fragments(9, sites={"chrI": [40_000]}, n_noise=2000, length=200))
    control = _library(tmp_path / "libraries/input.1", background, assay="chip", paired=False)
    attrs = _build(tmp_path, genome, libraries, "chip", [control], reproducibility="idr").attrs
    assert abs(attrs["fragment_bp"] - 200) <= 25
    assert attrs["fragment_lengths"]["rep1"]["from"] == "cross-correlation"
    found = _peaks(tmp_path / "experiments/x/peaks.narrowPeak.gz")
    assert any(name == "chrI" and abs(summit - 30_000) < 150 for name, summit in found)
    assert not any(name == "chrI" and abs(summit - 40_000) < 200 for name, summit in found)
    command = attrs["commands"]["pooled"]
    assert "-c control.bed" in command and f"--shift 0 --extsize {attrs['fragment_bp']} " in command
    assert "--call-summits" not in command
    assert attrs["reproducibility"]["method"] == "idr" and set(attrs["reproducibility"]["mixtures"]) >= {"pooled"}
    assert attrs["control"] == ["input.1"]
    fold = _signal(tmp_path, "fold_change")
    assert fold[29_950:30_050].mean() > 3 * fold[39_950:40_050].mean()


@pytest.mark.slow
@needs_macs
def test_stated_length_is_for_single_reads_only(tmp_path, genome):
    pairs = _library(tmp_path / "libraries/x.1", _fragments(1, length=200), assay="chip")
    reads = _library(tmp_path / "libraries/x.2", _single(_fragments(2, length=200)), assay="chip", paired=False)
    attrs = _build(tmp_path, genome, {1: pairs, 2: reads}, "chip", fragment_bp=300).attrs
    lengths = attrs["fragment_lengths"]
    assert lengths["rep2"] == {"bp": 300, "from": "stated"} and lengths["rep1"]["from"] == "median"
    assert abs(lengths["rep1"]["bp"] - 200) <= 4
    assert lengths["pooled"] == {"bp": round((300 + lengths["rep1"]["bp"]) / 2), "from": "mean"}
    assert "--extsize 300 " in attrs["commands"]["rep2.pseudo1"]


@needs_macs
def test_hardly_any_reads_give_empty_peaks(tmp_path, genome):
    one = Fragments.of(np.array([100]), np.array([180]), np.array([1]))
    attrs = _build(tmp_path, genome, {1: _library(tmp_path / "libraries/x.1", {"chrI": one})}, peak_p=1e-9).attrs
    assert attrs["peaks"]["reproducible"] == 0 and attrs["reproducibility"]["Np"] == 0
    assert gzip.decompress((tmp_path / "experiments/x/reproducible_peaks.narrowPeak.gz").read_bytes()) == b""


@needs_macs
def test_strands_that_tell_no_length_are_warned_of(tmp_path, genome, caplog):
    one = Fragments.of(np.array([100]), np.array([140]), np.array([1]))
    library = _library(tmp_path / "libraries/x.1", {"chrI": one}, assay="chip", paired=False)
    attrs = _build(tmp_path, genome, {1: library}, "chip").attrs
    assert attrs["fragment_lengths"] == {"pooled": {"bp": 200, "from": "default"}}
    assert "replicate 1: strands do not tell the fragment length: 200 bp taken (reads.fragment_bp)" in caplog.text


def test_mnase_has_centres_of_nucleosomes_and_no_peaks(tmp_path, genome):
    start = np.array([1000, 2000, 3000])
    pieces = {"chrI": Fragments.of(start, start + np.array([147, 100, 180]), np.ones(3))}
    marker = _build(tmp_path, genome, {1: _library(tmp_path / "libraries/x.1", pieces, assay="mnase")}, "mnase")
    assert set(marker.files) == {"centres.bw", "coverage.bw"} and "peaks" not in marker.attrs
    assert np.flatnonzero(_signal(tmp_path, "centres")).tolist() == [1073, 3090]
    assert _signal(tmp_path, "coverage").sum() == 147 + 100 + 180


def _rna_library(path, reads):
    """Alignments (start, cigar, reverse) of single reads on chrI."""
    with noun_folder(path, noun="library", label=path.name) as (part, attrs, _):
        write_fragments(part / "fragments.parquet", SIZES, False, {"chrI": Fragments.of(*np.array([[1], [9], [1]]))})
        header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": n, "LN": size} for n, size in SIZES.items()]}
        with pysam.AlignmentFile(part / "filtered.bam", "wb", header=header) as out:
            for number, (start, cigar, reverse) in enumerate(sorted(reads)):
                record = pysam.AlignedSegment(out.header)
                record.query_name, record.reference_id, record.reference_start = f"r{number}", 0, start
                record.cigarstring, record.flag, record.mapping_quality = cigar, 16 * reverse, 60
                length = record.infer_query_length()
                record.query_sequence, record.query_qualities = "A" * length, pysam.qualitystring_to_array("I" * length)
                out.write(record)
        pysam.index(str(part / "filtered.bam"))
        attrs |= {"assay": "rna", "paired": False, "read_length": 20, "counts": {}, "shift": {}}
    return path


@pytest.mark.slow
def test_rna_is_covered_by_strand_without_introns(tmp_path, genome):
    libraries = {
        1: _rna_library(tmp_path / "libraries/x.1", [(100, "10M50N10M", 0), (1000, "20M", 1)]),
        2: _rna_library(tmp_path / "libraries/x.2", [(105, "20M", 0)]),
    }
    folder = tmp_path / "experiments/x"
    marker = build_experiment(
        folder, experiment=_info("rna", [1, 2], strandedness="reverse"), libraries=libraries, control=[],
        settings=Reads(), genome=genome,
    )  # fmt: skip
    assert len(marker.files) == 9 and "coverage.plus.rep2.bw" in marker.files and "peaks" not in marker.attrs
    # dUTP: a read on the + strand is of a transcript of the - strand
    minus, plus, both = np.zeros(2000), np.zeros(2000), np.zeros(2000)
    minus[100:110] += 1
    minus[160:170] += 1
    minus[105:125] += 1
    plus[1000:1020] += 1
    both += minus + plus
    for name, expected in (("coverage.minus.bw", minus), ("coverage.plus.bw", plus), ("coverage.bw", both)):
        found = pybigtools.open(str(folder / name)).values("chrI", 0, 2000, fillna=0)
        np.testing.assert_array_equal(found, expected)
    alone = pybigtools.open(str(folder / "coverage.minus.rep2.bw")).values("chrI", 0, 2000, fillna=0)
    assert alone.sum() == 20 and "chrM" not in pybigtools.open(str(folder / "coverage.bw")).chroms()


def test_libraries_that_do_not_fit_are_refused(tmp_path, genome):
    folder = tmp_path / "libraries"
    other = _library(folder / "a.1", {}, sizes={"chrI": 60_001})
    with pytest.raises(InputError, match=r"a\.1: library was made on other contigs than genome toy has"):
        _build(tmp_path, genome, {1: other})
    wrong = _library(folder / "b.1", _fragments(1), assay="dnase")
    with pytest.raises(InputError, match=r"b\.1: is a library of assay dnase, experiment x is atac"):
        _build(tmp_path, genome, {1: wrong})
    empty = _library(folder / "c.1", {})
    with pytest.raises(InputError, match=r"c\.1: 0 fragments, nothing to make experiment x of"):
        _build(tmp_path, genome, {1: empty})
    assert not (tmp_path / "experiments").exists()


def test_nothing_is_left_when_macs_fails(tmp_path, genome, monkeypatch):
    def fail(*_, **__):
        raise WorkerError("peaks of pooled: macs2 failed (exit status 1): no space left")

    monkeypatch.setattr("seqmill.reads.peaks.pipeline", fail)
    with pytest.raises(WorkerError, match="no space left"):
        _build(tmp_path, genome, {1: _library(tmp_path / "libraries/x.1", _fragments(1))})
    assert [path.name for path in (tmp_path / "experiments").iterdir()] == []


@needs_macs
def test_inputs_and_settings_are_recorded(tmp_path, genome):
    library = _library(tmp_path / "libraries/x.1", _fragments(1, n_noise=100))
    marker = _build(tmp_path, genome, {1: library}, genome_bp=90_000)
    assert marker.attrs["inputs"]["libraries/x.1"] == read_marker(library).digest
    assert marker.attrs["genome_bp"] == 90_000 and marker.attrs["outputs"][0] == "cut_sites"
