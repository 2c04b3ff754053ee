"""From reads to one marked BAM: what becomes of every read of a library whose truth is known."""

import hashlib
import json
import random

import pysam
import pytest
from tests.unit.reads_examples import (
    READ_BP,
    SIZES,
    Insert,
    needs_programs,
    planned_pairs,
    reads_of,
    sequences,
    slow_complexity,
    write_fastq,
    write_genome,
    write_index,
)

from seqmill.reads.align import MARKED, Source, aligner_command, keep_and_mark, place_reads
from seqmill.reads.gate import Plan, screen
from seqmill.reads.index import index_prefix, write_fasta
from seqmill.runtime.errors import InputError, WorkerError
from seqmill.runtime.marker import read_marker
from seqmill.stores.genome import GenomeReader

BASES = sequences()


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return write_genome(tmp_path_factory.mktemp("genome"), BASES)


@pytest.fixture(scope="module")
def indexes(genome):
    return {aligner: write_index(genome.parent, genome, aligner) for aligner in ("bowtie2", "bwa", "hisat2")}


def plan_of(paired=True, excluded=("chrM",)):
    return Plan(paired, 30, 2000, {contig: contig for contig in SIZES}, dict(SIZES), list(excluded))


def source(work, index, aligner, number, reads, paired=True, threads=1):
    command = aligner_command(
        aligner,
        str(index / "genome"),
        place_reads(work, number, [path for path in reads if path]),
        max_fragment_bp=2000,
        strandedness="none",
        threads=threads,
    )
    return Source([command], plan_of(paired), "aligning toy")


def places(bam, paired=True):
    """(contig, start, end, strand of read 1) of what is no duplicate, by the slow way: both mates by name."""
    found, mates = [], {}
    with pysam.AlignmentFile(str(bam)) as file:
        for read in file.fetch(until_eof=True):
            if read.is_duplicate:
                continue
            strand = -1 if read.is_reverse else 1
            if not paired:
                found.append((read.reference_name, read.reference_start, read.reference_end, strand))
            elif read.query_name in mates:
                other = mates.pop(read.query_name)
                first = read if read.is_read1 else other
                start = min(read.reference_start, other.reference_start)
                end = max(read.reference_end, other.reference_end)
                found.append((read.reference_name, start, end, -1 if first.is_reverse else 1))
            else:
                mates[read.query_name] = read
    assert not mates
    return sorted(found)


@needs_programs
@pytest.mark.parametrize("aligner", ["bowtie2", "bwa", "hisat2"])
def test_the_index_has_the_same_bytes_on_every_run(tmp_path, genome, indexes, aligner):
    again = read_marker(write_index(tmp_path, genome, aligner, threads=2))
    first = read_marker(indexes[aligner])
    assert again.digest == first.digest
    assert first.attrs["aligner"] == aligner
    assert first.attrs["sizes"] == [list(one) for one in SIZES.items()]
    assert all(path.startswith("genome.") and not path.endswith(".fasta") for path in first.files)
    assert json.loads((indexes[aligner] / "run.json").read_text())["programs"]


def test_the_fasta_of_a_genome(tmp_path, genome):
    write_fasta(tmp_path / "x.fa", GenomeReader(genome))
    lines = (tmp_path / "x.fa").read_text().splitlines()
    found = {}
    for line in lines:
        if line.startswith(">"):
            found[line[1:]] = ""
            last = line[1:]
        else:
            assert 0 < len(line) <= 60
            found[last] += line
    assert found == BASES


@needs_programs
def test_an_index_of_something_else_is_refused(tmp_path, genome, indexes):
    reader = GenomeReader(genome)
    assert index_prefix(indexes["bwa"], reader, "bwa") == indexes["bwa"] / "genome"
    with pytest.raises(InputError, match="is an index for bwa, expected one for bowtie2"):
        index_prefix(indexes["bwa"], reader, "bowtie2")
    other = GenomeReader(write_genome(tmp_path, sequences(seed=5), "other"))
    with pytest.raises(InputError, match=r"is the index of another genome than .*other\.zarr; build it again"):
        index_prefix(indexes["bwa"], other, "bwa")


