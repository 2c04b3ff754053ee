"""Whole libraries: from FASTQ, alignments and fragment files to the same table, with all that is counted."""

import hashlib
import json
import logging
import os
import random
import subprocess
import sys
import time

import pysam
import pytest
from tests.unit.reads_examples import (
    NEXTERA,
    READ_BP,
    SIZES,
    Insert,
    needs_programs,
    planned_pairs,
    random_inserts,
    reads_of,
    sequences,
    slow_complexity,
    write_fastq,
    write_genome,
    write_index,
)

from seqmill.config.reads import Library, Reads
from seqmill.reads import library
from seqmill.reads.fragments import FragmentTable
from seqmill.reads.library import Run, build_library
from seqmill.reads.shift import Shift
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker, verify_folder

BASES = sequences()


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return write_genome(tmp_path_factory.mktemp("genome"), BASES)


@pytest.fixture(scope="module")
def index(genome):
    return write_index(genome.parent, genome)


def row(location, assay="DNase-seq", **cells):
    return Library(experiment="toy", location=str(location), assay=assay, **cells)


def build(folder, genome, rows, runs, *, index=None, partial=False, threads=1, **settings):
    return build_library(
        folder,
        name="toy.1",
        rows=rows,
        runs=[Run(*run) for run in runs],
        settings=Reads(**settings),
        genome=genome,
        index=index,
        partial=partial,
        threads=threads,
    )


def rows_of(folder):
    """Rows (contig, start, end, strand of read 1)."""
    table = FragmentTable(folder / "fragments.parquet")
    return sorted((contig, *one) for contig, found in table for one in zip(*(column.tolist() for column in found)))


def planned_with_adapters():
    """The planned library, 25 short inserts whose reads run into the adapter, and 3 pairs of adapter alone."""
    rows, truth = planned_pairs(BASES)
    short = random_inserts("chr2", 25, 9, lengths=(30, 38))
    rows += [(f"short{number}", *reads_of(insert, BASES)) for number, insert in enumerate(short)]
    rows += [(f"dimer{number}", *((text + "A" * READ_BP)[:READ_BP] for text in NEXTERA)) for number in range(3)]
    random.Random(2).shuffle(rows)
    kept = sorted([*truth["kept"], *truth["half"], *short])
    return rows, kept, sum(truth["kept"].values()) + len(truth["half"]) + len(short)


