"""Adapters that were planted are found and cut off at the right base; what must not change does not."""

import gzip
import random

import pytest

from seqmill.reads import trim
from seqmill.reads.trim import ADAPTERS, find_adapter, trim_reads
from seqmill.runtime.errors import InputError, WorkerError

READ_BP = 40
# Letters of inserts, such that no end of one looks like the beginning of the adapter: what is cut is known exactly.
LETTERS = {"Illumina": "CGT", "Nextera": "AG", "small RNA": "ACG"}


def inserts(kind: str, count: int, seed: int = 1, shortest: int = 1) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(LETTERS[kind], k=draw.randint(shortest, 2 * READ_BP))) for _ in range(count)]


def read_of(insert: str, adapter: str) -> str:
    return (insert + adapter + "A" * READ_BP)[:READ_BP]


def kept_of(insert: str) -> str:
    """What is left of a read: an adapter of which less than 3 bases are seen is not told from chance."""
    return insert if len(insert) <= READ_BP - 3 else None


def fastq(path, sequences, name="r{}"):
    text = "".join(f"@{name.format(n)}\n{bases}\n+\n{'F' * len(bases)}\n" for n, bases in enumerate(sequences))
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())
    return path


def records(path) -> list[tuple[str, str, str]]:
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.name.endswith(".gz") else content).decode().splitlines()
    return list(zip(lines[0::4], lines[1::4], lines[3::4]))


@pytest.mark.parametrize("kind", ADAPTERS)
def test_planted_adapters_are_cut_at_the_base(tmp_path, kind):
    whole = inserts(kind, 500)
    path = fastq(tmp_path / "a.fq.gz", [read_of(insert, ADAPTERS[kind]) for insert in whole])
    done = trim_reads(path, None, tmp_path, what="a")
    assert done.adapter == ADAPTERS[kind]
    expected = []
    for number, insert in enumerate(whole):
        left = kept_of(insert) or read_of(insert, ADAPTERS[kind])
        if len(left) >= 5:
            expected.append((f"@r{number}", left, "F" * len(left)))
    assert records(done.files[0]) == expected
    assert done.counts == {
        "reads_raw": 500,
        "reads_trimmed": sum(kept_of(insert) is not None for insert in whole),
        "reads_too_short": sum(len(insert) < 5 for insert in whole),
        "bases_raw": 500 * READ_BP,
        "bases_trimmed": sum(len(bases) for _, bases, _ in expected),
    }


def paired(tmp_path, name1="r{}", name2="r{}", kind="Nextera", count=400):
    """Files of both mates, and what is to be left of each pair."""
    whole = inserts(kind, count, seed=5)
    back = [insert[::-1] for insert in whole]  # not complemented: T and C could look like the adapter
    one = fastq(tmp_path / "one.fq", [read_of(insert, ADAPTERS[kind]) for insert in whole], name1)
    two = fastq(tmp_path / "two.fq.gz", [read_of(insert, ADAPTERS[kind]) for insert in back], name2)
    left = [
        tuple(kept_of(insert) or read_of(insert, ADAPTERS[kind]) for insert in pair)
        for pair in zip(whole, back)
        if len(pair[0]) >= 5
    ]
    return one, two, left


def test_pairs_stay_pairs(tmp_path):
    one, two, left = paired(tmp_path)
    done = trim_reads(one, two, tmp_path, what="a", stem="run0", expected=400)
    assert [path.name for path in done.files] == ["run0_1.fastq", "run0_2.fastq"]
    mates = [records(path) for path in done.files]
    assert [(a[1], b[1]) for a, b in zip(*mates)] == left
    assert [name for name, _, _ in mates[0]] == [name for name, _, _ in mates[1]]
    assert done.counts["reads_raw"] == 800
    assert done.counts["reads_too_short"] == 800 - 2 * len(left) > 0
    assert done.counts["bases_trimmed"] == sum(len(a) + len(b) for a, b in left)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.fq", "run0_1.fastq", "run0_2.fastq", "two.fq.gz"]


@pytest.mark.parametrize("compress", [False, True])
def test_any_number_of_cores_writes_the_same_bytes(tmp_path, compress):
    one, two, _ = paired(tmp_path, count=3000)
    written = []
    for threads in (1, 2, 3):
        folder = tmp_path / str(threads)
        folder.mkdir()
        done = trim_reads(one, two, folder, what="a", threads=threads, compress=compress)
        written.append([path.read_bytes() for path in done.files])
        assert all(path.name.endswith(".gz") == compress for path in done.files)
    assert written[0] == written[1] == written[2]


def test_mates_with_numbered_names_get_one_name(tmp_path):
    one, two, left = paired(tmp_path, "SRR1.{}.1", "SRR1.{}.2")
    done = trim_reads(one, two, tmp_path, what="a")
    mates = [records(path) for path in done.files]
    assert [name for name, _, _ in mates[0]] == [name for name, _, _ in mates[1]]
    assert len({name for name, _, _ in mates[0]}) == len(left)
    without = tmp_path / "without"
    without.mkdir()
    done = trim_reads(one, two, without, what="a", adapter="none")
    assert (done.adapter, done.counts["reads_trimmed"]) == ("", 0)
    assert [name for name, _, _ in records(done.files[0])] == [name for name, _, _ in records(done.files[1])]
    assert [bases for _, bases, _ in records(done.files[0])] == [bases for _, bases, _ in records(one)]


