"""Spread over runs, active alleles among windows, and sections without either: against numbers made by loops."""

import numpy as np
import pysam
import pytest
from tests.unit import effects_world as world
from tests.unit import variant_worlds as worlds
from tests.unit.variant_worlds import BP, HALF, TEXT, score, snv, vcf, whole

from seqmill.config.effects import VariantSet as SameVariantSet
from seqmill.config.variants import QuantileWindows, VariantSet
from seqmill.effects.variants import build as module
from seqmill.effects.variants.effects import quantiles
from seqmill.effects.variants.ranks import draw_places, places_of
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return worlds.make(tmp_path_factory.mktemp("statistics"))


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch):
    monkeypatch.setattr(module, "Ensemble", worlds.ensemble)


def test_a_section_without_later_keys_is_written_as_before_there_were_any(made, tmp_path):
    section = VariantSet(model="net", file="v.vcf")
    assert SameVariantSet is VariantSet
    assert section.model_dump_json() == (
        '{"model":"net","file":"v.vcf","genome":null,"columns":{},"position_base":1,"targets":null,'
        '"effects":["diff","score"],"runs":"unseen","min_ref_match":0.95}'
    )
    reader = score(made, vcf(tmp_path / "v.vcf", [snv("1", 45_000)]))
    assert set(reader.attrs) == {
        *("set", "model", "genome", "file", "effects", "columns", "info_fields", "n", "records", "scored", "ref_match"),
        *("not_normalised", "dropped", "contigs", "targets", "target_order", "spaces", "models", "runs"),
        *("both_strands", "shifts_bp", "window_bp", "file_sha256", "name", "inputs", "recorded"),
    }
    assert list(whole(reader).columns) == [
        *("contig", "position_1based", "id", "ref", "alt", "status", "runs"),
        *("bound|tf|diff", "bound|tf|score", "level|up|diff", "level|down|diff", "level|up|score", "level|down|score"),
    ]
    assert sorted(path.name for path in reader.folder.iterdir()) == [
        *("dropped.tsv", "marker.json", "run.json", "scores.parquet", "scores.tsv.gz", "scores.vcf.gz"),
        "scores.vcf.gz.tbi",
    ]


def test_standard_deviation_is_that_of_a_sample_and_unknown_for_one_run(made, tmp_path):
    models = [*made.models, world.another(made.models[0], "0", 7)]
    rows = [snv("1", 45_000), snv("1", 5_000), snv("1", 25_000)]  # by all, by fold 1, by fold 0 and its second seed
    reader = score(made, vcf(tmp_path / "v.vcf", rows), models=models, standard_deviation=True)
    found = whole(reader)
    assert found["runs"].tolist() == [3, 1, 2] and reader.attrs["statistics"] == ["sd"]
    row = rows[0]
    each = [
        worlds.truth([model], "chr1", row["p"] - 1, row["r"], row["a"])[[0, 1, 2, 3]] for model in models
    ]  # level|up, level|down, bound diff, bound score
    names = ["level|up|diff", "level|down|diff", "bound|tf|diff", "bound|tf|score"]
    np.testing.assert_allclose(found.loc[0, names].to_numpy(float), np.mean(each, axis=0), rtol=1e-3, atol=1e-5)
    deviations = [f"{name}_sd" for name in names]
    np.testing.assert_allclose(found.loc[0, deviations].to_numpy(float), np.std(each, axis=0, ddof=1), rtol=1e-3)
    assert found.loc[1, deviations].isna().all() and found.loc[2, deviations].notna().all()
    key = reader.attrs["info_fields"]["bound|score_sd"]
    with pysam.VariantFile(str(reader.folder / "scores.vcf.gz")) as file:
        known = {record.pos: record.info.get(key) for record in file}
    assert key == "SM_bound_score_sd" and known[5_000] in (None, (None,))
    assert np.ravel(known[45_000])[0] == pytest.approx(found["bound|tf|score_sd"][0], rel=1e-5)