@needs_programs
def test_pairs_from_reads_to_fragments(tmp_path, genome, index):
    rows, kept, before = planned_with_adapters()
    reads = write_fastq(tmp_path, "lib", rows)
    folder = tmp_path / "toy.1"
    marker = build(folder, genome, [row(reads[0], format="fastq")], [reads], index=index)
    assert rows_of(folder) == kept
    counts = marker.attrs["counts"]
    out = {"excluded_contigs": 60, "low_mapq": 18, "not_properly_paired": 5, "unmapped": 27}
    assert counts.pop("bases_raw") == 2 * len(rows) * READ_BP
    assert counts.pop("bases_trimmed") < 2 * len(rows) * READ_BP
    assert 56 <= counts.pop("reads_trimmed") < 120  # three bases of the adapter by chance are trimmed too
    assert counts == {
        "reads_raw": 2 * len(rows),
        "reads_too_short": 6,
        "reads": 2 * len(rows) - 6,
        "mapped": 2 * len(rows) - 6 - 27,
        "properly_paired": 2 * len(rows) - 6 - 27 - 5,
        "unmapped": 27,
        "multimapped_or_low_mapq": 18,
        "excluded_contigs": 60,
        "excluded_by_contig": {"chrM": 60},
        "filtered_out": out,
        "duplicates": 82,
        "fragments_before_duplicates": before,
        "distinct": len(kept),
        "once": len(kept) - 27,
        "twice": 20,
        "fragments": len(kept),
    }
    assert counts["reads"] == 2 * counts["fragments"] + counts["duplicates"] + sum(out.values())
    attrs = ("assay", "paired", "read_length", "source", "aligner", "duplicates")
    assert {key: marker.attrs[key] for key in attrs} == {
        "assay": "dnase", "paired": True, "read_length": READ_BP, "source": "fastq", "aligner": "bowtie2",
        "duplicates": "removed",
    }  # fmt: skip
    assert marker.attrs["adapters"] == ["CTGTCTCTTATA"]
    assert marker.attrs["shift"]["prior_plus"] == marker.attrs["shift"]["prior_minus"] == 0
    assert sorted(marker.files) == ["filtered.bam", "filtered.bam.bai", "fragments.parquet"]
    assert verify_folder(folder) == []
    record = json.loads((folder / "run.json").read_text())
    assert set(record["programs"]) == {"bowtie2", "samtools"} and "cutadapt" in record["versions"]
    with pysam.AlignmentFile(str(folder / "filtered.bam")) as file:
        assert "PG" not in file.header.to_dict()
        assert file.count(until_eof=True) == 2 * len(kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lib_R1.fastq", "lib_R2.fastq", "toy.1"]


@needs_programs
def test_the_same_marker_with_two_threads_and_on_a_second_run(tmp_path, genome, index):
    rows, _, _ = planned_with_adapters()
    reads = write_fastq(tmp_path, "lib", rows)
    digests = [
        build(
            tmp_path / f"{number}" / "toy.1",
            genome,
            [row(reads[0], format="fastq")],
            [reads],
            index=index,
            threads=cores,
        ).digest
        for number, cores in enumerate([1, 2, 2])
    ]
    assert len(set(digests)) == 1


@needs_programs
def test_single_reads_and_two_runs(tmp_path, genome, index):
    rows, truth = planned_pairs(BASES)
    reads = [write_fastq(tmp_path, f"r{n}", part, paired=False) for n, part in enumerate((rows[:200], rows[200:]))]
    asked = [row(one[0], adapter="none") for one in reads]
    marker = build(tmp_path / "toy.1", genome, asked, reads, index=index)
    singles = [Insert("chr2", 100 + 50 * number, 300 + 50 * number, 1) for number in range(5)]
    kept = {
        (one.contig, one.start, one.start + READ_BP, 1)
        if one.strand == 1
        else (one.contig, one.end - READ_BP, one.end, -1)
        for one in [*truth["kept"], *truth["half"], *singles]
    }
    assert rows_of(tmp_path / "toy.1") == sorted(kept)
    counts = marker.attrs["counts"]
    assert not marker.attrs["paired"] and "properly_paired" not in counts
    assert counts["reads_raw"] == counts["reads"] == len(rows) and counts["reads_trimmed"] == 0
    assert counts["filtered_out"] == {"excluded_contigs": 30, "low_mapq": 9, "unmapped": 11}
    assert counts["reads"] == counts["fragments"] + counts["duplicates"] + 50


@needs_programs
def test_duplicates_are_kept_when_asked_and_still_counted(tmp_path, genome, index):
    rows, kept, before = planned_with_adapters()
    reads = write_fastq(tmp_path, "lib", rows)
    marker = build(tmp_path / "toy.1", genome, [row(reads[0])], [reads], index=index, duplicates="keep")
    counts = marker.attrs["counts"]
    assert (counts["fragments"], counts["distinct"], counts["duplicates"]) == (before, len(kept), 82)
    assert len(rows_of(tmp_path / "toy.1")) == before
    found = slow_complexity(tmp_path / "toy.1" / "filtered.bam")
    assert found == {key: counts[key] for key in found}


@needs_programs
def test_runs_of_both_kinds_are_refused_and_nothing_is_left(tmp_path, genome, index):
    rows, _ = planned_pairs(BASES)
    reads = [write_fastq(tmp_path, "a", rows), write_fastq(tmp_path, "b", rows, paired=False)]
    with pytest.raises(InputError, match=r"runs of a library are all single or all paired; .*a_R1.fastq is not alike"):
        build(tmp_path / "x" / "toy.1", genome, [row(one[0]) for one in reads], reads, index=index)
    assert list((tmp_path / "x").iterdir()) == []


@needs_programs
def test_rna_keeps_copies_and_spliced_reads(tmp_path):
    """Two exons with an intron of 600 bp; the spans of pairs hold it, the alignments show it."""
    exons = (4_000, 4_300), (4_900, 5_200)
    chr1 = BASES["chr1"]
    chr1 = chr1[:4_300] + "GT" + chr1[4_302:4_898] + "AG" + chr1[4_900:]
    genome = write_genome(tmp_path, BASES | {"chr1": chr1}, "spliced")
    text = "".join(chr1[start:end] for start, end in exons)
    rows, expected, spliced = [], [], 0
    for number in [*range(60), 0]:
        start = 120 + 150 * number // 60
        end = start + 160
        rows.append((f"r{len(rows)}", *reads_of(Insert("t", start, end, -1), {"t": text}, adapters=("", ""))))
        places = [4_000 + start if start < 300 else 4_600 + start, 4_000 + end if end <= 300 else 4_600 + end]
        expected.append(("chr1", *places, -1))
        spliced += sum(left < 300 < left + READ_BP for left in (start, end - READ_BP))
    reads = write_fastq(tmp_path, "rna", rows)
    asked = [row(reads[0], "RNA-seq", strandedness="reverse", adapter="none")]
    index = write_index(tmp_path, genome, "hisat2")
    marker = build(tmp_path / "toy.1", genome, asked, [reads], index=index)
    assert build(tmp_path / "two" / "toy.1", genome, asked, [reads], index=index, threads=2).digest == marker.digest
    counts = marker.attrs["counts"]
    assert "duplicates" not in counts and marker.attrs["duplicates"] == "kept"
    assert counts["fragments_before_duplicates"] == counts["fragments"]
    found = rows_of(tmp_path / "toy.1")
    assert found == sorted(expected)
    with pysam.AlignmentFile(str(tmp_path / "toy.1" / "filtered.bam")) as file:
        cigars = [read.cigarstring for read in file]
    assert sum("600N" in cigar for cigar in cigars) == spliced > 20


# Alignments that are given.


@pytest.fixture(scope="module")
def aligned(tmp_path_factory, genome, index):
    """A BAM as an aligner writes it, and the library that is made of its reads."""
    folder = tmp_path_factory.mktemp("aligned")
    rows, _ = planned_pairs(BASES)
    reads = write_fastq(folder, "lib", rows)
    marker = build(folder / "toy.1", genome, [row(reads[0], adapter="none")], [reads], index=index)
    bam = folder / "raw.bam"
    command = ["bowtie2", "-X", "2000", "-x", str(index / "genome"), "-1", str(reads[0]), "-2", str(reads[1])]
    from seqmill.reads.programs import pipeline

    pipeline([command, ["samtools", "sort", "-o", str(bam)]], cwd=folder, what="test")
    return folder, bam, marker


@needs_programs
@pytest.mark.parametrize("order", ["coordinate", "queryname", "shuffled"])
def test_alignments_give_what_their_reads_give(tmp_path, genome, aligned, order):
    """Sorted or not makes no difference."""
    folder, bam, marker = aligned
    path = tmp_path / "x.bam"
    pysam.sort(*(["-n"] if order == "queryname" else []), "-o", str(path), str(bam))
    if order == "shuffled":
        with pysam.AlignmentFile(str(bam)) as file:
            header = file.header.to_dict() | {"HD": {"VN": "1.6", "SO": "unsorted"}}
            reads = list(file.fetch(until_eof=True))
        random.Random(1).shuffle(reads)
        with pysam.AlignmentFile(str(path), "wb", header=header) as file:
            for read in reads:
                file.write(read)
    found = build(tmp_path / "toy.1", genome, [row(path)], [(path,)])
    assert rows_of(tmp_path / "toy.1") == rows_of(folder / "toy.1")
    ours = {key: count for key, count in marker.attrs["counts"].items() if key not in ("reads_raw", "bases_raw")}
    theirs = found.attrs["counts"]
    assert theirs == {key: count for key, count in ours.items() if "trimmed" not in key and "too_short" not in key}
    assert (found.attrs["source"], found.attrs["aligner"], found.attrs["paired"]) == ("bam", "", True)
    assert "adapters" not in found.attrs


@needs_programs
def test_alignments_that_were_filtered_before(tmp_path, genome, aligned):
    """A filtered BAM of ENCODE goes through as it is, under other contig names and beside a contig we do not have."""
    folder, _, _ = aligned
    with pysam.AlignmentFile(str(folder / "toy.1" / "filtered.bam")) as file:
        header = file.header.to_dict()
        reads = list(file)
    header["SQ"] = [{"SN": line["SN"].removeprefix("chr"), "LN": line["LN"]} for line in header["SQ"]]
    header["SQ"].append({"SN": "chrEBV", "LN": 400})
    path = tmp_path / "x.bam"
    with pysam.AlignmentFile(str(path), "wb", header=header) as file:
        for read in reads:
            file.write(read)
        extra = pysam.AlignedSegment.from_dict(
            {"name": "e", "flag": "99", "ref_name": "chrEBV", "ref_pos": "10", "map_quality": "40", "cigar": "20M",
             "next_ref_name": "=", "next_ref_pos": "50", "length": "60", "seq": "A" * 20, "qual": "I" * 20, "tags": []},
            file.header,
        )  # fmt: skip
        file.write(extra)
    found = build(tmp_path / "toy.1", genome, [row(path)], [(path,)])
    assert rows_of(tmp_path / "toy.1") == rows_of(folder / "toy.1")
    counts = found.attrs["counts"]
    assert counts["filtered_out"] == {"not_in_genome": 1} and counts["duplicates"] == 0
    with pysam.AlignmentFile(str(tmp_path / "toy.1" / "filtered.bam")) as file:
        assert file.references == (*SIZES, "chrEBV")


@needs_programs
def test_a_piece_of_the_genome(tmp_path, aligned):
    folder, bam, _ = aligned
    piece = write_genome(tmp_path, {"chr1": BASES["chr1"][:13_000]}, "piece")
    with pytest.raises(InputError, match="1 contig length\\(s\\) differ from the genome: chr1 20,000 in the file"):
        build(tmp_path / "toy.1", piece, [row(bam)], [(bam,)])
    found = build(tmp_path / "toy.1", piece, [row(bam)], [(bam,)], partial=True)
    whole = rows_of(folder / "toy.1")
    assert rows_of(tmp_path / "toy.1") == [one for one in whole if one[0] == "chr1" and one[2] <= 13_000]
    out = found.attrs["counts"]["filtered_out"]
    assert out["beyond_genome_end"] > 20 and out["not_in_genome"] > 100 and out["excluded_contigs"] == 60


@needs_programs
def test_two_files_with_their_contigs_in_other_orders(tmp_path, genome, aligned):
    folder, bam, _ = aligned
    with pysam.AlignmentFile(str(bam)) as file:
        header = file.header.to_dict()
        text = header["SQ"]
        rows = [read.to_dict() for read in file.fetch(until_eof=True)]
    names = sorted({one["name"] for one in rows})
    paths = []
    for number, lines in enumerate((text, text[::-1])):
        paths.append(tmp_path / f"{number}.bam")
        mine = set(names[number::2])
        with pysam.AlignmentFile(str(paths[-1]), "wb", header=header | {"SQ": lines}) as file:
            for one in rows:
                if one["name"] in mine:
                    file.write(pysam.AlignedSegment.from_dict(one, file.header))
    build(tmp_path / "toy.1", genome, [row(path) for path in paths], [(path,) for path in paths])
    assert rows_of(tmp_path / "toy.1") == rows_of(folder / "toy.1")


@needs_programs
def test_cram_is_read_with_the_genome_and_no_other(tmp_path, genome, aligned):
    folder, bam, _ = aligned
    path = tmp_path / "x.cram"
    pysam.view("-C", "-T", str(genome.parent / "toy.fa"), "-o", str(path), str(bam), catch_stdout=False)
    build(tmp_path / "toy.1", genome, [row(path, format="bam")], [(path,)])
    assert rows_of(tmp_path / "toy.1") == rows_of(folder / "toy.1")
    other = write_genome(tmp_path, sequences(seed=8), "other")
    with pytest.raises(InputError, match=r"x\.cram: damaged or truncated alignment file"):
        build(tmp_path / "toy.2", other, [row(path, format="bam")], [(path,)])
    assert not (tmp_path / "toy.2").exists()


@needs_programs
def test_damage_in_the_middle_is_told_of_the_file(tmp_path, genome, aligned):
    _, bam, _ = aligned
    path = tmp_path / "x.bam"
    pysam.sort("-l", "0", "-o", str(path), str(bam))
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 2_000] = bytes(2_000)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"x\.bam: damaged or truncated alignment file \("):
        build(tmp_path / "o" / "toy.1", genome, [row(path)], [(path,)])
    assert list((tmp_path / "o").iterdir()) == []


