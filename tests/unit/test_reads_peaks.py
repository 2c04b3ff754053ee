"""Tags, macs' peaks made clean, and its signals, against macs run by hand."""

import gzip
import shutil
import subprocess

import numpy as np
import pybigtools
import pytest

from seqmill.reads.chip import _groups, bedgraph_pieces, contig_runs, fragment_bp, write_comparison
from seqmill.reads.fragments import Fragments, FragmentTable, write_fragments
from seqmill.reads.peaks import (
    MacsSettings,
    Peaks,
    best,
    callpeak,
    collect_peaks,
    contig_code,
    empty_peaks,
    read_macs_peaks,
    run_macs,
    write_peaks,
    write_tags,
)
from seqmill.reads.replicates import Part, Replicate, first_half, fragments_of, pooled_tags, samples, tags_of
from seqmill.runtime.errors import WorkerError

needs_macs = pytest.mark.skipif(
    not (shutil.which("macs3") or shutil.which("macs2")), reason="macs is not installed (apt-get install macs)"
)
SIZES = {"chrB": 60_000, "track1": 30_000, "chrA": 40_000, "none": 5_000}
NUMBERS = dict(enumerate(SIZES))
PLANTED = {"chrB": [10_000, 45_000], "track1": [15_000], "chrA": [20_000]}


def _reads(seed, sites, n_site=250, n_noise=1500, width=150):
    """Single reads of 40 bp: uniform noise and heaps of cut sites around planted places."""
    rng = np.random.default_rng(seed)
    pieces = {}
    for contig in ("chrB", "track1", "chrA"):
        at = [rng.integers(100, SIZES[contig] - 100, n_noise)]
        at += [rng.normal(site, width / 2, n_site).astype(int) for site in sites.get(contig, [])]
        start = np.concatenate(at)
        pieces[contig] = Fragments.of(start, start + 40, rng.choice([-1, 1], len(start)))
    return pieces


def _table(path, pieces, paired=False):
    write_fragments(path, SIZES, paired, pieces)
    return FragmentTable(path)


