"""The simulated world: its grammar, its noise, and that the same settings give the same bytes."""

import gzip
from pathlib import Path

import numpy as np
import pysam
import pytest
from pydantic import ValidationError

import seqmill.simulate.world as world_module
from seqmill.config.sheet import read_sheet
from seqmill.config.simulation import SimulationSettings
from seqmill.runtime.marker import verify_folder
from seqmill.simulate.background import BLOCK_BP, Chromosome, markov_sequence
from seqmill.simulate.files import letters, write_bigwig
from seqmill.simulate.grammar import Instance, Site, truth_arrays
from seqmill.simulate.motifs import Motif, load_motifs
from seqmill.simulate.signal import ASSAYS, Fragments, call_peaks, coverage, make_fragments
from seqmill.simulate.world import simulate_world

TINY = SimulationSettings(chromosomes=2, chromosome_bp=60_000)
_COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")


def matrices() -> dict[str, list[list[float]]]:
    """The MEME file read without seqmill."""
    import seqmill.simulate

    found: dict[str, list[list[float]]] = {}
    text = Path(seqmill.simulate.__file__).with_name("motifs.meme").read_text()
    for block in text.split("MOTIF ")[1:]:
        lines = block.splitlines()
        width = int(lines[1].split("w=")[1].split()[0])
        found[lines[0].split()[1].upper()] = [[float(v) for v in line.split()] for line in lines[2 : 2 + width]]
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("a") / "world"
    simulate_world(folder, TINY)
    return folder


@pytest.fixture(scope="module")
def genome(world) -> dict[str, str]:
    with gzip.open(world / "genome.fa.gz", "rt") as handle:
        records = handle.read().split(">")[1:]
    return {record.split("\n", 1)[0]: record.split("\n", 1)[1].replace("\n", "") for record in records}


def truth_sites(world: Path) -> dict[str, list[dict[str, str]]]:
    """Rows of truth.bed.gz by site."""
    with gzip.open(world / "truth.bed.gz", "rt") as handle:
        header = handle.readline().lstrip("#").split()
        sites: dict[str, list[dict[str, str]]] = {}
        for line in handle:
            row = dict(zip(header, line.rstrip("\n").split("\t")))
            sites.setdefault(row["site"], []).append(row)
    return sites


def peaks_of(world: Path, name: str) -> list[list[str]]:
    with gzip.open(world / f"{name}.narrowPeak.gz", "rt") as handle:
        return [line.rstrip("\n").split("\t") for line in handle]


def test_same_settings_give_the_same_bytes(world, tmp_path):
    simulate_world(tmp_path / "world", TINY)
    names = sorted(path.name for path in world.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "world").iterdir())
    assert "atac.bam.bai" in names
    assert "genome.fa.gz.gzi" in names
    for name in names:
        assert (world / name).read_bytes() == (tmp_path / "world" / name).read_bytes(), name
    simulate_world(tmp_path / "other", TINY.model_copy(update={"seed": 2}))
    assert (world / "genome.fa.gz").read_bytes() != (tmp_path / "other" / "genome.fa.gz").read_bytes()


def test_world_is_whole_and_says_nothing_of_the_machine(world):
    assert verify_folder(world) == []
    assert str(world) not in (world / "README.txt").read_text() + (world / "tracks.tsv").read_text()
    with pysam.AlignmentFile(str(world / "atac.bam")) as bam:
        assert set(bam.header.to_dict()) == {"HD", "SQ"}


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(world_module, "write_bam", fail)
    with pytest.raises(OSError, match="disk full"):
        simulate_world(tmp_path / "world", TINY)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_unknown_setting_is_refused_with_a_suggestion():
    with pytest.raises(ValidationError, match="did you mean 'chromosomes'"):
        SimulationSettings(chromosoms=3)