@needs_programs
def test_nothing_left(tmp_path, genome, aligned):
    _, bam, _ = aligned
    with pytest.raises(InputError) as error:
        build(tmp_path / "o" / "toy.1", genome, [row(bam)], [(bam,)], mapq_min=200)
    assert str(error.value) == (
        f"{bam}: no reads left after the filters: 472 low mapq, 60 excluded contigs, 27 unmapped, 5 not properly "
        "paired; low quality sample?"
    )
    path = tmp_path / "single.bam"
    with pysam.AlignmentFile(str(bam)) as file, pysam.AlignmentFile(str(path), "wb", template=file) as out:
        for read in file:
            read.flag &= ~2
            out.write(read)
    with pytest.raises(
        InputError, match="0 properly paired reads after the filters: 537 not properly paired, 27 unmapped"
    ):
        build(tmp_path / "o" / "toy.1", genome, [row(path)], [(path,)], exclude_contigs=[])
    assert list((tmp_path / "o").iterdir()) == []


@needs_programs
def test_mates_that_are_missing_are_told(tmp_path, genome, aligned, caplog):
    _, bam, _ = aligned
    path = tmp_path / "x.bam"
    with pysam.AlignmentFile(str(bam)) as file, pysam.AlignmentFile(str(path), "wb", template=file) as out:
        for number, read in enumerate(file):
            if number % 5:
                out.write(read)
    with caplog.at_level(logging.WARNING, "seqmill"):
        found = build(tmp_path / "toy.1", genome, [row(path)], [(path,)])
    missing = found.attrs["counts"]["filtered_out"]["mate_missing"]
    assert missing > 50
    assert (
        f"{missing} of {found.attrs['counts']['reads']} reads have no mate in the file and are left out" in caplog.text
    )