@pytest.mark.parametrize(
    ("aligner", "reads", "strandedness", "expected"),
    [
        ("bowtie2", ["a", "b"], "none", "bowtie2 -X 700 --mm --reorder -p 3 -x g -1 a -2 b"),
        ("bowtie2", ["a"], "none", "bowtie2 --mm --reorder -p 3 -x g -U a"),
        ("bwa", ["a", "b"], "none", "bwa mem -M -v 1 -K 100000000 -t 3 g a b"),
        ("hisat2", ["a"], "none", "hisat2 --no-temp-splicesite --mm --reorder -p 3 -x g -U a"),
        ("hisat2", ["a"], "reverse", "hisat2 --no-temp-splicesite --rna-strandness R --mm --reorder -p 3 -x g -U a"),
        (
            "hisat2",
            ["a", "b"],
            "reverse",
            "hisat2 --no-temp-splicesite --rna-strandness RF --mm --reorder -p 3 -x g -1 a -2 b",
        ),
        (
            "hisat2",
            ["a", "b"],
            "forward",
            "hisat2 --no-temp-splicesite --rna-strandness FR --mm --reorder -p 3 -x g -1 a -2 b",
        ),
    ],
)
def test_commands(aligner, reads, strandedness, expected):
    found = aligner_command(aligner, "g", reads, max_fragment_bp=700, strandedness=strandedness, threads=3)
    assert found == expected.split()


@needs_programs
@pytest.mark.parametrize("aligner", ["bowtie2", "bwa"])
def test_pairs_one_by_one(tmp_path, indexes, aligner):
    rows, truth = planned_pairs(BASES)
    reads = write_fastq(tmp_path, "lib", rows)
    counts = keep_and_mark(tmp_path, [source(tmp_path, indexes[aligner], aligner, 0, reads)], mark=True, threads=1)
    kept = sum(truth["kept"].values()) + len(truth["half"])
    out = {"excluded_contigs": 60, "low_mapq": 18, "not_properly_paired": 5, "unmapped": 2 * 11 + 5}
    assert counts == {
        "reads": 2 * len(rows),
        "mapped": 2 * len(rows) - out["unmapped"],
        "properly_paired": 2 * (len(rows) - 11 - 5),
        "filtered_out": out,
        "excluded_by_contig": {"chrM": 60},
        "read_length": READ_BP,
    }
    assert counts["reads"] == 2 * kept + sum(out.values())
    assert places(tmp_path / MARKED) == sorted([*truth["kept"], *truth["half"]])
    assert slow_complexity(tmp_path / MARKED) == {
        "fragments_before_duplicates": kept,
        "distinct": 186,
        "once": 186 - 27,
        "twice": 20,
    }


@needs_programs
@pytest.mark.parametrize("aligner", ["bowtie2", "bwa", "hisat2"])
def test_the_same_bytes_with_two_threads_and_on_a_second_run(tmp_path, indexes, aligner):
    rows, _ = planned_pairs(BASES)
    reads = write_fastq(tmp_path, "lib", rows)
    found = set()
    for number, threads in enumerate([1, 2, 2]):
        work = tmp_path / f"work{number}"
        work.mkdir()
        keep_and_mark(
            work, [source(work, indexes[aligner], aligner, 0, reads, threads=threads)], mark=True, threads=threads
        )
        found.add(hashlib.sha256((work / MARKED).read_bytes()).hexdigest())
        with pysam.AlignmentFile(str(work / MARKED)) as file:
            assert file.header.to_dict() == {
                "HD": {"VN": "1.6", "SO": "coordinate"},
                "SQ": [{"SN": name, "LN": size} for name, size in SIZES.items()],
            }
    assert len(found) == 1


