"""Backgrounds of variants: chosen by keys, matched, and the statistics against those made by loops over the tables."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pysam
import pytest
from tests.unit import variant_worlds as worlds
from tests.unit.variant_worlds import HALF, TEXT, other, score, snv, vcf, whole

from seqmill.effects.variants import build as module
from seqmill.effects.variants import chunks as variant_chunks
from seqmill.effects.variants.background import key_of
from seqmill.effects.variants.compare import Starts
from seqmill.formats.variant_info import frequencies
from seqmill.formats.variants import open_variants
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader
from seqmill.stores.verify import verify

pytestmark = pytest.mark.slow

SEEN_BY_NONE = 40_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return worlds.make(tmp_path_factory.mktemp("background"))


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch):
    monkeypatch.setattr(module, "Ensemble", worlds.ensemble)


def with_info(path, rows, infos):
    """VCF with INFO."""
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += ["\t".join([*(str(row[key]) for key in "cpira"), ".", "PASS", info]) for row, info in zip(rows, infos)]
    path.write_text("\n".join(lines) + "\n")
    return path


def common(path, n=400, order=None):
    """Background variants; the frequency is small in every third, not known in every tenth."""
    rows = [snv("1", SEEN_BY_NONE + 11 * i) for i in range(n)]
    infos = ["AC=3" if i % 10 == 9 else f"AC=3;AF={0.005 if i % 3 == 0 else 0.3}" for i in range(n)]
    places = range(n) if order is None else order
    return with_info(path, [rows[i] for i in places], [infos[i] for i in places])


@pytest.fixture(scope="module")
def scored(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    common(folder / "common.vcf")
    (folder / "genes.bed").write_text("chr1\t42000\t42500\tg\t0\t+\nchr1\t44000\t46001\th\t0\t-\n")
    rows = [snv("1", 46_000 + 37 * i) for i in range(30)] + [snv("1", SEEN_BY_NONE + 11), snv("1", 45_000, a="<DEL>")]
    file = with_info(folder / "v.vcf", rows, ["AF=0.002" if i % 2 else "AF=0.9" for i in range(len(rows))])
    background = {
        "file": str(folder / "common.vcf"), "genes": str(folder / "genes.bed"), "min_stratum": 40,
        "gc_bins": [0.45, 0.55], "tss_bins_bp": [2000], "maf_bins": [0.01],
    }  # fmt: skip
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "Ensemble", worlds.ensemble)
    reader = score(made, file, effects=["diff", "logfc"], background=background, standard_deviation=True)
    patch.undo()
    return SimpleNamespace(reader=reader, file=file, background=background, folder=folder)


def test_each_variant_stands_among_those_of_its_stratum(scored):
    reader, table = scored.reader, whole(scored.reader)
    known = pd.read_parquet(reader.folder / "background.parquet")
    assert len(known) == reader.attrs["background"]["n"] == 399  # one is in the set
    assert reader.attrs["background"]["in_the_set"] == 1
    assert set(known["maf"].dropna()) == {0.005, 0.3} and known["maf"].isna().sum() == 40
    place = known["position_1based"] - 1
    np.testing.assert_array_equal(known["tss_bp"], np.minimum(abs(place - 42_000), abs(place - 46_000)))
    letters = TEXT["chr1"]
    gc = [sum(letters[at - HALF : at + HALF].count(base) for base in "GC") / (2 * HALF) for at in place]
    np.testing.assert_allclose(known["gc"], gc)
    for row in table[table["status"] == "ok"].itertuples():
        members = known[[in_stratum(row.stratum, m, t, g) for m, t, g in known[["maf", "tss_bp", "gc"]].to_numpy()]]
        assert row.background_n == len(members) >= 40
        for column in ("level|up|diff", "level|down|diff", "bound|tf|diff", "bound|tf|logfc"):
            x, b = np.float32(table.loc[row.Index, column]), members[column].to_numpy(np.float32)
            n, size = len(b), abs(b)
            further = (b >= x) if x >= 0 else (b <= x)
            expected = {
                "percentile": 100 * ((size < abs(x)).sum() + (size == abs(x)).sum() / 2) / n,
                "p": (1 + (size >= abs(x)).sum()) / (1 + n),
                "signed_percentile": 100 * ((b < x).sum() + (b == x).sum() / 2) / n,
                "signed_p": (1 + further.sum()) / (1 + n),
            }
            found = {name: table.loc[row.Index, f"{column}_{name}"] for name in expected}
            assert found == pytest.approx(expected, rel=1e-5)
    last = table.iloc[-1]
    assert last["status"] != "ok" and pd.isna(last["stratum"]) and pd.isna(last["background_n"])
    assert pd.isna(last["level|up|diff_p"])


def in_stratum(words, maf, tss, gc):
    """Whether a background variant is in a stratum, read from its words."""
    values, parts = {"maf": maf, "tss_bp": tss, "gc": gc}, words.split()
    for name, text in zip(parts[::2], parts[1::2]) if words != "all" else ():
        value = values[name]
        if np.isnan(value):
            return False
        if text.startswith("<"):
            inside = value < float(text[1:])
        elif text.startswith(">="):
            inside = value >= float(text[2:])
        else:
            low, high = map(float, text.split("-"))
            inside = low <= value < high
        if not inside:
            return False
    return True


def test_all_files_carry_the_columns_and_are_whole(scored):
    reader, table = scored.reader, whole(scored.reader)
    assert verify(reader.folder.parent) == []
    assert reader.attrs["statistics"] == ["sd", "percentile", "p", "signed_percentile", "signed_p"]
    assert reader.attrs["place_columns"] == ["stratum", "background_n"]
    text = pd.read_csv(reader.folder / "scores.tsv.gz", sep="\t", na_values="", keep_default_na=False)
    assert list(text) == list(table) and text["background_n"].tolist()[:5] == table["background_n"].tolist()[:5]
    with pysam.VariantFile(str(reader.folder / "scores.vcf.gz")) as file:
        record = next(record for record in file if record.pos == 46_000)
        keys = reader.attrs["info_fields"]
        assert record.info["SM_BACKGROUND_N"] == table["background_n"][0]
        found = record.info[keys["level|diff_p"]]
    np.testing.assert_allclose(found, table.loc[0, ["level|up|diff_p", "level|down|diff_p"]].to_numpy(float), rtol=1e-5)


def test_the_order_of_a_file_does_not_matter_and_at_most_so_many_are_drawn(made, scored, tmp_path):
    order = np.random.default_rng(1).permutation(400).tolist()
    found = []
    for name, places, seed in (("a", None, 0), ("b", order, 0), ("c", None, 1)):
        path = tmp_path / f"{name}.vcf"
        common(path, order=places)
        background = scored.background | {"file": str(path), "at_most": 100, "min_stratum": 10, "seed": seed}
        score(made, scored.file, tmp_path / f"{name}/s", effects=["diff"], background=background)
        found.append(pd.read_parquet(tmp_path / f"{name}/s/background.parquet"))
    assert len(found[0]) == 100 and found[0].equals(found[1]) and not found[0].equals(found[2])
    assert key_of("chr1", 5, "A", "C", 0) != key_of("chr1", 5, "A", "C", 1)


def test_drawn_variants_have_the_contexts_of_the_set(made, tmp_path):
    rows = [snv("1", 40_000 + 23 * i) for i in range(40)]
    rows += [{"c": "1", "p": 45_001, "i": ".", "r": TEXT["chr1"][45_000], "a": TEXT["chr1"][45_000] + "ACG"}]
    section = {"sampled": 200, "gc_bins": [0.5]}
    reader = score(made, vcf(tmp_path / "v.vcf", rows), effects=["diff", "active_allele_quantile"], background=section)
    known = pd.read_parquet(reader.folder / "background.parquet")
    assert reader.attrs["background"]["n"] == len(known) == 200 and reader.attrs["background"]["not_found"] == 0
    assert not set(zip(known["position_1based"], known["alt"])) & {(row["p"], row["a"]) for row in rows}
    assert (known["status"] == "ok").all() and known["maf"].isna().all()

    def kinds(places, refs, alts, contigs):
        pair = str.maketrans("ACGT", "TGCA")
        for place, ref, alt, contig in zip(places, refs, alts, contigs):
            text = TEXT["chr" + contig.removeprefix("chr")]
            three, around = text[place - 2 : place + 1], text[place - 1 - HALF : place - 1 + HALF]
            assert three[1] == ref
            high = (around.count("G") + around.count("C")) / len(around.replace("N", "")) >= 0.5
            yield (three, alt, high) if ref in "AC" else (three.translate(pair)[::-1], alt.translate(pair), high)

    singles = rows[:-1]
    of_set = Counter(kinds(*([row[key] for row in singles] for key in "prac")))
    of_drawn = Counter(kinds(*(known[name] for name in ("position_1based", "ref", "alt", "contig"))))
    assert of_drawn == {kind: 5 * n for kind, n in of_set.items()}
    again = score(made, tmp_path / "v.vcf", tmp_path / "again/s", effects=["diff"], background=section)
    columns = ["contig", "position_1based", "ref", "alt", "gc"]
    assert pd.read_parquet(again.folder / "background.parquet")[columns].equals(known[columns])
    quantile = whole(reader)["level|up|active_allele_quantile"]  # ranks in the REF windows of the background
    assert ((quantile >= 0) & (quantile <= 1)).all() and quantile.nunique() > 10
    assert "level|up|active_allele_quantile_p" in reader.columns
    assert "level|up|active_allele_quantile_signed_p" not in reader.columns


def test_a_stopped_background_goes_on_to_the_same_bytes(made, scored, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_RECORDS", 100)
    names = ("scores.parquet", "background.parquet", "scores.vcf.gz", "marker.json")

    def run(out):
        return score(made, scored.file, out, effects=["diff"], background=scored.background)

    plain = run(tmp_path / "a/s")
    kept = {name: (plain.folder / name).read_bytes() for name in names}
    chunk, calls = variant_chunks._chunk, []

    def failing(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return chunk(*arguments)

    monkeypatch.setattr(variant_chunks, "_chunk", failing)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b/s")
    again = run(tmp_path / "b/s")
    assert len(calls) == 3 + 2 + 1  # two of four chunks of the background were there
    assert {name: (again.folder / name).read_bytes() for name in names} == kept
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["s"]


def test_frequencies_of_files(tmp_path):
    rows = [snv("1", 45_000, a="C,G"), snv("1", 45_010), snv("1", 45_020), snv("1", 45_030, a="C,G")]
    path = with_info(tmp_path / "v.vcf", rows, ["X=1;AF=0.1,.", ".", "MAF=1;AF=1e-3", "AF=0.2"])
    file = open_variants(path, more="AF")
    (records,) = file.blocks(100)
    np.testing.assert_array_equal(frequencies(file, records), [0.1, np.nan, np.nan, 0.001, np.nan, np.nan])
    table = tmp_path / "v.tsv"
    table.write_text("chrom\tpos\tref\talt\tEAF\n1\t5\tA\tC\t0.25\n1\t6\tA\tC\tNA\n1\t7\tA\tC\t\n")
    file = open_variants(table, more="eaf")
    (records,) = file.blocks(100)
    np.testing.assert_array_equal(frequencies(file, records), [0.25, np.nan, np.nan])
    pd.read_csv(table, sep="\t").to_parquet(tmp_path / "v.parquet")
    file = open_variants(tmp_path / "v.parquet", more="EAF")
    (records,) = file.blocks(100)
    np.testing.assert_array_equal(frequencies(file, records), [0.25, np.nan, np.nan])
    with_info(path, rows[1:2], ["AF=7"])
    file = open_variants(path, more="AF")
    with pytest.raises(InputError, match=r"v\.vcf:3: AF is '7', expected a frequency from 0 to 1"):
        frequencies(file, next(file.blocks(100)))


def test_what_a_background_must_be(made, tmp_path):
    path = vcf(tmp_path / "v.vcf", [snv("1", 45_000)])
    few = vcf(tmp_path / "few.vcf", [snv("1", 45_000), *(snv("1", 45_100 + i) for i in range(19))])
    with pytest.raises(InputError, match=r"variants\.s: 19 background variants can be scored; 20 are needed"):
        score(made, path, background={"file": str(few)})
    wrong = vcf(tmp_path / "wrong.vcf", [snv("1", 41_000 + i, r=other(TEXT["chr1"][40_999 + i])) for i in range(50)])
    with pytest.raises(InputError, match=r"wrong\.vcf: REF .*of 50 REF alleles agree with toy"):
        score(made, path, background={"file": str(wrong)})
    insertion = vcf(tmp_path / "i.vcf", [snv("1", 45_000, a=TEXT["chr1"][44_999] + "AC")])
    with pytest.raises(InputError, match="no single-base variant to draw others like: give 'background' a file"):
        score(made, insertion, background={"sampled": 100})
    (tmp_path / "g.bed").write_text("chr7\t5\t9\n")
    with pytest.raises(InputError, match=r"g\.bed"):
        Starts(tmp_path / "g.bed", GenomeReader(made.genome))
    assert not (tmp_path / "variants").exists() or not list((tmp_path / "variants").glob("[!.]*"))