@needs_programs
def test_reads_of_a_sequencer_are_not_taken_for_shifted(tmp_path, genome, index, caplog, monkeypatch):
    """Where the ends look shifted all the same, it is said and nothing stops."""
    looks = Shift(4, -5, "found +4 and -5", 9_000)
    monkeypatch.setattr(library, "detect_shift", lambda table, genome: looks)
    rows, _ = planned_pairs(BASES)
    reads = write_fastq(tmp_path, "lib", rows)
    with caplog.at_level(logging.WARNING, "seqmill"):
        marker = build(tmp_path / "toy.1", genome, [row(reads[0], "ATAC-seq")], [reads], index=index)
    assert {key: marker.attrs["shift"][key] for key in ("prior_plus", "prior_minus", "how")} == {
        "prior_plus": 0, "prior_minus": 0, "how": "assumed"
    }  # fmt: skip
    assert "reads of a sequencer (were bases cut off their 5' ends?): found +4 and -5" in caplog.text


@needs_programs
def test_cut_sites_that_a_program_shifted(tmp_path, genome, aligned):
    _, bam, _ = aligned
    path = tmp_path / "x.bam"
    with pysam.AlignmentFile(str(bam)) as file:
        header = file.header.to_dict() | {"PG": [{"ID": "1", "CL": "alignmentSieve --ATACshift -b y.bam"}]}
        with pysam.AlignmentFile(str(path), "wb", header=header) as out:
            for read in file:
                out.write(read)
    with pytest.raises(InputError, match="prior shift detected: its header names 'alignmentSieve --ATACshift"):
        build(tmp_path / "toy.1", genome, [row(path, "ATAC-seq")], [(path,)])
    stated = row(path, "ATAC-seq", prior_plus_shift=4, prior_minus_shift=-5)
    shift = build(tmp_path / "toy.1", genome, [stated], [(path,)]).attrs["shift"]
    assert (shift["prior_plus"], shift["prior_minus"], shift["how"]) == (4, -5, "stated")


