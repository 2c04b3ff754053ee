"""Libraries of files that are given: alignments and fragment files; what is made of them and what is refused."""

import logging
import random

import pysam
import pytest
from tests.unit.reads_examples import (
    SIZES,
    build_toy,
    library_row,
    needs_programs,
    planned_pairs,
    sequences,
    table_rows,
    write_fastq,
    write_genome,
    write_index,
)

from seqmill.reads import library
from seqmill.reads.shift import Shift
from seqmill.runtime.errors import InputError

BASES = sequences()


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return write_genome(tmp_path_factory.mktemp("genome"), BASES)


@pytest.fixture(scope="module")
def index(genome):
    return write_index(genome.parent, genome)


@pytest.fixture(scope="module")
def aligned(tmp_path_factory, genome, index):
    """A BAM as an aligner writes it, and the library that is made of its reads."""
    folder = tmp_path_factory.mktemp("aligned")
    rows, _ = planned_pairs(BASES)
    reads = write_fastq(folder, "lib", rows)
    marker = build_toy(folder / "toy.1", genome, [library_row(reads[0], adapter="none")], [reads], index=index)
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
    found = build_toy(tmp_path / "toy.1", genome, [library_row(path)], [(path,)])
    assert table_rows(tmp_path / "toy.1") == table_rows(folder / "toy.1")
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
    found = build_toy(tmp_path / "toy.1", genome, [library_row(path)], [(path,)])
    assert table_rows(tmp_path / "toy.1") == table_rows(folder / "toy.1")
    counts = found.attrs["counts"]
    assert counts["filtered_out"] == {"not_in_genome": 1} and counts["duplicates"] == 0
    with pysam.AlignmentFile(str(tmp_path / "toy.1" / "filtered.bam")) as file:
        assert file.references == (*SIZES, "chrEBV")


@needs_programs
def test_a_piece_of_the_genome(tmp_path, aligned):
    folder, bam, _ = aligned
    piece = write_genome(tmp_path, {"chr1": BASES["chr1"][:13_000]}, "piece")
    with pytest.raises(InputError, match="1 contig length\\(s\\) differ from the genome: chr1 20,000 in the file"):
        build_toy(tmp_path / "toy.1", piece, [library_row(bam)], [(bam,)])
    found = build_toy(tmp_path / "toy.1", piece, [library_row(bam)], [(bam,)], partial=True)
    whole = table_rows(folder / "toy.1")
    assert table_rows(tmp_path / "toy.1") == [one for one in whole if one[0] == "chr1" and one[2] <= 13_000]
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
    build_toy(tmp_path / "toy.1", genome, [library_row(path) for path in paths], [(path,) for path in paths])
    assert table_rows(tmp_path / "toy.1") == table_rows(folder / "toy.1")


@needs_programs
def test_cram_is_read_with_the_genome_and_no_other(tmp_path, genome, aligned):
    folder, bam, _ = aligned
    path = tmp_path / "x.cram"
    pysam.view("-C", "-T", str(genome.parent / "toy.fa"), "-o", str(path), str(bam), catch_stdout=False)
    build_toy(tmp_path / "toy.1", genome, [library_row(path, format="bam")], [(path,)])
    assert table_rows(tmp_path / "toy.1") == table_rows(folder / "toy.1")
    other = write_genome(tmp_path, sequences(seed=8), "other")
    with pytest.raises(InputError, match=r"x\.cram: damaged or truncated alignment file"):
        build_toy(tmp_path / "toy.2", other, [library_row(path, format="bam")], [(path,)])
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
        build_toy(tmp_path / "o" / "toy.1", genome, [library_row(path)], [(path,)])
    assert list((tmp_path / "o").iterdir()) == []


@needs_programs
def test_nothing_left(tmp_path, genome, aligned):
    _, bam, _ = aligned
    with pytest.raises(InputError) as error:
        build_toy(tmp_path / "o" / "toy.1", genome, [library_row(bam)], [(bam,)], mapq_min=200)
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
        build_toy(tmp_path / "o" / "toy.1", genome, [library_row(path)], [(path,)], exclude_contigs=[])
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
        found = build_toy(tmp_path / "toy.1", genome, [library_row(path)], [(path,)])
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
        marker = build_toy(tmp_path / "toy.1", genome, [library_row(reads[0], "ATAC-seq")], [reads], index=index)
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
        build_toy(tmp_path / "toy.1", genome, [library_row(path, "ATAC-seq")], [(path,)])
    stated = library_row(path, "ATAC-seq", prior_plus_shift=4, prior_minus_shift=-5)
    shift = build_toy(tmp_path / "toy.1", genome, [stated], [(path,)]).attrs["shift"]
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
    marker = build_toy(tmp_path / "toy.1", genome, [library_row(path) for path in paths], [(path,) for path in paths])
    used = [one for one in kept if one[0] != "chrM"]
    assert table_rows(tmp_path / "toy.1") == sorted((*one[:3], 0) for one in used)
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
        build_toy(tmp_path / "toy.1", genome, [library_row(path)], [(path,)])


# A job that was killed.
