"""Measured effects beside predictions of toy networks: every number against the weights, every refusal by name."""

import numpy as np
import pytest
from tests.unit import effects_world as world

from seqmill.baselines.applied import AppliedBaseline
from seqmill.baselines.motif_change import MotifChange
from seqmill.baselines.motif_scores import log_odds
from seqmill.baselines.run import run_baseline
from seqmill.config.baselines import Baseline
from seqmill.config.measured import Measured
from seqmill.effects.measured.build import build_measured
from seqmill.evaluation.measured import ALL, MEAN, PERFECT, RANDOM, STATED, judge
from seqmill.formats.motifs import Motif
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.measured import MEASURED, NEGATIVE, MeasuredReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.verify import verify

RUNS = ("0.0", "0.1", "1.0")
KM = Baseline(kind="kmer", dataset="toy", k=2, alphas=[1.0])
MEME = "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF m1 TF\nletter-probability matrix: alength= 4 w= 2\n1 0 0 0\n0 0 0 1\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A genome, a dataset, runs 0.0, 0.1 and 1.0 on it."""
    folder = tmp_path_factory.mktemp("measured")
    genome, dataset = world.write_genome(folder), world.write_dataset(folder)
    first = world.train(folder, dataset, "0", 0)
    for fold, seed in (("0", 1), ("1", 0)):
        world.another(first, fold, seed)
    (folder / "motifs.meme").write_text(MEME)
    for fold in ("0", "1"):
        run_baseline(folder / f"predictions/km/{fold}.0.zarr", name="km", baseline=KM, dataset=dataset, fold=fold)
    return folder, genome, dataset


def fits(folder):
    return [folder / f"predictions/km/{fold}.0.zarr" for fold in ("0", "1")]


def build(made, out, **section):
    folder, genome, dataset = made
    values = Measured(model="net", resamples=100, **section)
    build_measured(
        out, name="m", section=values, genome=genome if values.on_genome else None,
        models=[folder / f"models/net/{run}" for run in RUNS], prediction=world.PLAIN, datasets=[dataset],
        baseline=KM if values.kmer else None, fitted=fits(folder) if values.kmer else (), judge=judge,
    )  # fmt: skip
    assert verify(out) == []
    return MeasuredReader(out)


def kernels(made, target):
    return [world.weights(made[0] / f"models/net/{run}")[target][0] for run in RUNS]


def value_of(reader, **wanted):
    table = reader.summary()
    for column, value in ({"target": "", "over": "", "against": ""} | wanted).items():
        table = table[table[column] == value]
    assert len(table) == 1, table
    return table.iloc[0]


def element_table(made, folder, backgrounds):
    """An element of 24 bp at chr7:101, whose measured effects are those of the networks on 'level', mean of tracks."""
    rng = np.random.default_rng(11)
    letters = "".join(rng.choice(list("ACGT"), 24))
    (folder / "e.fa").write_text(f">el chr7:101-124\n{letters}\n")
    first = (world.BP - 24) // 2
    weights = np.mean([kernels(made, "level")[number % 3] for number in range(backgrounds)], axis=0).mean(axis=-1)
    lines = ["Element\tPosition\tRef\tAlt\tValue\tTags\terror\tChromosome"]
    expected = []
    for at, ref in enumerate(letters):
        for alt in "ACGT".replace(ref, ""):
            effect = weights[first + at, "ACGT".index(alt)] - weights[first + at, "ACGT".index(ref)]
            expected.append(effect)
            lines.append(
                f"el\t{101 + at}\t{ref}\t{alt}\t{effect!r}\t20\t0.01\t7".replace("np.float64(", "").replace(")", "")
            )
    (folder / "t.tsv").write_text("\n".join(lines) + "\n")
    return np.array(expected)


