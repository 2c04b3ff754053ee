"""The sheet of reads: rows, experiments, and tracks that are made of them."""

import re
from pathlib import Path

import pytest

import seqmill
from seqmill.config.experiments import library_names, library_wishes
from seqmill.config.lock import LockRow, write_lock
from seqmill.config.project import Project
from seqmill.config.reads import Reads, assay_kind, experiments, outputs_of, read_reads_sheet
from seqmill.config.scope import EXPERIMENT_KEYS, LIBRARY_KEYS, QUALITY_KEYS, library_row, reads_scope
from seqmill.runtime.errors import InputError
from seqmill.stages.reads_jobs import aligner_of, experiment_job, library_job, quality_job


def sheet(folder: Path, *rows: dict[str, str], name: str = "reads.tsv") -> Path:
    """A sheet of the given rows, and of the local files that they name."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["\t".join(columns), *("\t".join(row.get(column, "") for column in columns) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


ATAC = {"experiment": "k", "location": "a_1.fq.gz", "mate": "a_2.fq.gz", "assay": "ATAC-seq"}
CHIP = {"experiment": "c", "location": "c.bam", "assay": "TF ChIP-seq", "target": "CTCF"}
BAD = {
    "no location": ({**ATAC, "location": ""}, "reads.tsv:2: experiment k: location is empty"),
    "no assay": ({**ATAC, "assay": ""}, "reads.tsv:2: experiment k: assay is empty"),
    "unknown assay": (
        {**ATAC, "assay": "Hi-C"},
        "reads.tsv:2: assay 'Hi-C': no signal is made of its reads; known: ATAC-seq, DNase-seq, MNase-seq, "
        "ChIP-seq, RNA-seq",
    ),
    "unknown format": (
        {**ATAC, "location": "a.txt", "mate": ""},
        "reads.tsv:2: format of 'a.txt' not known; expected fastq, bam, fragments",
    ),
    "mate of a BAM": (
        {**ATAC, "location": "a.bam"},
        "reads.tsv:2: column 'mate' is for a local FASTQ of read 2; runs of archives bring their mates",
    ),
    "mate of an accession": (
        {**ATAC, "location": "SRR139146"},
        "reads.tsv:2: column 'mate' is for a local FASTQ of read 2; runs of archives bring their mates",
    ),
    "one file twice": (
        {**ATAC, "mate": "a_1.fq.gz"},
        "reads.tsv:2: 'location' and 'mate' are one file: a_1.fq.gz",
    ),
    "cells of a FASTQ": (
        {**ATAC, "cells": "cells.tsv", "cell_group": "B"},
        "reads.tsv:2: 'cells' and 'cell_group' go together, with a fragment file",
    ),
    "strands of ATAC": (
        {**ATAC, "strandedness": "reverse"},
        "reads.tsv:2: 'strandedness' is for RNA, the assay is ATAC-seq",
    ),
    "control of ATAC": ({**ATAC, "control": "c"}, "reads.tsv:2: 'control' is for ChIP-seq, the assay is ATAC-seq"),
    "half a shift": (
        {**ATAC, "prior_plus_shift": "4"},
        "reads.tsv:2: 'prior_plus_shift' and 'prior_minus_shift' go together",
    ),
    "spliced fragments": (
        {"experiment": "r", "location": "x.fragments.tsv.gz", "assay": "RNA-seq"},
        "reads.tsv:2: RNA needs reads or alignments: fragments do not say what is spliced",
    ),
    "replicate 0": ({**ATAC, "replicate": "0"}, "reads.tsv:2: column 'replicate': Input should be greater"),
    "unknown column": ({**ATAC, "replicat": "1"}, "reads.tsv:1: unknown column 'replicat'; did you mean 'replicate'?"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_named(case, tmp_path):
    row, message = BAD[case]
    path = sheet(tmp_path, row)
    with pytest.raises(InputError) as error:
        read_reads_sheet(path)
    assert str(error.value).removeprefix(f"{tmp_path}/").startswith(message)


def test_an_empty_sheet_and_one_of_spaces(tmp_path):
    (tmp_path / "e.tsv").write_text("experiment\tlocation\tassay\n")
    with pytest.raises(InputError, match="0 rows; expected at least one below the header"):
        read_reads_sheet(tmp_path / "e.tsv")
    (tmp_path / "s.tsv").write_text("experiment location assay\nk a.fq ATAC-seq\n")
    with pytest.raises(InputError, match="column 'experiment' missing; found: experiment location assay"):
        read_reads_sheet(tmp_path / "s.tsv")


DISAGREE = {
    "assays": ([ATAC, {**ATAC, "assay": "DNase-seq"}], "experiment k: assay is 'ATAC-seq' and 'DNase-seq'"),
    "formats": (
        [ATAC, {"experiment": "k", "location": "b.bam", "assay": "ATAC-seq"}],
        "experiment k, replicate 1: runs of formats ['bam', 'fastq']",
    ),
    "no control": ([{**CHIP, "control": "input"}], "experiment c: control 'input' is no experiment"),
    "own control": (
        [{**CHIP, "control": "c"}],
        "experiment c: control c must be another ChIP experiment on its assembly",
    ),
    "control of another assay": (
        [{**CHIP, "control": "k"}, ATAC],
        "experiment c: control k must be another ChIP experiment on its assembly",
    ),
}


@pytest.mark.parametrize("case", DISAGREE)
def test_rows_that_disagree(case, tmp_path):
    rows, message = DISAGREE[case]
    with pytest.raises(InputError) as error:
        experiments(read_reads_sheet(sheet(tmp_path, *rows)), "reads.tsv")
    assert str(error.value) == f"reads.tsv: {message}"


def test_runs_and_replicates_are_joined(tmp_path):
    rows = [ATAC, {**ATAC, "location": "b_1.fq", "mate": "b_2.fq"}, {**ATAC, "replicate": "2"}, CHIP]
    read = read_reads_sheet(sheet(tmp_path, *rows))
    found = experiments(read, "reads.tsv")
    assert {name: {key: len(runs) for key, runs in one.replicates.items()} for name, one in found.items()} == {
        "k": {1: 2, 2: 1},
        "c": {1: 1},
    }
    assert library_names(read) == ["k.1", "k.1.2", "k.2", "c.1"]
    assert (found["c"].assay, found["c"].target) == ("chip", "CTCF")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("ATAC-seq", "atac"),
        ("snATAC-seq", "atac"),
        ("MNase-Seq", "mnase"),
        ("polyA plus RNA-seq", "rna"),
        ("CAGE", "rna"),
        ("Control ChIP-seq", "chip"),
        ("DNase-Hypersensitivity", "dnase"),
    ],
)
def test_words_for_assays(words, kind):
    assert assay_kind(words) == kind
    assert outputs_of(kind)[0] in ("cut_sites", "centres", "fold_change", "coverage")


def project(folder: Path, tracks: str, *rows: dict[str, str], **reads: object) -> Project:
    (folder / "g.fa").write_text(">c\nACGT\n")
    (folder / "tracks.tsv").write_text(tracks)
    section = {"sheet": str(sheet(folder, *rows)), **reads} if rows else dict(reads)
    values = {
        "genomes": {"g": {"fasta": str(folder / "g.fa")}},
        "tracks": {"sheet": str(folder / "tracks.tsv")},
        "reads": section,
    }
    return Project.of(values, "c.yaml")


RNA = {"experiment": "r", "location": "r.bam", "assay": "RNA-seq", "strandedness": "reverse"}
TWO = [ATAC, {**ATAC, "replicate": "2", "location": "b_1.fq", "mate": "b_2.fq"}]


def test_tracks_name_outputs_of_experiments(tmp_path):
    lines = ["track\tlocation\toutput_type\treplicates\tstrand\tstrand_pair"]
    lines += ["cuts\treads:k\t\t\t\t", "fc\treads:k\tfold change over control\t\t\t", "peaks2\treads:k\tpeaks\t2\t\t"]
    lines += ["plus\treads:r\t\t\t+\tminus", "minus\treads:r\t\t\t-\tplus", "one\treads:r\tcoverage\t1\t\t"]
    made = project(tmp_path, "\n".join(lines) + "\n", *TWO, RNA).tracks
    assert {name: (track.path.as_posix(), track.kind) for name, track in made.items()} == {
        "cuts": ("results/experiments/k/cut_sites.bw", "signal"),
        "fc": ("results/experiments/k/fold_change.bw", "signal"),
        "peaks2": ("results/experiments/k/peaks.rep2.narrowPeak.gz", "intervals"),
        "plus": ("results/experiments/r/coverage.plus.bw", "signal"),
        "minus": ("results/experiments/r/coverage.minus.bw", "signal"),
        "one": ("results/experiments/r/coverage.bw", "signal"),
    }
    assert made["plus"].strand_pair == "minus"
    assert made["cuts"].assembly == "g"


BAD_TRACKS = {
    "no experiment": ("x\treads:q\t\t\t", "track x: reads:q: no such experiment; known: k, r"),
    "no output": (
        "x\treads:r\tpeaks\t\t",
        "track x: reads:r: output_type 'peaks' is none of coverage",
    ),
    "no replicate": ("x\treads:k\tpeaks\t3\t", "track x: reads:k: replicate '3' is none of [1, 2]; empty: all"),
    "reproducible in one": (
        "x\treads:k\treproducible peaks\t1\t",
        "track x: reads:k: reproducible peaks are of all replicates; leave replicates empty",
    ),
    "strand of ATAC": ("x\treads:k\t\t\t+", "track x: reads:k: strand '+', but only stranded RNA has strands"),
}


@pytest.mark.parametrize("case", BAD_TRACKS)
def test_tracks_that_no_experiment_makes(case, tmp_path):
    row, message = BAD_TRACKS[case]
    made = project(tmp_path, f"track\tlocation\toutput_type\treplicates\tstrand\n{row}\n", *TWO, RNA)
    with pytest.raises(InputError) as error:
        _ = made.tracks
    assert str(error.value) == f"{tmp_path}/tracks.tsv: {message}"


def test_a_track_that_is_reads_is_an_experiment_of_its_own(tmp_path):
    row = "d\ta_1.fq.gz\ta_2.fq.gz\tDNase-seq\nh\tb.fq\t\tHi-C\n"
    made = project(tmp_path, f"track\tlocation\tmate\tassay\n{row}")
    assert made.tracks["d"].path.as_posix() == "results/experiments/d/cut_sites.bw"
    assert made.tracks["h"].kind == "reads"  # no signal is made of such reads; they are only fetched
    assert list(made.experiments) == ["d"]
    assert made.experiments["d"].replicates[1][0].mate == "a_2.fq.gz"


def test_remote_reads_are_locked_by_experiment_and_replicate(tmp_path):
    rows = [{"experiment": "s", "location": "SRX1", "assay": "ATAC-seq"}, {**ATAC, "experiment": "l"}]
    pinned = LockRow(
        name="s.1",
        asked="SRX1; assembly=g",
        file="SRR1.sra",
        source="sra",
        accession="SRR1",
        url="https://a/b",
        bytes=9,
        md5="0" * 32,
        format="sra",
        run="SRR1",
    )
    write_lock(tmp_path / "tracks.lock.tsv", [pinned])
    made = project(tmp_path, "track\tlocation\nt\treads:s\n", *rows)
    assert [wish.text for wish in library_wishes(made.config)] == ["SRX1; assembly=g"]
    assert list(made.fetched()) == ["s.1"]
    job = library_job(made, "s", 1)
    assert job["sources"] == [{"folder": "results/sources/s.1"}]
    assert job["rows"][0]["format"] == "fastq"
    assert library_job(made, "l", 1)["sources"] == [{"files": ["a_1.fq.gz", "a_2.fq.gz"]}]


def test_an_unlocked_row_says_what_to_do(tmp_path):
    made = project(
        tmp_path, "track\tlocation\nt\treads:s\n", {"experiment": "s", "location": "SRX1", "assay": "ATAC-seq"}
    )
    with pytest.raises(InputError, match=r"s\.1: SRX1 is not in the lock .*; run 'seqmill lock'"):
        _ = made.tracks


def test_what_a_job_is_told_leaves_out_what_does_not_decide_it(tmp_path):
    def jobs(**reads):
        rows = [{**CHIP, "control": "i", "biosample": "x"}, {**CHIP, "experiment": "i", "location": "i.bam"}]
        made = project(tmp_path, "track\tlocation\nt\treads:c\n", *rows, **reads)
        return library_job(made, "c", 1), experiment_job(made, "c"), quality_job(made, "c")

    plain, other = jobs(), jobs(peak_p=0.001)
    assert plain[0] == other[0]
    assert plain[1] != other[1]
    assert plain[2] == other[2]
    assert jobs(mapq_min=10)[0] != plain[0]
    assert plain[1]["control"] == ["results/libraries/i.1"]
    assert plain[0]["index"] is None  # aligned already
    made = project(tmp_path, "track\tlocation\nt\treads:c\n", CHIP)
    assert library_row(made.experiments["c"].replicates[1][0]).target == ""


ROOM = Path(seqmill.__file__).parent / "reads"
NOUNS = {
    "library": (LIBRARY_KEYS, ["library.py", "align.py", "filter.py", "gate.py", "bam_input.py", "fragment_files.py"]),
    "experiment": (EXPERIMENT_KEYS, ["experiment.py", "calling.py", "chip.py", "signal.py", "overlap.py", "idr.py"]),
    "quality": (QUALITY_KEYS, ["quality.py", "quality_metrics.py", "strand_quality.py", "agreement.py", "tss.py"]),
}


@pytest.mark.parametrize("noun", NOUNS)
def test_a_job_reads_no_setting_that_it_is_not_told(noun):
    keys, files = NOUNS[noun]
    read = {key for file in files for key in re.findall(r"\bsettings\.(\w+)", (ROOM / file).read_text())}
    assert read & set(Reads.model_fields) <= keys
    assert read & keys  # the files are still those that read settings


def test_aligners(tmp_path):
    made = project(tmp_path, "track\tlocation\nt\treads:k\n", ATAC, {**RNA, "location": "r.fq"})
    assert (aligner_of(made, "k"), aligner_of(made, "r")) == ("bowtie2", "hisat2")
    assert reads_scope(made.config.reads, LIBRARY_KEYS).sheet is None