def _bed(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_tags_of_single_reads_are_the_reads_shifted(tmp_path):
    reads = Fragments.of(np.array([0, 100, 200]), np.array([40, 140, 240]), np.array([-1, 1, -1]))
    table = _table(tmp_path / "t", {"chrA": reads})
    tags = tags_of(reads, Replicate(1, table, 40, 4, -5), 40_000)
    assert list(zip(*(column.tolist() for column in tags))) == [(0, 35, -1), (104, 140, 1), (200, 235, -1)]


def test_tags_of_pairs_are_both_mates(tmp_path):
    pairs = Fragments.of(np.array([100, 300]), np.array([130, 500]), np.array([1, -1]))
    table = _table(tmp_path / "t", {"chrA": pairs}, paired=True)
    tags = tags_of(pairs, Replicate(1, table, 50, 4, -4), 40_000)
    assert list(zip(*(column.tolist() for column in tags))) == [
        (104, 130, 1), (304, 350, 1), (100, 126, -1), (450, 496, -1),
    ]  # fmt: skip


def test_five_prime_ends_that_leave_the_contig_are_dropped(tmp_path):
    reads = Fragments.of(np.array([0, 36, 0, 38]), np.array([3, 40, 40, 40]), np.array([-1, 1, 1, 1]))
    table = _table(tmp_path / "t", {})
    tags = tags_of(reads, Replicate(1, table, 40, 3, -5), 40)
    assert list(zip(*(column.tolist() for column in tags))) == [(3, 40, 1), (39, 40, 1)]


def test_tags_are_written_by_contig_number(tmp_path):
    tags = Fragments(np.array([5, 7], np.int32), np.array([9, 12], np.int32), np.array([1, -1], np.int8))
    found = write_tags(tmp_path / "t.bed", SIZES, [("track1", tags), ("none", Fragments(*(c[:0] for c in tags)))], 36)
    assert (tmp_path / "t.bed").read_text() == "c0000001\t5\t9\tN\t0\t+\nc0000001\t7\t12\tN\t0\t-\n"
    assert (found.total, found.length) == (2, 36)


def test_halves_are_seeded_and_complete(tmp_path):
    first = first_half(1001, seed=3, replicate=1, contig="chrA")
    assert first.sum() in (500, 501)
    assert (first == first_half(1001, seed=3, replicate=1, contig="chrA")).all()
    for other in ({"seed": 4}, {"replicate": 2}, {"contig": "chrB"}):
        assert (first != first_half(1001, **{"seed": 3, "replicate": 1, "contig": "chrA", **other})).any()
    # neither long stretches nor a lasting lean
    assert abs(first[:500].sum() - 250) < 60
    odd = [first_half(1, seed=0, replicate=1, contig=str(number)).sum() for number in range(200)]
    assert 60 < sum(odd) < 140

    reads = _reads(0, PLANTED)
    one = Replicate(1, _table(tmp_path / "t", reads), 40)
    halves = [fragments_of(Part(one, half), "chrA", 7) for half in (1, 2)]
    assert abs(len(halves[0].start) - len(halves[1].start)) <= 1
    joined = Fragments.of(*(np.concatenate([half[column] for half in halves]) for column in range(3)))
    for got, expected in zip(joined, reads["chrA"]):
        np.testing.assert_array_equal(got, expected)


def test_samples_of_replicates(tmp_path):
    table = _table(tmp_path / "t", {})
    one, two = Replicate(1, table, 40), Replicate(4, table, 40)
    assert list(samples([one])) == ["pooled", "pseudo1", "pseudo2"]
    found = samples([one, two])
    assert found["pseudo2"] == [Part(one, 2), Part(two, 2)] and found["rep4.pseudo1"] == [Part(two, 1)]
    assert len(found) == 9


def test_each_replicate_keeps_its_own_shift_when_pooled(tmp_path):
    reads = Fragments.of(np.array([100]), np.array([140]), np.array([1]))
    table = _table(tmp_path / "t", {"chrA": reads})
    parts = [Part(Replicate(1, table, 40, 4, -5)), Part(Replicate(2, table, 40, 0, 0))]
    assert dict(pooled_tags(parts, 0))["chrA"].start.tolist() == [104, 100]


def _narrow(*rows):
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def test_macs_peaks_are_clipped_and_sorted(tmp_path):
    path = tmp_path / "x_peaks.narrowPeak"
    path.write_text(
        _narrow(
            ("c0000002", 39_900, 40_200, "b", 9, ".", 2.5, 3.0, -1, 250),
            ("c0000000", 10, 50, "a", 9, ".", 1.5, 30.25, 2.0, -1),
            ("c0000000", -5, 40, "c", 9, ".", 1.0, 200.0, 2.0, 1),
            ("c0000003", 5_000, 5_100, "gone", 9, ".", 1.0, 2.0, 2.0, 1),
        )
    )
    peaks = read_macs_peaks(path, list(SIZES.values()))
    write_peaks(tmp_path / "out.gz", peaks, list(SIZES))
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()).decode() == _narrow(
        ("chrB", 0, 40, "peak_1", 1000, ".", "1.00000", "200.00000", "2.00000", 0),
        ("chrB", 10, 50, "peak_2", 302, ".", "1.50000", "30.25000", "2.00000", 20),
        ("chrA", 39_900, 40_000, "peak_3", 30, ".", "2.50000", "3.00000", "-1.00000", 99),
    )
    assert best(peaks, 2).p.tolist() == [200.0, 30.25]


def test_no_peaks_are_an_empty_file(tmp_path):
    (tmp_path / "x_peaks.narrowPeak").write_text("")
    peaks = read_macs_peaks(tmp_path / "x_peaks.narrowPeak", [10])
    write_peaks(tmp_path / "out.gz", peaks, ["a"])
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == b""
    assert len(best(empty_peaks(), 5).start) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "macs ended well but wrote no x_peaks.narrowPeak"),
        ("c0000000\t1\t2\n", "x_peaks.narrowPeak of macs is not narrowPeak"),
        ("chr1\t1\t20\ta\t1\t.\t1\t1\t1\t1\n", "x_peaks.narrowPeak of macs is not narrowPeak"),
        ("c0000000\t1\tx\ta\t1\t.\t1\t1\t1\t1\n", "x_peaks.narrowPeak of macs is not narrowPeak"),
    ],
)
def test_what_is_no_narrow_peak_is_refused(tmp_path, text, words):
    if text is not None:
        (tmp_path / "x_peaks.narrowPeak").write_text(text)
    with pytest.raises(WorkerError, match=words):
        read_macs_peaks(tmp_path / "x_peaks.narrowPeak", [1000])


def test_bedgraph_is_read_in_the_order_of_the_genome(tmp_path):
    path = tmp_path / "x.bdg"
    lines = [f"c0000002\t{at}\t{at + 10}\t{at / 10}\n" for at in range(0, 300, 10)]
    lines += [f"c0000000\t{at}\t{at + 7000}\t1.5\n" for at in range(0, 63_000, 7000)]
    path.write_text("".join(lines))
    whole = [
        (name, s.tolist(), e.tolist(), v.tolist()) for name, s, e, v in bedgraph_pieces(path, NUMBERS, SIZES, ["none"])
    ]
    assert [piece[0] for piece in whole] == ["chrB", "track1", "chrA"]
    assert whole[0][2][-1] == 60_000  # clipped
    assert whole[1] == ("track1", [0], [30_000], [0.0])  # looked at, nothing found
    assert whole[2][1][0] == 10  # zeros are left out
    pieces = list(bedgraph_pieces(path, NUMBERS, SIZES, ["none"], block=64))
    assert len(pieces) > 10
    starts = np.concatenate([piece[1] for piece in pieces if piece[0] == "chrA"])
    assert starts.tolist() == whole[2][1]