def test_an_element_in_backgrounds_gives_the_weights_of_the_networks(made, tmp_path):
    expected = element_table(made, tmp_path, 4)
    reader = build(
        made, tmp_path / "m", kind="saturation", file=tmp_path / "t.tsv", elements=tmp_path / "e.fa", backgrounds=4,
        tracks=["up"], block_bp=2, kmer="km", pwm={"file": made[0] / "motifs.meme", "motifs": ["TF"]},
    )  # fmt: skip
    table = reader.scores()
    found = table[["network|level|up", "network|level|down"]].mean(axis=1)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert (table["contig"] == "chr7").all() and table["position_1based"].iloc[-1] == 124
    assert table["block"].nunique() == 12 and (table["runs"] == 3).all()
    network = value_of(reader, predictor="network", metric="pearson", target="level", over=MEAN)
    assert network["value"] == pytest.approx(1, abs=1e-6) and network["ci_low"] > 0.99 and network["n"] == 72
    assert value_of(reader, predictor=PERFECT, metric="spearman")["value"] == 1
    random = value_of(reader, predictor=RANDOM, metric="pearson")
    assert abs(random["value"]) < 0.1 and random["ci_low"] < 0 < random["ci_high"]
    assert 0.99 < value_of(reader, predictor="ceiling", metric="pearson")["value"] < 1
    stated = value_of(reader, predictor="network", metric="pearson", target="level", over=STATED)
    direct = np.corrcoef(table["network|level|up"], table["measured"])[0, 1]
    assert stated["value"] == pytest.approx(direct, abs=1e-4)
    for against in ("kmer", "pwm"):
        baseline = {"predictor": against, "metric": "pearson"} | (
            {"target": "level", "over": MEAN} if against == "kmer" else {}
        )
        less = value_of(reader, predictor="network", metric="pearson", target="level", over=MEAN, against=against)
        assert less["value"] == pytest.approx(network["value"] - value_of(reader, **baseline)["value"], abs=1e-5)
    assert "may have seen" in reader.attrs["notes"][0]


@pytest.mark.slow
def test_the_same_bits_again_and_another_seed_of_backgrounds_changes_nothing_linear(made, tmp_path):
    element_table(made, tmp_path, 3)
    keys = {"kind": "saturation", "file": tmp_path / "t.tsv", "elements": tmp_path / "e.fa", "backgrounds": 3}
    one, two = (build(made, tmp_path / name, **keys) for name in ("one", "two"))
    assert one.marker.files["scores.parquet"] == two.marker.files["scores.parquet"]
    assert one.marker.files["summary.tsv"] == two.marker.files["summary.tsv"]


def test_an_element_on_the_genome_is_scored_by_runs_that_never_saw_it(made, tmp_path):
    """At chr1:15,000 run 0 has learned; run 1.0 has not. Elements longer than half a window are cut into pieces."""
    text = world.genome_text()["chr1"]
    lines = ["element\tchrom\tpos\tref\talt\tvalue"]
    for name, start, bp in (("a", 15_000, 40), ("seen", 35_000, 5)):
        for at in range(start, start + bp):
            alt = "ACGT"["CGTA".index(text[at])]
            lines.append(f"{name}\t1\t{at + 1}\t{text[at]}\t{alt}\t{at % 7}")
    (tmp_path / "t.tsv").write_text("\n".join(lines) + "\n")
    reader = build(made, tmp_path / "m", kind="saturation", file=tmp_path / "t.tsv")
    table, kernel = reader.scores(), kernels(made, "bound")[2][..., 0]
    assert set(table["element"]) == {"a"} and reader.dropped().to_dict("records") == [{"reason": "seen", "count": 5}]
    assert (table["runs"] == 1).all()
    for row in (0, 29, 30, 39):
        first, last = (15_000, 15_030) if row < 30 else (15_030, 15_040)
        start = (first + last) // 2 - world.BP // 2
        place, letters = 15_000 + row - start, text[15_000 + row]
        expected = kernel[place, "CGTA".index(letters)] - kernel[place, "ACGT".index(letters)]
        assert table["network|bound|tf"].iloc[row] == pytest.approx(expected, abs=1e-4)
    (tmp_path / "s.tsv").write_text("\n".join([lines[0], *lines[41:]]) + "\n")
    with pytest.raises(InputError, match=r"every run of the model has seen all elements in training; set runs: all"):
        build(made, tmp_path / "no", kind="saturation", file=tmp_path / "s.tsv")
    assert not (tmp_path / "no").exists()