# Fragment files.


def test_fragment_files_of_two_runs(tmp_path, genome):
    rng = random.Random(5)
    lines, kept = [[], []], []
    for number in range(300):
        contig = rng.choice(list(SIZES))
        start = rng.randrange(0, 1_000)
        end = start + rng.randrange(30, 400)
        copies = rng.choice([1, 1, 2, 5])
        lines[number % 2].append(f"{contig}\t{start}\t{end}\tAAAC-1\t{copies}\n")
        kept.append((contig, start, end, copies))
    paths = [tmp_path / f"{number}.fragments.tsv" for number in range(2)]
    for path, text in zip(paths, lines):
        path.write_text("# id=toy\n" + "".join(text))
    marker = build(tmp_path / "toy.1", genome, [row(path) for path in paths], [(path,) for path in paths])
    used = [one for one in kept if one[0] != "chrM"]
    assert rows_of(tmp_path / "toy.1") == sorted((*one[:3], 0) for one in used)
    counts = marker.attrs["counts"]
    assert counts["fragments"] == counts["distinct"] == len(used)
    assert counts["fragments_before_duplicates"] == sum(one[3] for one in used)
    assert counts["once"] == sum(one[3] == 1 for one in used)
    assert counts["twice"] == sum(one[3] == 2 for one in used)
    assert counts["excluded_by_contig"] == {"chrM": len(kept) - len(used)}
    attrs = marker.attrs
    assert (attrs["source"], attrs["paired"], attrs["aligner"], attrs["duplicates"]) == (
        "fragments", True, "", "as given"
    )  # fmt: skip
    assert list(marker.files) == ["fragments.parquet"]