def test_matrices_are_the_factors_own():
    consensus = {name: "".join("ACGT"[np.argmax(row)] for row in rows) for name, rows in matrices().items()}
    assert consensus["CTCF"] == "TGGCCACCAGGGGGCGCTA"
    assert consensus["MYC::MAX"][3:9] == "CACGTG"
    assert "TTATC" in consensus["GATA1"]
    assert consensus["SPI1"] == "AAAAAGCGGAAGTA"
    assert consensus["NRF1"] == "GCGCCTGCGCA"


def test_nrf1_is_the_published_matrix(test_data):
    text = (test_data / "motifs" / "Jaspar.meme").read_text()
    lines = text.split("MOTIF M2305_1.02 NRF1")[1].split("w= 11")[1].splitlines()[1:12]
    other = np.array([[float(value) for value in line.split()] for line in lines])
    np.testing.assert_allclose(np.array(matrices()["NRF1"]), other[::-1, ::-1], atol=2e-6)


def test_bits_and_scores_of_a_toy_matrix():
    motif = Motif("TOY", "TOY", np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4]))
    np.testing.assert_allclose(motif.bits, [2, 1, 0], atol=1e-12)
    best, half, worst = motif.scores(np.array([[0, 0, 3], [0, 2, 1], [2, 3, 0]], np.uint8))
    assert best == pytest.approx(1)
    assert best > half > worst
    drawn = motif.sample(200, np.random.default_rng(0), 0.9)
    assert drawn.shape == (200, 3)
    assert set(drawn[:, 0]) == {0}
    assert set(drawn[:, 1]) == {0, 1}
    assert set(drawn[:, 2]) == {0, 1, 2, 3}


def test_instances_follow_the_matrix():
    motif = load_motifs()["CTCF"]
    drawn = motif.sample(20_000, np.random.default_rng(3), 0.0)
    observed = np.stack([(drawn == code).mean(axis=0) for code in range(4)], axis=1)
    np.testing.assert_allclose(observed, motif.pwm, atol=0.02)


def test_truth_rows_are_what_stands_in_the_genome(world, genome):
    pwms = matrices()
    for site in truth_sites(world).values():
        for row in site:
            text = genome[row["contig"]][int(row["start"]) : int(row["end"])]
            assert text.isupper()
            assert "N" not in text
            if row["strand"] == "-":
                text = text.translate(_COMPLEMENT)[::-1]
            low, high = (int(value) for value in row["columns"].split("-"))
            assert len(text) == high - low
            if high - low < len(pwms[row["motif"]]):
                continue  # half a motif has no score of its own
            odds = [[np.log2((p + 0.001) / 1.004 * 4) for p in column] for column in pwms[row["motif"]]]
            score = sum(column["ACGT".index(base)] for column, base in zip(odds, text)) / sum(map(max, odds))
            assert score >= TINY.instance_score - 1e-9
            assert round(1000 * score) == int(row["score"])


def obeys_a_rule(site: list[dict[str, str]]) -> str | None:
    """The rule that an arrangement satisfies, written from the README's words."""
    names = [row["motif"] for row in site]
    strands = "".join(row["strand"] for row in site)
    if names == ["CTCF"]:
        return "CTCF"
    if len(site) != 2:
        return None
    gap = int(site[1]["start"]) - int(site[0]["end"])
    forward = names == ["GATA1", "SPI1"] and strands == "++"
    backward = names == ["SPI1", "GATA1"] and strands == "--"
    if (forward or backward) and 8 <= gap <= 12:
        return "GATA1_SPI1"
    if sorted(names) == ["MYC::MAX", "NRF1"] and 2 <= gap <= 20:
        return "MYC"
    return None


def test_functional_sites_obey_the_grammar_and_decoys_do_not(world):
    sites = truth_sites(world)
    kinds = {"functional": 0, "decoy": 0}
    arrangements = set()
    for site in sites.values():
        kind = site[0]["class"]
        kinds[kind] += 1
        arrangements.add((site[0]["rule"], site[0]["arrangement"]))
        assert obeys_a_rule(site) == (site[0]["rule"] if kind == "functional" else None)
    assert kinds["functional"] == 3 * round(TINY.sites_per_mb * 0.12)
    assert kinds["decoy"] > kinds["functional"]
    assert {("GATA1_SPI1", "turned"), ("GATA1_SPI1", "far"), ("MYC", "far"), ("CTCF", "half_turned")} <= arrangements