def test_variants_out_of_fold_beside_matched_negatives(made, tmp_path):
    text = world.genome_text()["chr1"]
    kernel = kernels(made, "bound")[2][..., 0]
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    effects = []
    for number, at in enumerate(range(1_000, 16_000, 500)):
        ref, alt = text[at], "ACGT"["CGTA".index(text[at])]
        effect = kernel[30, "ACGT".index(alt)] - kernel[30, "ACGT".index(ref)]
        p = 0.9 if number % 2 else 1e-6
        sign = np.sign(effect) if number else -np.sign(effect)
        effects += [effect] * (1 - number % 2)
        lines.append(f"1\t{at + 1}\t.\t{ref}\t{alt}\t.\t.\tB={sign:g};P={p};AF=0.{number % 9 + 1}")
    (tmp_path / "v.vcf").write_text("\n".join(lines) + "\n")
    (tmp_path / "tss.bed").write_text("chr1\t2000\t2001\nchr1\t12000\t12001\n")
    keys = {"kind": "qtl", "file": tmp_path / "v.vcf", "columns": {"value": "B", "p": "P", "maf": "AF"}}
    reader = build(
        made, tmp_path / "m", **keys, positive_p=1e-3, negative_p=0.5, targets=["bound"],
        distance=tmp_path / "tss.bed", pwm={"file": made[0] / "motifs.meme", "score": "summed"},
    )  # fmt: skip
    table = reader.scores()
    assert table["role"].value_counts().to_dict() == {MEASURED: 15, NEGATIVE: 15}
    positives = table[table["role"] == MEASURED]
    np.testing.assert_allclose(positives["network|bound|tf"], effects, atol=1e-4)
    assert positives["distance"].iloc[2] == pytest.approx(-np.log10(1 + 3000 - 2000), abs=1e-6)
    sign = value_of(reader, predictor="network", metric="sign", target="bound", over=MEAN)
    assert sign["value"] == pytest.approx(14 / 15, abs=1e-5) and sign["p"] < 0.01 and sign["ci_high"] < 1
    assert value_of(reader, predictor="distance", metric="auroc")["n"] == 30
    assert value_of(reader, predictor=PERFECT, metric="auroc")["value"] == 1
    assert "15 negatives matched to 15 variants" in reader.attrs["notes"][0] and "GC" in reader.attrs["notes"][0]
    assert (
        value_of(reader, predictor="network", metric="auroc", target="bound", over=MEAN, against="pwm")["blocks"] == 30
    )


def test_variants_that_come_twice_count_once_and_contrary_ones_not_at_all(made, tmp_path):
    text = world.genome_text()["chr1"]
    lines = ["chrom\tpos\tref\talt\tbeta"]
    for at, betas in ((1000, (1, 2)), (2000, (1, -1)), (3000, (0,)), (4000, (-1,))):
        alt = "ACGT"["CGTA".index(text[at])]
        lines += [f"chr1\t{at + 1}\t{text[at]}\t{alt}\t{beta}" for beta in betas]
    (tmp_path / "v.tsv").write_text("\n".join(lines) + "\n")
    keys = {"kind": "qtl", "file": tmp_path / "v.tsv", "columns": {"value": "beta"}}
    reader = build(made, tmp_path / "m", **keys)
    assert reader.scores()["position_1based"].tolist() == [1001, 4001]
    dropped = {row["reason"]: row["count"] for row in reader.dropped().to_dict("records")}
    assert dropped == {"comes twice": 1, "comes twice with opposite effects": 2, "no measured effect": 1}
    line = value_of(reader, predictor="network", metric="sign", target="bound", over=MEAN)
    assert line["note"] == "too few blocks for an interval" and np.isnan(line["ci_low"])