def test_fragments_on_excluded_contigs_alone(tmp_path, genome):
    path = tmp_path / "x.fragments.tsv"
    path.write_text("chrM\t5\t60\tA-1\t1\n")
    with pytest.raises(InputError, match="0 fragments left: all 1 are on excluded contigs"):
        build(tmp_path / "toy.1", genome, [row(path)], [(path,)])


# A job that was killed.

_JOB = """
import sys
from pathlib import Path
from seqmill.config.reads import Library, Reads
from seqmill.reads.library import Run, build_library
folder, genome, index, reads = map(Path, sys.argv[1:])
build_library(
    folder, name="toy.1", rows=[Library(experiment="toy", location=str(reads), assay="DNase-seq")], runs=[Run(reads)],
    settings=Reads(), genome=genome, index=index,
)
"""


@needs_programs
def test_an_interrupted_job_leaves_no_file_and_no_process(tmp_path, genome, index):
    """The aligner hangs; the job is told to stop."""
    programs, pid = tmp_path / "programs", tmp_path / "pid"
    programs.mkdir()
    (programs / "bowtie2").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo version 2.5.0 && exit\necho $$ > {pid}.new; mv {pid}.new {pid}\n'
        "exec sleep 100\n"
    )
    (programs / "bowtie2").chmod(0o755)
    rows, _ = planned_pairs(BASES)
    reads, _ = write_fastq(tmp_path, "lib", rows, paired=False)
    command = [sys.executable, "-c", _JOB, *map(str, (tmp_path / "libraries" / "toy.1", genome, index, reads))]
    job = subprocess.Popen(command, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
    try:
        end = time.monotonic() + 60
        while not pid.exists() and time.monotonic() < end:
            time.sleep(0.05)
        number = int(pid.read_text())
        assert any((tmp_path / "libraries").iterdir())
        job.terminate()
        assert job.wait(30) != 0
    finally:
        job.kill()
        job.wait()
    assert list((tmp_path / "libraries").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


@needs_programs
def test_what_a_killed_job_left_is_taken_away(tmp_path, genome, index):
    rows, kept, _ = planned_with_adapters()
    reads = write_fastq(tmp_path, "lib", rows)
    folder = tmp_path / "libraries" / "toy.1"
    left = folder.with_name(f".toy.1.part-{'0' * 8}")
    (left / "work").mkdir(parents=True)
    (left / "work" / "marked.bam").write_bytes(b"half")
    build(folder, genome, [row(reads[0])], [reads], index=index)
    assert [path.name for path in folder.parent.iterdir()] == ["toy.1"]
    assert (
        hashlib.sha256((folder / "fragments.parquet").read_bytes()).hexdigest()
        == (read_marker(folder).files["fragments.parquet"][1])
    )
    assert rows_of(folder) == kept
