"""Whole libraries: from FASTQ, alignments and fragment files to the same table, with all that is counted."""

import hashlib
import json
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
    Insert,
    build_toy,
    library_row,
    needs_programs,
    planned_pairs,
    random_inserts,
    reads_of,
    sequences,
    slow_complexity,
    table_rows,
    write_fastq,
    write_genome,
    write_index,
)

from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker, verify_folder

BASES = sequences()


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return write_genome(tmp_path_factory.mktemp("genome"), BASES)


@pytest.fixture(scope="module")
def index(genome):
    return write_index(genome.parent, genome)


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
    marker = build_toy(folder, genome, [library_row(reads[0], format="fastq")], [reads], index=index)
    assert table_rows(folder) == kept
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
        build_toy(
            tmp_path / f"{number}" / "toy.1",
            genome,
            [library_row(reads[0], format="fastq")],
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
    asked = [library_row(one[0], adapter="none") for one in reads]
    marker = build_toy(tmp_path / "toy.1", genome, asked, reads, index=index)
    singles = [Insert("chr2", 100 + 50 * number, 300 + 50 * number, 1) for number in range(5)]
    kept = {
        (one.contig, one.start, one.start + READ_BP, 1)
        if one.strand == 1
        else (one.contig, one.end - READ_BP, one.end, -1)
        for one in [*truth["kept"], *truth["half"], *singles]
    }
    assert table_rows(tmp_path / "toy.1") == sorted(kept)
    counts = marker.attrs["counts"]
    assert not marker.attrs["paired"] and "properly_paired" not in counts
    assert counts["reads_raw"] == counts["reads"] == len(rows) and counts["reads_trimmed"] == 0
    assert counts["filtered_out"] == {"excluded_contigs": 30, "low_mapq": 9, "unmapped": 11}
    assert counts["reads"] == counts["fragments"] + counts["duplicates"] + 50


@needs_programs
def test_duplicates_are_kept_when_asked_and_still_counted(tmp_path, genome, index):
    rows, kept, before = planned_with_adapters()
    reads = write_fastq(tmp_path, "lib", rows)
    marker = build_toy(tmp_path / "toy.1", genome, [library_row(reads[0])], [reads], index=index, duplicates="keep")
    counts = marker.attrs["counts"]
    assert (counts["fragments"], counts["distinct"], counts["duplicates"]) == (before, len(kept), 82)
    assert len(table_rows(tmp_path / "toy.1")) == before
    found = slow_complexity(tmp_path / "toy.1" / "filtered.bam")
    assert found == {key: counts[key] for key in found}


@needs_programs
def test_runs_of_both_kinds_are_refused_and_nothing_is_left(tmp_path, genome, index):
    rows, _ = planned_pairs(BASES)
    reads = [write_fastq(tmp_path, "a", rows), write_fastq(tmp_path, "b", rows, paired=False)]
    with pytest.raises(InputError, match=r"runs of a library are all single or all paired; .*a_R1.fastq is not alike"):
        build_toy(tmp_path / "x" / "toy.1", genome, [library_row(one[0]) for one in reads], reads, index=index)
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
    asked = [library_row(reads[0], "RNA-seq", strandedness="reverse", adapter="none")]
    index = write_index(tmp_path, genome, "hisat2")
    marker = build_toy(tmp_path / "toy.1", genome, asked, [reads], index=index)
    assert build_toy(tmp_path / "two" / "toy.1", genome, asked, [reads], index=index, threads=2).digest == marker.digest
    counts = marker.attrs["counts"]
    assert "duplicates" not in counts and marker.attrs["duplicates"] == "kept"
    assert counts["fragments_before_duplicates"] == counts["fragments"]
    found = table_rows(tmp_path / "toy.1")
    assert found == sorted(expected)
    with pysam.AlignmentFile(str(tmp_path / "toy.1" / "filtered.bam")) as file:
        cigars = [read.cigarstring for read in file]
    assert sum("600N" in cigar for cigar in cigars) == spliced > 20


# Alignments that are given.


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
    build_toy(folder, genome, [library_row(reads[0])], [reads], index=index)
    assert [path.name for path in folder.parent.iterdir()] == ["toy.1"]
    assert (
        hashlib.sha256((folder / "fragments.parquet").read_bytes()).hexdigest()
        == (read_marker(folder).files["fragments.parquet"][1])
    )
    assert table_rows(folder) == kept