def test_bedgraph_with_mixed_or_unknown_contigs_is_refused(tmp_path):
    path = tmp_path / "x.bdg"
    path.write_text("c0000000\t0\t5\t1\nc0000001\t0\t5\t1\nc0000000\t5\t9\t1\n")
    with pytest.raises(WorkerError, match="mixes lines of contigs c0000000, c0000001"):
        list(bedgraph_pieces(path, NUMBERS, SIZES))
    path.write_text("c0000009\t0\t5\t1\n")
    with pytest.raises(WorkerError, match="has a contig 'c0000009'"):
        list(bedgraph_pieces(path, NUMBERS, SIZES))
    path.write_text("c0000001\t0\tx\t1\n")
    with pytest.raises(WorkerError, match="is not bedGraph"):
        list(bedgraph_pieces(path, NUMBERS, SIZES))


def test_runs_of_contigs_are_found_by_bisection():
    rng = np.random.default_rng(1)
    names = [f"c{number:07d}" for number in rng.permutation(50)]
    text, expected = b"", {}
    for name in names:
        lines = "".join(f"{name}\t{at}\t1\n" for at in range(rng.integers(1, 200))).encode()
        expected[name] = (len(text), len(text) + len(lines))
        text += lines
    assert contig_runs(text) == expected


def test_small_contigs_are_compared_together(monkeypatch):
    monkeypatch.setattr("seqmill.reads.chip.BLOCK", 100)
    runs = {
        contig_code(0): (0, 150),
        contig_code(1): (150, 200),
        contig_code(2): (200, 250),
        contig_code(4): (250, 260),
    }
    assert _groups(runs, 5) == [[0], [1, 2, 3], [4]]


def test_fragment_length_of_pairs_is_the_median(tmp_path):
    start = np.arange(0, 2000, 20)
    length = np.arange(100) + 100
    table = _table(tmp_path / "t", {"chrA": Fragments.of(start, start + length, np.ones(100))}, paired=True)
    assert fragment_bp(table, 50) == (149, "median")
    assert fragment_bp(_table(tmp_path / "u", {}), 50) == (200, "default")


def _call(folder, treatment, control=None, *, settings=None, signal=False):
    """Peaks of tables of single reads."""
    files = {}
    for name, table in (("treatment", treatment), ("control", control)):
        if table is not None:
            files[name] = write_tags(folder / f"{name}.bed", SIZES, pooled_tags([Part(Replicate(1, table, 40))], 0), 40)
    settings = settings or MacsSettings(135_000, 1e-5, -75, 150, True)
    command = callpeak("x", files["treatment"], files.get("control"), settings, signal=signal)
    run_macs(folder, {"x": command})
    return collect_peaks(folder, "x", SIZES, 1000), files, command


def _sites(peaks: Peaks):
    return {(list(SIZES)[contig], summit) for contig, summit in zip(peaks.contig.tolist(), peaks.summit.tolist())}


@needs_macs
def test_planted_peaks_are_found_on_all_contigs(tmp_path):
    peaks, _, command = _call(tmp_path, _table(tmp_path / "t", _reads(1, PLANTED)))
    found = _sites(best(peaks, 4))
    for contig, sites in PLANTED.items():
        for site in sites:
            assert any(name == contig and abs(summit - site) < 150 for name, summit in found)
    assert command[:4] == ["callpeak", "-t", "treatment.bed", "-f"]


@needs_macs
def test_control_takes_an_artefact_away(tmp_path):
    artefact = {"chrB": [30_000]}
    both = {contig: PLANTED.get(contig, []) + artefact.get(contig, []) for contig in SIZES}
    treatment = _table(tmp_path / "t", _reads(2, both))
    control = _table(tmp_path / "c", _reads(3, artefact))
    chip = MacsSettings(135_000, 1e-5, 0, 150, False)
    alone = _call(tmp_path, treatment, settings=chip)[0]
    against = _call(tmp_path, treatment, control, settings=chip)[0]

    def near(peaks, site):
        return any(name == "chrB" and abs(summit - site) < 200 for name, summit in _sites(peaks))

    assert near(alone, 30_000) and not near(against, 30_000)
    assert near(against, 10_000) and near(against, 45_000)


