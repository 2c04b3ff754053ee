"""The noun quality, from libraries and experiments made by hand."""

import gzip
import json

import numpy as np
import pytest

from seqmill.config.reads import Experiment, Reads, output_file
from seqmill.config.sources import Genome
from seqmill.formats.bigwig_out import write_bigwig
from seqmill.reads.fragments import Fragments, write_fragments
from seqmill.reads.quality import build_quality
from seqmill.reads.quality_table import read_quality
from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.marker import read_marker, verify_folder
from seqmill.stores.genome import build_genome
from seqmill.stores.layout import noun_folder

SIZES = {"chr1": 30_000, "chrM": 3_000}
COUNTS = {
    "reads_raw": 2000, "reads_trimmed": 300, "reads": 1900, "mapped": 1800, "excluded_by_contig": {"chrM": 180},
    "fragments_before_duplicates": 700, "distinct": 600, "once": 520, "twice": 60, "duplicates": 200,
}  # fmt: skip


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genome")
    fasta, rng = folder / "toy.fa", np.random.default_rng(0)
    fasta.write_text("".join(f">{name}\n{''.join(rng.choice(list('ACGT'), size))}\n" for name, size in SIZES.items()))
    build_genome(folder / "toy.zarr", name="toy", genome=Genome(fasta=fasta))
    return folder / "toy.zarr"


def library(folder, number, assay, paired, rows):
    path = folder / f"libraries/x.{number}"
    with noun_folder(path, noun="library", label=path.name) as (part, attrs, _):
        write_fragments(part / "fragments.parquet", SIZES, paired, {"chr1": Fragments.of(*np.array(rows).T)})
        attrs |= {"assay": assay, "paired": paired, "read_length": 40, "counts": COUNTS, "shift": {}}
    return path


def experiment(folder, output, numbers, spans, **attrs):
    """An experiment whose signal is the number of the replicate times a slope, plus what is told apart by place."""
    path = folder / "experiments/x"
    with noun_folder(path, noun="experiment", label="x") as (part, out, _):
        names = ["", *map(str, numbers)] if len(numbers) > 1 else [""]
        starts = np.arange(0, 30_000, 1000)
        for name in names:
            values = (1.0 + starts / 1000) * int(name or 1)
            values[:5] += 3.0 * (name == "2")
            file = part / output_file(output, name, replicates=len(numbers))
            write_bigwig(file, SIZES, [("chr1", starts, starts + 1000, values)])
        if spans is not None:
            lines = [f"chr1\t{start}\t{end}\tp\t0\t.\t5\t4\t3\t0\n" for start, end in spans]
            (part / "peaks.narrowPeak.gz").write_bytes(gzip.compress("".join(lines).encode()))
        out |= {"shift": {str(number): [0, 0] for number in numbers}} | attrs
    return path