@needs_programs
def test_runs_of_one_library_are_marked_together(tmp_path, indexes):
    rows, truth = planned_pairs(BASES)
    halves = rows[: len(rows) // 3], rows[len(rows) // 3 :]
    sources = [
        source(tmp_path, indexes["bowtie2"], "bowtie2", number, write_fastq(tmp_path, f"r{number}", half))
        for number, half in enumerate(halves)
    ]
    counts = keep_and_mark(tmp_path, sources, mark=True, threads=1)
    assert counts["reads"] == 2 * len(rows)
    assert counts["filtered_out"]["low_mapq"] == 18
    assert places(tmp_path / MARKED) == sorted([*truth["kept"], *truth["half"]])
    assert not list(tmp_path.glob("sorted*"))


@needs_programs
def test_single_reads(tmp_path, indexes):
    rows, truth = planned_pairs(BASES)
    reads = write_fastq(tmp_path, "lib", rows, paired=False)
    counts = keep_and_mark(
        tmp_path, [source(tmp_path, indexes["bwa"], "bwa", 0, reads, paired=False)], mark=True, threads=1
    )
    assert counts["filtered_out"] == {"excluded_contigs": 30, "low_mapq": 9, "unmapped": 11}
    kept = {*truth["kept"], *truth["half"]} | {("chr2", 100 + 50 * number, 300 + 50 * number, 1) for number in range(5)}
    ends = {
        (contig, start, start + READ_BP, 1) if strand == 1 else (contig, end - READ_BP, end, -1)
        for contig, start, end, strand in kept
    }
    assert set(places(tmp_path / MARKED, paired=False)) == ends
    assert counts["reads"] == len(rows)


@needs_programs
def test_a_poor_copy_does_not_take_the_place_of_a_good_one(tmp_path, indexes):
    """Of two copies the one with better base qualities, but aligned badly, is filtered out before copies are told."""
    place = ("chr1", 6_000, 6_200, 1)
    one, two = reads_of(Insert(*place), BASES)
    wrong = {"A": "C", "C": "G", "G": "T", "T": "A"}
    poor = "".join(wrong[base] if number in (9, 18, 27, 36) else base for number, base in enumerate(one))
    paths = [tmp_path / "x_1.fastq", tmp_path / "x_2.fastq"]
    for path, reads in zip(paths, ((one, poor), (two, two))):
        text = "".join(
            f"@{name}\n{read}\n+\n{quality * READ_BP}\n" for name, read, quality in zip("ab", reads, ("5", "I"))
        )
        path.write_text(text)
    counts = keep_and_mark(tmp_path, [source(tmp_path, indexes["bowtie2"], "bowtie2", 0, paths)], mark=True, threads=1)
    assert counts["filtered_out"] == {"low_mapq": 2}
    assert places(tmp_path / MARKED) == [place]


@needs_programs
def test_a_failing_aligner_is_named_and_nothing_is_left(tmp_path, indexes):
    rows, _ = planned_pairs(BASES)
    reads = write_fastq(tmp_path, "lib", rows[:3])
    broken = source(tmp_path, tmp_path / "nothing", "bowtie2", 0, reads)
    with pytest.raises(WorkerError, match=r"aligning toy: .*bowtie2"):
        keep_and_mark(tmp_path, [broken], mark=True, threads=1)
    assert not (tmp_path / MARKED).exists()


# The gate alone, by alignments that are written down.
SAM_SIZES = {"1": 1_000, "2": 500, "MT": 300, "decoy": 400}
PAIR = Plan(True, 30, 200, {"1": "chr1", "2": "chr2"}, {"chr1": 1_000, "chr2": 450, "chrX": 9}, ["MT"])


def line(name, flag, contig, start, mapq=40, cigar="20M", mate="=", mate_start=0):
    bases = "A" * 20
    return f"{name}\t{flag}\t{contig}\t{start + 1}\t{mapq}\t{cigar}\t{mate}\t{mate_start + 1}\t0\t{bases}\t{'I' * 20}\n"


def pair(name, start, end, contig="1", mapq=(40, 40), flags=(99, 147)):
    return line(name, flags[0], contig, start, mapq[0], mate_start=end - 20) + line(
        name, flags[1], contig, end - 20, mapq[1], mate_start=start
    )


def run_gate(tmp_path, text, plan):
    sam = tmp_path / "x.sam"
    header = "".join(f"@SQ\tSN:{name}\tLN:{size}\n" for name, size in SAM_SIZES.items())
    sam.write_text("@HD\tVN:1.6\n" + header + "@PG\tID:x\tCL:/tmp/secret\n" + text)
    counts = screen(str(sam), str(tmp_path / "y.bam"), plan)
    with pysam.AlignmentFile(str(tmp_path / "y.bam")) as file:
        assert "PG" not in file.header.to_dict()
        kept = [(read.query_name, read.reference_name, read.reference_start) for read in file.fetch(until_eof=True)]
        return counts, kept, dict(zip(file.references, file.lengths))


def test_every_fate_of_pairs(tmp_path):
    text = (
        pair("good", 100, 220)
        + line("good", 355, "1", 400)
        + line("good", 2147, "1", 500)
        + line("none", 77, "*", -1, 0, "*", "*", -1)
        + line("none", 141, "*", -1, 0, "*", "*", -1)
        + line("half", 73, "1", 50)
        + line("half", 133, "1", 50)
        + pair("mito", 100, 200, contig="MT")
        + pair("decoy", 100, 200, contig="decoy")
        + pair("fail", 100, 200, flags=(99 + 512, 147 + 512))
        + pair("improper", 100, 200, flags=(97, 145))
        + pair("outward", 200, 100, flags=(99, 147))
        + pair("low", 300, 400, mapq=(29, 30))
        + pair("long", 300, 501)
        + pair("limit", 300, 500)
        + pair("past", 400, 460, contig="2")
        + line("lonely", 99, "1", 700)
        + line("single", 0, "1", 700)
    )
    counts, kept, sizes = run_gate(tmp_path, text, PAIR)
    assert kept == [("good", "chr1", 100), ("good", "chr1", 200), ("limit", "chr1", 300), ("limit", "chr1", 480)]
    assert counts["filtered_out"] == {
        "beyond_genome_end": 2,
        "excluded_contigs": 2,
        "insert_too_long": 2,
        "low_mapq": 1,
        "mate_filtered": 1,
        "mate_missing": 1,
        "not_in_genome": 2,
        "not_properly_paired": 2 + 2 + 1,
        "other_layout": 1,
        "qc_fail": 2,
        "unmapped": 3,
    }
    assert counts["reads"] == len(kept) + sum(counts["filtered_out"].values()) == 26
    assert counts["mapped"] == 23
    assert counts["excluded_by_contig"] == {"MT": 2}
    assert sizes == {"chr1": 1_000, "chr2": 450, "MT": 300, "decoy": 400}


def test_every_fate_of_single_reads(tmp_path):
    text = (
        line("good", 0, "1", 100, mate="*", mate_start=-1)
        + line("good2", 16, "2", 430, mate="*", mate_start=-1)
        + line("past", 16, "2", 431, mate="*", mate_start=-1)
        + line("second", 256, "2", 100, mate="*", mate_start=-1)
        + line("low", 0, "1", 100, 29, mate="*", mate_start=-1)
        + line("none", 4, "*", -1, 0, "*", "*", -1)
        + line("mito", 0, "MT", 3, 0, mate="*", mate_start=-1)
        + line("paired", 99, "1", 3)
    )
    counts, kept, _ = run_gate(tmp_path, text, PAIR._replace(paired=False))
    assert kept == [("good", "chr1", 100), ("good2", "chr2", 430)]
    assert counts["filtered_out"] == {
        "beyond_genome_end": 1, "excluded_contigs": 1, "low_mapq": 1, "other_layout": 1, "unmapped": 1
    }  # fmt: skip
    assert counts["read_length"] == 20


def test_the_gate_agrees_with_samtools_on_random_alignments(tmp_path):
    """ENCODE's own filter of single reads: samtools view -F 1804 -q 30."""
    rng = random.Random(3)
    text = ""
    for number in range(400):
        flag = rng.choice([0, 16]) + rng.choice([0, 0, 0, 4, 256, 512])
        text += line(
            f"r{number}", flag, rng.choice("12"), rng.randrange(400), rng.randrange(60), mate="*", mate_start=-1
        )
    wide = Plan(False, 30, 200, {"1": "1", "2": "2"}, {"1": 1_000, "2": 500}, [])
    _, kept, _ = run_gate(tmp_path, text, wide)
    rows = pysam.view("-F", "1804", "-q", "30", str(tmp_path / "x.sam")).splitlines()
    assert kept == [(row.split("\t")[0], row.split("\t")[2], int(row.split("\t")[3]) - 1) for row in rows]
    assert 50 < len(kept) < 300