@pytest.mark.slow
@needs_macs
@pytest.mark.parametrize("with_control", [False, True])
def test_peaks_and_signals_are_those_of_macs_by_hand(tmp_path, with_control, monkeypatch):
    # two contigs at a time, and one
    monkeypatch.setattr("seqmill.reads.chip.BLOCK", 200_000)
    work, hand = tmp_path / "work", tmp_path / "hand"
    work.mkdir(), hand.mkdir()
    treatment = _table(tmp_path / "t", _reads(4, PLANTED))
    control = _table(tmp_path / "c", _reads(5, {}, n_noise=2500)) if with_control else None
    chip = MacsSettings(135_000, 0.01, 0, 150, False)
    peaks, files, _ = _call(work, treatment, control, settings=chip, signal=True)
    for output in ("fold_change", "p_value"):
        sizes = [last - first for first, last in contig_runs((work / "x_treat_pileup.bdg").read_bytes()).values()]
        assert sum(sizes) > 200_000 > sizes[1] + sizes[2]
        write_comparison(tmp_path / f"{output}.bw", SIZES, work, "x", output, files["treatment"].total, ["none"])

    # by hand: real contig names, commands as in ENCODE's pipeline
    names = {f"c{number:07d}": contig.replace("track", "trak") for number, contig in enumerate(SIZES)}
    for name in files:
        rows = _bed(work / f"{name}.bed")
        (hand / f"{name}.bed").write_text("".join("\t".join([names[row[0]], *row[1:]]) + "\n" for row in rows))
    macs = shutil.which("macs3") or shutil.which("macs2")

    def run(*arguments):
        subprocess.run([macs, *arguments], cwd=hand, check=True, capture_output=True)

    against = ["-c", "control.bed"] if with_control else []
    run(
        *("callpeak", "-t", "treatment.bed", *against, "-f", "BED", "-n", "y", "-g", "135000", "-p", "0.01"),
        *("--nomodel", "--shift", "0", "--extsize", "150", "--keep-dup", "all", "-B", "--SPMR"),
    )
    rows = sorted(
        (list(names.values()).index(row[0]), max(0, int(row[1])), int(row[2]), float(row[7]), int(row[1]) + int(row[9]))
        for row in _bed(hand / "y_peaks.narrowPeak")
    )
    assert rows == list(zip(*(getattr(peaks, key).tolist() for key in ("contig", "start", "end", "p", "summit"))))
    assert len(rows) >= 4
    bedgraphs = ["-t", "y_treat_pileup.bdg", "-c", "y_control_lambda.bdg"]
    run("bdgcmp", *bedgraphs, "-m", "FE", "-o", "fold_change")
    run("bdgcmp", *bedgraphs, "-m", "ppois", "-S", str(files["treatment"].total / 1e6), "-o", "p_value")
    for output in ("fold_change", "p_value"):
        dense = {names[code]: np.zeros(SIZES[contig], np.float32) for code, contig in zip(names, SIZES)}
        for contig, start, end, value in _bed(hand / output):
            dense[contig][int(start) : int(end)] = float(value)
        signal = pybigtools.open(str(tmp_path / f"{output}.bw"))
        for code, contig in zip(names, SIZES):
            if contig != "none":
                ours = signal.values(contig, 0, SIZES[contig], fillna=0)
                np.testing.assert_array_equal(ours.astype(np.float32), dense[names[code]])
                assert ours.max() > 1
        assert "none" not in signal.chroms()


@needs_macs
def test_equal_runs_give_equal_bytes(tmp_path):
    found = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        peaks, files, _ = _call(folder, _table(folder / "t", _reads(6, PLANTED)), signal=True)
        write_peaks(folder / "peaks.gz", peaks, list(SIZES))
        write_comparison(folder / "x.bw", SIZES, folder, "x", "p_value", files["treatment"].total, [])
        found.append([(folder / name).read_bytes() for name in ("peaks.gz", "x.bw")])
    assert found[0] == found[1]


@needs_macs
def test_several_calls_at_once_and_one_that_fails(tmp_path):
    table = _table(tmp_path / "t", _reads(7, PLANTED))
    tags = write_tags(tmp_path / "t.bed", SIZES, pooled_tags([Part(Replicate(1, table, 40))], 0), 40)
    settings = MacsSettings(135_000, 1e-5, -75, 150, True)
    run_macs(tmp_path, {name: callpeak(name, tags, None, settings, signal=False) for name in ("a", "b")})
    one, two = (collect_peaks(tmp_path, name, SIZES, 1000) for name in ("a", "b"))
    assert len(one.start) and all((x == y).all() for x, y in zip(one, two))
    bad = callpeak("bad", tags._replace(path=tmp_path / "missing.bed"), None, settings, signal=False)
    with pytest.raises(WorkerError, match=r"peaks of bad: macs\d failed .*missing.bed"):
        run_macs(tmp_path, {"bad": bad})