def test_nothing_is_written_where_nothing_is_to_be_done(tmp_path):
    one, two, _ = paired(tmp_path, "r{}/1", "r{}/2")
    done = trim_reads(one, two, tmp_path, what="a", adapter="none")
    assert (done.files, done.adapter) == ([one, two], "")
    assert done.counts == {
        "reads_raw": 800, "reads_trimmed": 0, "reads_too_short": 0,
        "bases_raw": 800 * READ_BP, "bases_trimmed": 800 * READ_BP,
    }  # fmt: skip
    clean = fastq(tmp_path / "clean.fq", [insert[:READ_BP] for insert in inserts("Nextera", 50, shortest=READ_BP)])
    assert trim_reads(clean, None, tmp_path, what="a").files == [clean]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.fq", "one.fq", "two.fq.gz"]


def test_a_rare_adapter_is_chance(tmp_path):
    plain = ["ACGTACGTAC" * 4] * 9_998
    held = "ACGT" + ADAPTERS["Illumina"] + "ACGT"
    few = fastq(tmp_path / "few.fq", plain[:-7] + [held] * 9)  # 9 of 10,000
    enough = fastq(tmp_path / "enough.fq", plain[:-8] + [held] * 10)
    assert find_adapter(few) == ""
    assert find_adapter(enough) == ADAPTERS["Illumina"]
    assert find_adapter(fastq(tmp_path / "two.fq", plain[:20] + [held] * 2)) == ""
    assert find_adapter(fastq(tmp_path / "three.fq", plain[:20] + [held] * 3)) == ADAPTERS["Illumina"]


def test_the_most_frequent_adapter_of_both_mates_is_taken(tmp_path):
    one = fastq(tmp_path / "one.fq", ["AC" + ADAPTERS["Illumina"]] * 5 + ["ACGTACGT"] * 5)
    two = fastq(tmp_path / "two.fq", ["AC" + ADAPTERS["Nextera"]] * 6 + ["ACGTACGT"] * 4)
    assert find_adapter(one, two) == ADAPTERS["Nextera"]
    assert find_adapter(one) == ADAPTERS["Illumina"]


def test_only_the_first_reads_are_looked_at(tmp_path, monkeypatch):
    path = fastq(tmp_path / "a.fq", ["ACGTACGT"] * 20 + ["AC" + ADAPTERS["Nextera"]] * 5)
    assert find_adapter(path) == ADAPTERS["Nextera"]
    monkeypatch.setattr(trim, "LOOKED_AT", 22)
    assert find_adapter(path) == ""


def test_stated_adapters(tmp_path):
    one = fastq(tmp_path / "one.fq", ["GGGGGGGGAACCTTAACC", "GGGGGGGGGGGGGGGGGG"])
    two = fastq(tmp_path / "two.fq", ["GGGGGGGGTTCCTTTTCC", "GGGGGGGGGGGGGGGGGG"])
    done = trim_reads(one, None, tmp_path, what="a", adapter="aaccttaacc", stem="s")
    assert [bases for _, bases, _ in records(done.files[0])] == ["G" * 8, "G" * 18]
    done = trim_reads(one, two, tmp_path, what="a", adapter="AACCTTAACC, TTCCTTTTCC")
    assert [[bases for _, bases, _ in records(path)] for path in done.files] == [["G" * 8, "G" * 18]] * 2
    assert (done.adapter, done.counts["reads_trimmed"]) == ("AACCTTAACC,TTCCTTTTCC", 2)


@pytest.mark.parametrize("adapter", ["ACGTX", "ACG", "", "file:x.fa", "ACGTACGT;e=0.5", "ACGTACGT,ACGTACGT", "AUTO?"])
def test_an_adapter_that_is_none(tmp_path, adapter):
    path = fastq(tmp_path / "a.fq", ["ACGTACGT"])
    with pytest.raises(InputError) as caught:
        trim_reads(path, None, tmp_path, what="GL1, replicate 1", adapter=adapter)
    assert str(caught.value) == (
        f"GL1, replicate 1: adapter {adapter!r}: expected one sequence of at least 6 bases, 'auto' or 'none'"
    )


def test_reads_of_adapters_alone(tmp_path):
    path = fastq(tmp_path / "a.fq", [read_of("GA", ADAPTERS["Nextera"])] * 20)
    with pytest.raises(InputError) as caught:
        trim_reads(path, None, tmp_path, what="a")
    assert str(caught.value) == (
        f"{path}: 0 reads left after trimming: all 20 have fewer than 5 bases without adapter CTGTCTCTTATA; "
        "a library of adapters alone, or another adapter?"
    )


def test_bad_reads_are_named_before_anything_runs(tmp_path):
    path = tmp_path / "a.fq"
    path.write_text("@a\nACGT\n+\nIII\n")
    with pytest.raises(InputError, match=r"a\.fq:4: read 1: 4 bases, 3 qualities"):
        trim_reads(path, None, tmp_path, what="a", adapter="AACCTTAACC")
    assert [one.name for one in tmp_path.iterdir()] == ["a.fq"]


def test_a_failure_of_cutadapt_is_one_message_and_leaves_nothing(tmp_path, monkeypatch):
    path = fastq(tmp_path / "a.fq", ["ACGTACGT"])
    monkeypatch.setattr(trim, "ERROR_RATE", "many")
    with pytest.raises(WorkerError, match=r"^GL1: trimming: cutadapt failed \(exit status 2\): .*invalid float"):
        trim_reads(path, None, tmp_path, what="GL1", adapter="AACCTTAACC")
    assert [one.name for one in tmp_path.iterdir()] == ["a.fq"]


def test_names_of_files_are_only_names(tmp_path):
    folder = tmp_path / "{name} of, =a"
    folder.mkdir()
    one = fastq(folder / "-o {name},1.fasta", ["GGGGGGGGAACCTTAACC"])
    done = trim_reads(one, None, folder, what="a", adapter="AACCTTAACC")
    assert records(done.files[0]) == [("@r0", "G" * 8, "F" * 8)]
    assert done.files[0] == folder / "trimmed_1.fastq"