def test_truth_arrays_agree_with_the_rows(world, genome):
    pwms = {
        name: [2 + sum(p * np.log2(p) for p in column if p > 0) for column in rows] for name, rows in matrices().items()
    }
    with np.load(world / "truth.npz") as truth:
        expected = {name: np.zeros(len(text), int) for name, text in genome.items()}
        for site in truth_sites(world).values():
            for row in site:
                start, end = int(row["start"]), int(row["end"])
                expected[row["contig"]][start:end] = 1 if row["class"] == "functional" else 2
                low, high = (int(value) for value in row["columns"].split("-"))
                bits = pwms[row["motif"]][low:high][:: 1 if row["strand"] == "+" else -1]
                np.testing.assert_allclose(truth[row["contig"] + ".bits"][start:end], bits, atol=2e-3)
                assert set(truth[row["contig"] + ".motif"][start:end]) == {1 + list(pwms).index(row["motif"])}
        for name, classes in expected.items():
            assert np.array_equal(truth[name + ".class"], classes)
            assert not truth[name + ".bits"][classes == 0].any()
            assert truth[name + ".bits"].dtype == np.float16


def test_sites_keep_away_from_repeats_gaps_and_artefacts(world, genome):
    blacklist = [line.split("\t") for line in (world / "blacklist.bed").read_text().splitlines()]
    assert blacklist
    for site in truth_sites(world).values():
        for row in site:
            assert not any(
                row["contig"] == contig and int(row["start"]) < int(end) and int(start) < int(row["end"])
                for contig, start, end, _ in blacklist
            )
    for text in genome.values():
        assert text[:500] == "N" * 500
        assert 0.05 < sum(base.islower() for base in text) / len(text) < 0.12


def test_bam_holds_sorted_proper_pairs_of_the_genome(world, genome):
    with pysam.AlignmentFile(str(world / "atac.bam")) as bam:
        reads = list(bam.fetch())
    assert reads
    places = [(read.reference_id, read.reference_start) for read in reads]
    assert places == sorted(places)
    mates: dict[tuple[str, bool], list[pysam.AlignedSegment]] = {}
    for read in reads:
        assert read.is_proper_pair
        text = genome[read.reference_name][read.reference_start : read.reference_end].upper()
        assert read.query_sequence == text
        assert "N" not in text
        mates.setdefault((read.query_name, read.is_duplicate), []).append(read)
    for left, right in mates.values():
        assert {left.is_read1, right.is_read1} == {True, False}
        assert (left.is_reverse, right.is_reverse) == (False, True)
        assert left.template_length == -right.template_length == right.reference_end - left.reference_start
    unique = {(r.reference_name, r.reference_start, r.template_length) for r in reads if not r.is_duplicate}
    copies = [r for r in reads if r.is_duplicate]
    assert copies
    assert all((r.reference_name, r.reference_start, r.template_length) in unique for r in copies)
    assert 0 < np.mean([read.mapping_quality < 10 for read in reads]) < 0.1