def test_pairs_in_the_same_backgrounds(made, tmp_path):
    rng = np.random.default_rng(6)
    kernel = np.mean([kernels(made, "bound")[number % 3][..., 0] for number in range(3)], axis=0)
    strong, weak, expected = [], [], []
    for number in range(12):
        codes = rng.integers(0, 4, 20)
        other = codes.copy()
        other[7] = (codes[7] + 1) % 4
        strong.append(f">p{number}\n{''.join('ACGT'[c] for c in codes)}")
        weak.append(f">p{number}\n{''.join('ACGT'[c] for c in other)}")
        expected.append(kernel[27, codes[7]] - kernel[27, other[7]])
    for name, lines in (("s.fa", strong), ("w.fa", [*weak[:-1], strong[-1]])):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    reader = build(
        made, tmp_path / "m", kind="pairs", strong=tmp_path / "s.fa", weak=tmp_path / "w.fa", targets=["bound"],
        backgrounds=3, kmer="km",
    )  # fmt: skip
    table = reader.scores()
    np.testing.assert_allclose(table["network|bound|tf"], expected[:-1], atol=1e-5)
    assert reader.dropped()["count"].tolist() == [1]
    share = value_of(reader, predictor="network", metric="sign", target="bound", over=MEAN)
    assert share["value"] == pytest.approx(np.mean(np.array(expected[:-1]) > 0))


def test_activities_of_sequences_as_long_as_the_window(made, tmp_path):
    rng = np.random.default_rng(7)
    texts = ["".join("ACGT"[c] for c in rng.integers(0, 4, world.BP)) for _ in range(15)]
    scores = []
    for text in texts:
        each = [world.weights(made[0] / f"models/net/{run}")["level"] for run in RUNS]
        rows = [c + sum(k[i, "ACGT".index(x)] for i, x in enumerate(text)) for k, c in each]
        scores.append(np.mean(rows, axis=0))
    lines = ["seq\tactivity", *(f"{text}\t{-score.mean()}" for text, score in zip(texts, scores))]
    (tmp_path / "t.tsv").write_text("\n".join(lines) + "\n")
    keys = {"kind": "mpra", "file": tmp_path / "t.tsv", "columns": {"sequence": "seq"}, "targets": ["level"]}
    reader = build(made, tmp_path / "m", **keys)
    np.testing.assert_allclose(reader.scores()[["network|level|up", "network|level|down"]], scores, atol=1e-3)
    line = value_of(reader, predictor="network", metric="pearson", target="level", over=MEAN)
    assert line["value"] == pytest.approx(-1, abs=1e-5) and line["blocks"] == 15
    (tmp_path / "long.tsv").write_text(f"seq\tactivity\n{texts[0]}A\t1\n")
    with pytest.raises(InputError, match=r"long\.tsv:2: 61 bp, the network is shown 60"):
        build(made, tmp_path / "no", **keys | {"file": tmp_path / "long.tsv"})


def test_an_applied_baseline_predicts_what_its_run_wrote(made):
    folder, _, dataset = made
    written = PredictionsReader(fits(folder)[0]).predicted("level")
    reader = DatasetReader(dataset)
    codes = np.concatenate([
        reader.read("inputs/sequence", part["start"], part["stop"]) for part in reader.parts if part["fold"] == "b"
    ])  # fmt: skip
    applied = AppliedBaseline("km", KM, dataset, fits(folder), ["level"])
    assert (applied.targets, applied.folds) == (["level"], ["0", "1"])
    np.testing.assert_allclose(applied.scores(codes, "0")["level"], written, atol=1e-5)