def fragments(seed, number=600, length=120):
    rng = np.random.default_rng(seed)
    start = np.concatenate([rng.integers(0, 29_000, number // 2), rng.integers(9_700, 10_200, number // 2)])
    return [(s, s + length + s % 60, 1 - 2 * (s % 2)) for s in start.tolist()]


def info(assay, numbers, target=""):
    return Experiment("x", assay, target, "", "toy", "none", {number: [] for number in numbers})


def starts_file(folder):
    path = folder / "tss.bed"
    path.write_text("1\t10000\t10001\tg\t0\t+\n1\t20000\t20001\th\t0\t-\nMT\t2500\t2501\tm\t0\t+\n")
    return path


def metrics_of(folder):
    return read_quality(folder)[2]


def by_name(rows):
    return {(row["metric"], row["replicate"]): row for row in rows}


def test_quality_of_two_atac_replicates(tmp_path, genome):
    libraries = {number: library(tmp_path, number, "atac", True, fragments(number)) for number in (2, 1)}
    made = experiment(
        tmp_path, "cut_sites", (1, 2), [(9_700, 10_300)],
        peaks={"pooled": 1, "rep1": 3, "rep2": 4, "pseudo1": 1, "pseudo2": 1, "reproducible": 1},
        reproducibility={"rescue": 1.5, "self_consistency": 2.5},
    )  # fmt: skip
    folder = tmp_path / "quality/x"
    marker = build_quality(
        folder, experiment=made, libraries=libraries, info=info("atac", (1, 2)), settings=Reads(), genome=genome,
        tss=starts_file(tmp_path),
    )  # fmt: skip
    metrics = metrics_of(folder)
    rows = by_name(metrics["rows"])
    assert {metric for metric, _ in rows} == {
        "depth", "adapter_fraction", "mapped_fraction", "duplicate_fraction", "mitochondrial_fraction", "nrf", "pbc1",
        "pbc2", "fragment_bp", "nucleosome_free_fraction", "mono_nucleosome_fraction", "tss_enrichment", "frip",
        "peaks", "reproducible_peaks", "rescue_ratio", "self_consistency_ratio", "replicate_pearson",
        "replicate_spearman",
    }  # fmt: skip
    assert rows["depth", "1"]["value"] == 600 and ("depth", "pooled") not in rows
    assert rows["duplicate_fraction", "1"]["value"] == pytest.approx(200 / 1400)
    assert rows["peaks", "pooled"]["value"] == 1 and rows["peaks", "2"]["value"] == 4
    inside = total = 0
    for number in (1, 2):
        tags = [tag for start, end, _ in fragments(number) for tag in ((start, start + 40), (end - 40, end))]
        found = sum(first < 10_300 and last > 9_700 for first, last in tags)
        assert rows["frip", str(number)]["value"] == pytest.approx(found / len(tags)) and found
        inside, total = inside + found, total + len(tags)
    assert rows["frip", "pooled"]["value"] == pytest.approx(inside / total)
    assert rows["frip", "pooled"]["lower"] < inside / total < rows["frip", "pooled"]["upper"]
    one = 1.0 + np.arange(30)
    two = 2 * one + 3.0 * (np.arange(30) < 5)
    assert rows["replicate_pearson", "pooled"]["value"] == pytest.approx(np.corrcoef(one, two)[0, 1], abs=1e-6)
    assert rows["replicate_pearson", "pooled"]["n"] == 30
    profile = metrics["tss_profile"]
    assert profile["starts"] == 2 and profile["left_out"] == {"on excluded contigs": 1}
    assert set(profile["values"]) == {"1", "2", "pooled"} and len(profile["positions"]) == 400
    sums = np.array(list(metrics["fragment_sizes"].values()))
    assert sums.shape == (2, 1001) and sums.sum(axis=1).tolist() == [600, 600]
    assert marker.attrs["findings"] == metrics["findings"] and marker.attrs["verdict"] == "warning"
    assert {name for name in marker.files if name.endswith(".png")} == {
        "fragment_sizes.png", "tss_profile.png", "agreement.png",
    }  # fmt: skip
    assert set(marker.attrs["inputs"]) == {"experiments/x", "libraries/x.1", "libraries/x.2", "genome/toy.zarr"}
    assert verify_folder(folder) == []


def test_single_chip_reads_have_strands_and_moved_tags(tmp_path, genome):
    rng = np.random.default_rng(3)
    sites = np.repeat(rng.integers(1000, 14_000, 30), 20)
    start = sites + rng.integers(-10, 10, len(sites))
    reads = [(s, s + 40, 1) if s % 2 else (s + 110, s + 150, -1) for s in start.tolist()]
    reads += [(s, s + 40, 1 if i % 2 else -1) for i, s in enumerate(rng.integers(0, 15_000, 5000).tolist())]
    libraries = {1: library(tmp_path, 1, "chip", False, reads)}
    spans = [(2000, 2600), (9000, 9700)]
    lengths = {"pooled": {"bp": 150, "from": "cross-correlation"}}
    made = experiment(
        tmp_path, "fold_change", (1,), spans, fragment_bp=150, fragment_lengths=lengths, peaks={"pooled": 2}
    )
    marker = build_quality(
        tmp_path / "quality/x", experiment=made, libraries=libraries, info=info("chip", (1,), "CTCF"),
        settings=Reads(), genome=genome, tss=None,
    )  # fmt: skip
    metrics = metrics_of(tmp_path / "quality/x")
    moved = [(start + strand * 75, end + strand * 75) for start, end, strand in reads]
    inside = sum(any(first < end and last > start for start, end in spans) for first, last in moved)
    rows = by_name(metrics["rows"])
    assert rows["frip", "1"]["value"] == pytest.approx(inside / len(reads)) and inside
    assert rows["frip", "1"]["n"] == len(reads) and rows["peaks", "pooled"]["value"] == 2
    assert abs(rows["fragment_bp", "1"]["value"] - 150) <= 10 and rows["nsc", "1"]["value"] > 1
    assert rows["rsc", "1"]["value"] > 0
    assert not {"tss_enrichment", "nucleosome_free_fraction", "replicate_pearson"} & {metric for metric, _ in rows}
    assert metrics["absent"] == [
        {"metric": "rescue_ratio", "replicate": "pooled", "why": "one replicate only"},
        {"metric": "self_consistency_ratio", "replicate": "pooled", "why": "one replicate only"},
    ]
    assert [name for name in marker.files if name.endswith(".png")] == ["cross_correlation.png"]


def test_rna_has_depth_and_agreement_but_no_complexity(tmp_path, genome):
    libraries = {number: library(tmp_path, number, "rna", False, fragments(number)) for number in (1, 2)}
    made = experiment(tmp_path, "coverage", (1, 2), None)
    build_quality(
        tmp_path / "quality/x", experiment=made, libraries=libraries, info=info("rna", (1, 2)), settings=Reads(),
        genome=genome, tss=starts_file(tmp_path),
    )  # fmt: skip
    metrics = metrics_of(tmp_path / "quality/x")
    assert {row["metric"] for row in metrics["rows"]} == {
        "depth", "adapter_fraction", "mapped_fraction", "duplicate_fraction", "mitochondrial_fraction",
        "replicate_pearson", "replicate_spearman",
    }  # fmt: skip
    assert metrics["absent"] == [] and metrics["agreement"]["output"] == "coverage"


def test_what_cannot_be_measured_is_said(tmp_path, genome):
    libraries = {1: library(tmp_path, 1, "atac", False, fragments(1))}
    made = experiment(
        tmp_path, "cut_sites", (1,), [], peaks={"pooled": 0, "reproducible": 0},
        fragment_bp=None, fragment_lengths={}, reproducibility={"rescue": None, "self_consistency": None},
    )  # fmt: skip
    build_quality(
        tmp_path / "quality/x", experiment=made, libraries=libraries, info=info("atac", (1,)), settings=Reads(),
        genome=genome, tss=None,
    )  # fmt: skip
    metrics = metrics_of(tmp_path / "quality/x")
    why = {(lack["metric"], lack["replicate"]): lack["why"] for lack in metrics["absent"]}
    assert why["tss_enrichment", "1"] == "no transcription starts: set reads.tss"
    assert why["nucleosome_free_fraction", "1"] == "single reads do not tell the length of fragments"
    rows = by_name(metrics["rows"])
    assert rows["frip", "1"]["value"] == rows["peaks", "pooled"]["value"] == 0
    assert rows["reproducible_peaks", "pooled"]["value"] == 0


def test_the_same_bytes_again_and_nothing_left_of_a_failure(tmp_path, genome):
    libraries = {1: library(tmp_path, 1, "atac", True, fragments(1))}
    made = experiment(tmp_path, "cut_sites", (1,), [(9_700, 10_300)], peaks={"pooled": 1})
    given = {"experiment": made, "libraries": libraries, "info": info("atac", (1,)), "genome": genome}
    folder = tmp_path / "quality/x"
    first = build_quality(folder, **given, settings=Reads(), tss=starts_file(tmp_path))
    assert build_quality(folder, **given, settings=Reads(), tss=starts_file(tmp_path)).files == first.files
    bad = tmp_path / "bad.bed"
    bad.write_text("chr1\t10000\t10001\n")
    with pytest.raises(InputError, match="no strand"):
        build_quality(tmp_path / "quality/y", **given, settings=Reads(), tss=bad)
    assert sorted(path.name for path in (tmp_path / "quality").iterdir() if not path.name.endswith(".lock")) == ["x"]
    assert read_marker(folder).digest == first.digest


def test_metrics_that_were_changed_are_damage(tmp_path, genome):
    libraries = {1: library(tmp_path, 1, "mnase", True, fragments(1))}
    made = experiment(tmp_path, "centres", (1,), None)
    folder = tmp_path / "quality/x"
    build_quality(
        folder,
        experiment=made,
        libraries=libraries,
        info=info("mnase", (1,)),
        settings=Reads(),
        genome=genome,
        tss=None,
    )
    assert {row["metric"] for row in metrics_of(folder)["rows"]} >= {"mono_nucleosome_fraction", "nrf", "fragment_bp"}
    text = json.loads((folder / "metrics.json").read_text())
    text["rows"][0]["value"] = 10**9
    (folder / "metrics.json").write_text(json.dumps(text))
    with pytest.raises(DamageError, match=r"metrics\.json: "):
        metrics_of(folder)