def test_active_allele_quantile_is_the_share_of_windows_below_the_larger_allele(made, tmp_path):
    bed = tmp_path / "peaks.bed"
    places = [*range(41_000, 41_600, 20), *range(1_000, 1_600, 60)]  # fold 0 has seen the last ones
    bed.write_text("".join(f"chr1\t{place - 3}\t{place + 5}\n" for place in places) + "chr1\t0\t9\n")
    rows = [snv("1", 45_000), snv("1", 45_100)]
    section = {"quantile_windows": {"regions": str(bed)}, "runs": "all"}
    reader = score(made, vcf(tmp_path / "v.vcf", rows), effects=["diff", "active_allele_quantile"], **section)
    found = whole(reader)
    for number, row in enumerate(rows):
        expected = []
        for model in made.models:
            letters = [worlds.window("chr1", row["p"] - 1, row["r"], base) for base in (row["r"], row["a"])]
            values = [worlds.levels(model, window)[0] for window in letters]
            known = [worlds.levels(model, TEXT["chr1"][place + 1 - HALF :][:BP])[0] for place in places]
            expected.append(np.mean(np.array(known) < np.max(values, axis=0), axis=0))
        columns = ["level|up|active_allele_quantile", "level|down|active_allele_quantile"]
        np.testing.assert_allclose(found.loc[number, columns].to_numpy(float), np.mean(expected, axis=0), atol=1e-6)
    assert 0 < found.loc[0, "level|up|active_allele_quantile"] < 1


def test_windows_that_a_run_has_seen_are_not_ranked_in(made, tmp_path):
    bed = tmp_path / "peaks.bed"
    bed.write_text("".join(f"chr1\t{1000 * i + 10}\t{1000 * i + 20}\n" for i in range(1, 40)))
    with pytest.raises(
        InputError,
        match=r"15 of 39 windows for active_allele_quantile were not seen in training by "
        r"net/0\.0; 20 are needed: give others, or set runs: all",
    ):
        score(
            made, vcf(tmp_path / "v.vcf", [snv("1", 45_000)]), effects=["active_allele_quantile"],
            quantile_windows={"regions": str(bed)},
        )  # fmt: skip
    bed.write_text("chr1\t5000\t5010\n")
    with pytest.raises(InputError, match="1 windows of 60 bp lie inside their contig; 20 are needed"):
        score(
            made, vcf(tmp_path / "v.vcf", [snv("1", 45_000)]), effects=["active_allele_quantile"],
            quantile_windows={"regions": str(bed)},
        )  # fmt: skip


def test_windows_are_drawn_all_over_the_genome_and_alike_each_time(made):
    genome = GenomeReader(made.genome)
    first = places_of(QuantileWindows(sampled=300), genome, BP)
    assert len(first) == 300 and first.equals(places_of(QuantileWindows(sampled=300), genome, BP))
    assert not first.equals(places_of(QuantileWindows(sampled=300, seed=1), genome, BP))
    for contig, place in zip(first["contig"], first["place"]):
        letters = TEXT[contig][place - HALF : place + HALF]
        assert len(letters) == BP and "N" not in letters
    assert set(first["contig"]) <= {"chr1", "chr2"} and first["place"].between(50_070, 50_190).sum() <= 40
    few = draw_places(genome, 500, 200, 60, np.random.default_rng(0))
    assert len(few) == 500 and few["place"].min() >= 200 and few.duplicated().sum() == 0


def test_quantiles():
    ranks = np.array([[0, 1, 1, 2], [5, 6, 7, 8]], np.float32)
    values = np.array([[1, 9], [0, 5], [np.nan, 7.5]], np.float32)
    np.testing.assert_allclose(quantiles(values, ranks), [[0.25, 1], [0, 0], [np.nan, 0.75]])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"effects": ["active_allele_quantile"]}, "needs 'quantile_windows' or 'background' to rank in"),
        ({"quantile_windows": {}}, "quantile_windows is for the effect active_allele_quantile"),
        ({"samples": ["a"]}, "samples is for 'haplotypes'"),
        ({"background": {}}, "needs either 'file' .* or 'sampled'"),
        ({"background": {"sampled": 100, "gc_bins": [0.5, 0.4]}}, "gc_bins .*: bounds must rise"),
    ],
)
def test_keys_that_do_not_fit(keys, message):
    with pytest.raises(ValueError, match=message):
        VariantSet(model="m", file="x.vcf", **keys)