def test_a_changed_match_is_found_where_it_lies():
    motif = Motif("m", "", np.array([[0.97, 0.01, 0.01, 0.01], [0.01, 0.01, 0.01, 0.97]]))
    ref, alt = (np.array([["ACGT".index(x) for x in text]], np.uint8) for text in ("GGATGG", "GGACGG"))
    odds = log_odds(motif)
    # words that hold the changed base: AT, TG and then AC, CG; on the other strand AT, CA and then GT, CG
    best = odds[0, 0] + odds[1, 3]
    other = max(odds[0, 0] + odds[1, 1], odds[0, 2] + odds[1, 3], odds[0, 1] + odds[1, 2])
    assert MotifChange([motif], "best").differences(ref, alt)[0] == pytest.approx(other - best, abs=1e-5)
    assert MotifChange([motif], "summed").differences(ref, alt)[0] < 0
    elsewhere = np.concatenate([ref, ref], axis=1), np.concatenate([ref, alt], axis=1)
    assert MotifChange([motif], "best").differences(*elsewhere)[0] == pytest.approx(other - best, abs=1e-5)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "pairs"}, "kind 'pairs' needs 'strong' and 'weak'"),
        ({"kind": "qtl"}, "kind 'qtl' needs 'file'"),
        ({"kind": "qtl", "file": "v", "elements": "e"}, "'elements' goes with kind saturation and mpra, not with qtl"),
        ({"kind": "saturation", "file": "t", "tracks": "best"}, "'best' would choose after looking"),
        ({"kind": "saturation", "file": "t", "columns": {"beta": "x"}}, "columns: unknown role 'beta'; known: element"),
        ({"kind": "qtl", "file": "v", "negative_p": 0.5}, "'negative_p' needs a smaller 'positive_p'"),
        ({"kind": "qtl", "file": "v", "negatives": "n", "negative_p": 0.5}, "set 'negatives' or 'negative_p', not bo"),
        (
            {"kind": "mpra", "file": "t", "columns": {"sequence": "s"}, "distance": "b"},
            "'distance' and 'conservation' need places; these are bare sequences",
        ),
    ],
)
def test_sections_that_cannot_be(keys, message):
    with pytest.raises(ValueError, match=message):
        Measured.model_validate({"model": "m", **keys})


def test_unknown_tracks_and_motifs_are_named(made, tmp_path):
    element_table(made, tmp_path, 1)
    keys = {"kind": "saturation", "file": tmp_path / "t.tsv", "elements": tmp_path / "e.fa", "backgrounds": 1}
    with pytest.raises(InputError, match=r"measured\.m: track 'nope' is not predicted; known: .*up"):
        build(made, tmp_path / "m", **keys, tracks=["nope"])
    with pytest.raises(InputError, match=r"motifs\.meme: no motif is called 'X'; the first: m1"):
        build(made, tmp_path / "m", **keys, pwm={"file": made[0] / "motifs.meme", "motifs": ["X"]})
    assert not (tmp_path / "m").exists()


def test_the_mean_over_elements(made):
    rng = np.random.default_rng(8)
    import pandas as pd

    from seqmill.stores.measured import Column

    parts = []
    for name, slope in (("a", 1.0), ("b", -1.0)):
        x = rng.normal(size=40)
        parts.append(pd.DataFrame({"element": name, "measured": x, "p": slope * x, "role": MEASURED, "error": np.nan}))
    table = pd.concat(parts, ignore_index=True)
    table["block"] = [str(i // 2) for i in range(80)]
    found = judge(table, [Column("p", "pwm")], kind="saturation", resamples=50)
    line = found[(found["element"] == ALL) & (found["predictor"] == "pwm") & (found["metric"] == "pearson")].iloc[0]
    assert line["value"] == pytest.approx(0, abs=1e-9) and line["note"] == "mean over 2 elements" and line["n"] == 80


def test_a_section_is_read_again_as_it_was_written():
    for keys in ({"kind": "qtl", "file": "v.vcf", "matched": 3}, {"kind": "pairs", "strong": "a", "weak": "b"}):
        section = Measured.model_validate({"model": "m", **keys})
        assert Measured.model_validate_json(section.model_dump_json()) == section