def test_peaks_find_the_sites_of_their_factor(world):
    middle: dict[str, list[tuple[str, int]]] = {"atac": []}
    names = {"CTCF": "ctcf", "GATA1_SPI1": "gata1", "MYC": "myc"}
    for site in truth_sites(world).values():
        if site[0]["class"] == "functional":
            place = (site[0]["contig"], (int(site[0]["start"]) + int(site[-1]["end"])) // 2)
            middle["atac"].append(place)
            middle.setdefault(names[site[0]["rule"]], []).append(place)
    for name, sites in middle.items():
        rows = peaks_of(world, name)
        assert all(len(row) == 10 for row in rows)
        keys = [(int(row[0][3:]), int(row[1])) for row in rows]
        assert keys == sorted(keys)
        summits = [(row[0], int(row[1]) + int(row[9])) for row in rows]
        assert all(int(row[1]) <= summit < int(row[2]) for row, (_, summit) in zip(rows, summits))
        found = [any(c == contig and abs(s - at) <= 60 for c, s in summits) for contig, at in sites]
        true = [any(c == contig and abs(s - at) <= 60 for c, at in sites) for contig, s in summits]
        assert np.mean(found) > 0.85
        assert 2 <= len(true) - sum(true) <= 8  # one artefact a chromosome, and a few false peaks


def test_sheet_is_read_by_the_sheet_reader(world):
    tracks = {track.track: track for track in read_sheet(world / "tracks.tsv")}
    assert set(tracks) == {
        "atac_cuts", "chip_ctcf", "chip_myc", "atac_peaks", "ctcf_peaks", "gata1_peaks", "myc_peaks",
    }  # fmt: skip
    assert all((world / track.location).is_file() for track in tracks.values())
    assert (tracks["atac_cuts"].reads, tracks["atac_cuts"].plus_shift, tracks["atac_cuts"].minus_shift) == (
        "cuts",
        4,
        -5,
    )


def test_background_has_the_gc_asked_for_and_few_cpg():
    gc = np.repeat([0.35, 0.55], 60)
    weights = np.ones((64, 4))
    weights[1::4, 2] = 0.5
    codes = markov_sequence(gc, weights, np.random.default_rng(0)).reshape(120, BLOCK_BP)
    share = np.isin(codes, (1, 2)).mean(axis=1)
    assert share[:60].mean() == pytest.approx(0.35, abs=0.03)
    assert share[60:].mean() == pytest.approx(0.55, abs=0.05)
    text = letters(codes[60:].reshape(-1)).decode()
    expected = text.count("C") * text.count("G") / len(text)
    assert 0.4 < text.count("CG") / expected < 0.75


def test_coverage_of_three_fragments():
    fragments = Fragments(np.array([0, 2, 2]), np.array([3, 4, 6]))
    assert coverage(fragments, 7).tolist() == [1, 1, 3, 2, 1, 1, 0]


def test_bigwig_leaves_out_bases_without_coverage(tmp_path):
    import pyBigWig

    write_bigwig(tmp_path / "x.bw", {"chr1": np.array([0, 2, 2, 0, 5]), "chr2": np.array([1, 0])})
    with pyBigWig.open(str(tmp_path / "x.bw")) as handle:
        assert handle.chroms() == {"chr1": 5, "chr2": 2}
        assert handle.intervals("chr1") == ((1, 3, 2.0), (4, 5, 5.0))
        assert handle.intervals("chr2") == ((0, 1, 1.0),)


def test_only_functional_sites_give_signal():
    rng = np.random.default_rng(0)
    settings = SimulationSettings(background_fragments_per_kb=0, false_peak_fraction=0, summit_jitter_bp=0)
    length = 50_000
    chromosome = Chromosome("chr1", np.zeros(length, np.uint8), np.zeros(length, bool), np.full(50, 0.42), [], [])
    decoy = Site(0, "CTCF", "half_turned", False, 0.0, (Instance("CTCF", 10_000, 10_019, "+", 0, 19, 0.9),))
    other_rule = Site(0, "MYC", "partner", True, 1.0, (Instance("NRF1", 20_000, 20_010, "+", 0, 10, 0.9),))
    site = Site(0, "CTCF", "whole", True, 1.0, (Instance("CTCF", 30_001, 30_020, "+", 0, 19, 0.9),))
    ctcf = ASSAYS[1]
    assert ctcf.name == "ctcf"
    sites = [decoy, other_rule, site]
    fragments = make_fragments(chromosome, sites, ctcf, settings, rng)
    assert 40 < len(fragments.start) < 140  # Poisson, mean 84
    assert fragments.start.min() > 29_500
    assert fragments.end.max() < 30_500
    assert np.all(np.diff(fragments.start) >= 0)
    (peak,) = call_peaks(chromosome, sites, fragments, ctcf, settings, rng)
    assert (peak.contig, peak.summit) == ("chr1", 30_010)
    arrays = truth_arrays([chromosome], sites, load_motifs())["chr1.class"]
    assert [arrays[at] for at in (9_999, 10_000, 20_009, 20_010, 30_001)] == [0, 2, 1, 0, 1]


def test_variants_change_what_they_say(world, genome):
    sites, known = truth_sites(world), matrices()
    with pysam.VariantFile(str(world / "variants.vcf.gz")) as file:
        variants = list(file)
        assert list(file.fetch("chr2"))  # the index fits
    counts = {kind: sum(v.info["CLASS"] == kind for v in variants) for kind in ("disrupting", "decoy", "background")}
    assert counts == {"disrupting": 4, "decoy": 4, "background": 4}  # 120 a Mb, 2 of each class on 60 kb
    for v in variants:
        text = genome[v.chrom].upper()
        assert text[v.start : v.start + len(v.ref)] == v.ref
        near = [row for rows in sites.values() for row in rows if row["contig"] == v.chrom]
        if v.info["CLASS"] == "background":
            assert all(v.start < int(row["start"]) - 90 or v.start >= int(row["end"]) + 90 for row in near)
            continue
        at = v.start + len(v.ref) - 1
        (row,) = [row for row in sites[v.info["SITE"]] if int(row["start"]) <= at < int(row["end"])]
        assert (row["motif"], row["class"] == "functional") == (v.info["MOTIF"], v.info["CLASS"] == "disrupting")
        low, high = map(int, row["columns"].split("-"))
        plus = row["strand"] == "+"
        column = known[row["motif"]][low + at - int(row["start"]) if plus else high - 1 - (at - int(row["start"]))]
        bits = 2 + sum(p * np.log2(p) for p in column if p > 0)
        assert v.info["BITS"] == pytest.approx(bits, abs=2e-3)
        if len(v.ref) == 1:
            assert bits >= 1.5
            alt = v.alts[0] if plus else v.alts[0].translate(_COMPLEMENT)
            assert column["ACGT".index(alt)] < 0.5


def test_one_in_eight_variants_of_a_site_is_a_deletion_that_can_stand_nowhere_else(tmp_path):
    settings = TINY.model_copy(update={"chromosomes": 1, "chromosome_bp": 100_000, "variants_per_mb": 480.0})
    simulate_world(tmp_path / "world", settings)
    with pysam.VariantFile(str(tmp_path / "world" / "variants.vcf.gz")) as file:
        variants = [v for v in file if v.info["CLASS"] != "background"]
    deletions = [v for v in variants if len(v.ref) == 2]
    assert len(variants) == 32
    assert 0 < len(deletions) <= 4
    assert all(v.alts[0] == v.ref[0] != v.ref[1] for v in deletions)


def test_regions_hold_as_many_decoys_as_sites(tmp_path):
    settings = TINY.model_copy(update={"chromosomes": 3, "chromosome_bp": 100_000})
    simulate_world(tmp_path / "world", settings)
    known = truth_sites(tmp_path / "world")
    rows = [line.split("\t") for line in (tmp_path / "world" / "regions.bed").read_text().splitlines()]
    assert {row[0] for row in rows} == {"chr3"}  # the last third
    kinds = [row[3].split("_")[0] for row in rows]
    assert 6 <= kinds.count("functional") <= 18
    assert 6 <= kinds.count("decoy") <= 18
    for contig, start, end, name in rows:
        assert int(end) - int(start) == 240
        inside = [
            site
            for site in known.values()
            if site[0]["contig"] == contig
            and int(start) <= (int(site[0]["start"]) + int(site[-1]["end"])) // 2 < int(end)
        ]
        assert any(f"{site[0]['class']}_{site[0]['rule']}_{site[0]['arrangement']}" == name for site in inside)
