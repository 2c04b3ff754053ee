"""Scores of variants: effects known from the weights of linear networks, with string slices as the slow reference."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pysam
import pytest
from tests.unit import effects_world as world
from tests.unit import variant_worlds
from tests.unit.variant_worlds import BP, HALF, TEXT, levels, other, score, snv, truth, vcf, whole, window

from seqmill.config.models import Prediction
from seqmill.config.sources import Genome
from seqmill.effects.variants import build as module
from seqmill.effects.variants import chunks as variant_chunks
from seqmill.effects.variants.alleles import Examiner, sequences
from seqmill.formats.variant_records import Records
from seqmill.formats.variants import OK
from seqmill.genome.sequence import decode
from seqmill.runtime.errors import DamageError, InputError
from seqmill.stores.genome import GenomeReader, build_genome
from seqmill.stores.variants import VariantsReader
from seqmill.stores.verify import verify

FILES = ("scores.parquet", "scores.tsv.gz", "scores.vcf.gz", "scores.vcf.gz.tbi", "dropped.tsv", "marker.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return variant_worlds.make(tmp_path_factory.mktemp("variants"))


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch):
    monkeypatch.setattr(module, "Ensemble", variant_worlds.ensemble)


def test_snvs_and_indels_have_the_effects_of_the_weights(made, tmp_path):
    chr1 = TEXT["chr1"]
    rows = [
        snv("1", 45_000), snv("1", 5_000), snv("1", 25_000, i="rs1"), snv("2", 3), snv("2", 300),
        {"c": "1", "p": 46_001, "i": ".", "r": chr1[46_000:46_009], "a": chr1[46_000]},
        {"c": "1", "p": 47_001, "i": ".", "r": chr1[47_000].lower(), "a": chr1[47_000] + "GGTCA,ac"},
        {"c": "1", "p": 44_001, "i": ".", "r": chr1[44_000:44_003], "a": "TTTTTTTTT"}, snv("1", 45_000),
    ]  # fmt: skip
    reader = score(made, vcf(tmp_path / "v.vcf", rows), effects=["diff", "score", "logfc"])
    found = whole(reader)
    assert found["status"].tolist() == [OK] * 10
    assert found["runs"].tolist() == [2, 1, 1, 2, 2, 2, 2, 2, 2, 2]  # chr1:5000 is known to fold 0, 25000 to fold 1
    assert found["id"].tolist() == [".", ".", "rs1", *["."] * 7]
    columns = ["level|up|diff", "level|down|diff", "bound|tf|diff", "bound|tf|score", "bound|tf|logfc"]
    for number, row in enumerate(found.itertuples()):
        runs = {1: made.models[1:], 2: made.models[:1]}.get(number, made.models)
        expected = truth(runs, row.contig, row.position_1based - 1, row.ref, row.alt)
        np.testing.assert_allclose(found.loc[number, columns].to_numpy(float), expected, rtol=1e-3, atol=2e-5)
        assert np.abs(expected).max() > 1e-3
    assert set(columns) < set(reader.columns) and "level|up|logfc" not in reader.columns
    expected = {"n": 10, "records": 9, "scored": 10, "ref_match": 1.0, "dropped": {}, "both_strands": False}
    assert expected.items() <= reader.attrs.items()
    assert reader.attrs["contigs"] == {"1": "chr1", "2": "chr2"}
    assert reader.attrs["models"] == {"net/0.0": 9, "net/1.0": 9}
    assert verify(tmp_path / "variants") == []
    assert sorted(path.name for path in reader.folder.iterdir()) == sorted([*FILES, "run.json"])
    assert [path.name for path in reader.folder.parent.iterdir()] == ["s"]  # no state is left


@pytest.mark.slow
def test_strands_and_shifts_are_averaged(tmp_path):
    """Against the plain numbers of windows turned round and moved by hand."""
    dataset = world.write_dataset(tmp_path, margin_bp=world.MARGIN_BP)
    genome = world.write_genome(tmp_path)
    model = world.train(tmp_path, dataset, "0", 0)
    made = SimpleNamespace(genome=genome, dataset=dataset, models=[model])
    row = snv("chr1", 45_000)
    prediction = Prediction(shifts_bp=[-3, 0, 2])
    reader = score(made, vcf(tmp_path / "v.vcf", [row]), prediction=prediction, effects=["diff"])
    assert reader.attrs["both_strands"] and reader.attrs["shifts_bp"] == [-3, 0, 2]
    turned = str.maketrans("ACGT", "TGCA")
    values = {}
    for base in (row["r"], row["a"]):
        text = TEXT["chr1"][:44_999] + base + TEXT["chr1"][45_000:]
        seen = [text[44_999 - HALF + shift :][:BP] for shift in prediction.shifts_bp]
        seen += [letters.translate(turned)[::-1] for letters in seen]
        values[base] = np.mean([levels(model, letters)[0] for letters in seen], axis=0)
    found = whole(reader)[["level|up|diff", "level|down|diff"]].to_numpy()[0]
    np.testing.assert_allclose(found, values[row["a"]] - values[row["r"]], rtol=1e-4, atol=1e-6)


def test_what_is_not_scored_is_counted_with_its_reason(made, tmp_path):
    ref = TEXT["chr1"][44_999]
    rows = [snv("1", 45_000) for _ in range(20)] + [
        {"c": "1", "p": 45_000, "i": "m", "r": ref, "a": f"*,<DEL>,{ref}[chr2:7[,.,N,{ref},{other(ref)}"},
        {"c": "9", "p": 7, "i": ".", "r": "A", "a": "C"},
        {"c": "1", "p": 0, "i": ".", "r": "N", "a": "C"}, {"c": "2", "p": 301, "i": ".", "r": "A", "a": "C"},
        {"c": "2", "p": 300, "i": ".", "r": TEXT["chr2"][299] + "A", "a": "C"},
        snv("1", 45_000, r="R"), {"c": "1", "p": 45_000, "i": ".", "r": other(ref), "a": ref},
        {"c": "1", "p": 45_000, "i": ".", "r": ref, "a": ref + "A" * HALF}, snv("1", 36_010),
    ]  # fmt: skip
    reader = score(made, vcf(tmp_path / "v.vcf", rows))
    dropped = reader.dropped()
    found = dict(zip(dropped["reason"], dropped["count"]))
    assert found == {
        "ALT is * (deleted by another record)": 1, "symbolic ALT (<DEL>, ...)": 1, "breakend": 1, "no ALT": 1,
        "ALT is not ACGT": 1, "ALT equals REF": 1, "contig not in the genome": 1, "position 0": 1,
        "beyond the end of the contig": 2, "REF is not ACGT": 1, "REF differs from the genome": 1,
        "allele longer than half the window": 1, "seen": 1,
    }  # fmt: skip
    first = dropped.set_index("reason").loc["beyond the end of the contig"]
    assert (first["first"], first["example"]) == ("line 26", "chr2:301 A>C")
    table = whole(reader)
    assert reader.attrs["dropped"] == found and reader.attrs["scored"] == 21 == (table["status"] == OK).sum()
    assert table.loc[table["status"] != OK, reader.columns].isna().all(axis=None)
    assert table.loc[table["status"] == OK, reader.columns].notna().all(axis=None)
    assert reader.attrs["ref_match"] == pytest.approx(23 / 24)
    assert table["runs"].tolist() == [2 if status == OK else 0 for status in table["status"]]


def test_three_files_say_the_same_and_the_vcf_is_sorted(made, tmp_path):
    rows = [snv("2", 100), snv("1", 50_000), snv("1", 45_000, i="a b"), snv("1", 45_000)]
    reader = score(made, vcf(tmp_path / "v.vcf", rows), runs="all")
    table = whole(reader)
    text = pd.read_csv(reader.folder / "scores.tsv.gz", sep="\t", na_values="", keep_default_na=False)
    pd.testing.assert_frame_equal(text.astype(table.dtypes), table, check_exact=False, rtol=1e-6)
    with pysam.VariantFile(str(reader.folder / "scores.vcf.gz")) as file:
        assert [(r.chrom, r.pos) for r in file] == [("chr1", 45_000), ("chr1", 45_000), ("chr1", 50_000), ("chr2", 100)]
        (record,) = file.fetch("chr2")
        expected = table.loc[0, ["level|up|diff", "level|down|diff"]].to_numpy(float)
        np.testing.assert_allclose(record.info[reader.attrs["info_fields"]["level|diff"]], expected, rtol=1e-5)
    raw = (reader.folder / "scores.tsv.gz").read_bytes()
    assert raw[3:8] == bytes(5)  # no name, no time


def test_top(made, tmp_path):
    rows = [snv("1", 45_000 + 10 * i) for i in range(30)]
    reader = score(made, vcf(tmp_path / "v.vcf", rows))
    values = whole(reader)["level|up|diff"].abs().sort_values(ascending=False)
    top = reader.top("level", "up", "diff", 5)
    assert top["value"].abs().tolist() == values.tolist()[:5]
    assert top.columns.tolist() == ["contig", "position_1based", "id", "ref", "alt", "status", "runs", "value"]
    with pytest.raises(InputError, match="has no jsd of track 'up' of target 'level'"):
        reader.top("level", "up", "jsd", 5)
    with pytest.raises(KeyError, match="has no column x"):
        next(reader.table(["x"]))
    with open(reader.folder / "scores.parquet", "r+b") as file:
        file.seek(100)
        file.write(bytes([file.read(1)[0] ^ 1]))
    with pytest.raises(DamageError, match=r"scores\.parquet"):
        next(VariantsReader(reader.folder).table())


def refusal(made, path, **more):
    with pytest.raises(InputError) as error:
        score(made, path, **more)
    assert [left.name for left in (path.parent / "variants").glob("*")] in (
        [],
        ["s"],
    )  # no half-written folder, no state
    return str(error.value)


def test_another_assembly_is_refused_with_its_rate(made, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "score_chunks", lambda *_: pytest.fail("scored before the file was judged"))
    rng = np.random.default_rng(0)
    places = rng.integers(40_000, 50_000, 1000).tolist()
    rows = [snv("1", place, r=(r := "ACGT"[rng.integers(4)]), a=other(r)) for place in places]
    agree = sum(row["r"] == TEXT["chr1"][row["p"] - 1] for row in rows)
    there = TEXT["chr1"]
    number, first = next((n, row) for n, row in enumerate(rows, 3) if row["r"] != TEXT["chr1"][row["p"] - 1])
    path = vcf(tmp_path / "v.vcf", rows)
    assert refusal(made, path) == (
        f"{path}: REF {first['r']}, genome {there[first['p'] - 1]} at chr1:{first['p']} (line {number}); {agree} "
        "of 1,000 REF alleles agree with toy: wrong assembly?"
    )


def table_file(path, rows, position=lambda p: p):
    lines = ["chrom\tpos\tref\talt\n", *(f"{r['c']}\t{position(r['p'])}\t{r['r']}\t{r['a']}\n" for r in rows)]
    path.write_text("".join(lines))
    return path


def test_hints_at_swapped_alleles_and_other_bases(made, tmp_path):
    rows = [snv("1", 40_000 + 7 * i) for i in range(100)]
    rows = [row for row in rows if row["a"] != TEXT["chr1"][row["p"]] and row["r"] != TEXT["chr1"][row["p"]]]
    swapped = [row | {"r": row["a"], "a": row["r"]} for row in rows]
    n = len(rows)
    path = table_file(tmp_path / "swapped.tsv", swapped)
    assert refusal(made, path).endswith(
        f"0 of {n} REF alleles agree with toy, and the ALT of {n} others does: are REF and ALT swapped?"
    )
    path = table_file(tmp_path / "zero.tsv", rows, lambda p: p - 1)
    assert refusal(made, path).endswith(
        f"REF alleles agree with toy, but {n} with the base behind the position: set position_base: 0?"
    )
    path = table_file(tmp_path / "one.tsv", rows)
    assert refusal(made, path, position_base=0).endswith(
        f"but {n} with the base before the position: set position_base: 1?"
    )
    path = vcf(tmp_path / "late.vcf", [row | {"p": row["p"] - 1} for row in rows])
    assert refusal(made, path).endswith(f"but {n} with the base behind the position: off by one?")
    zero = score(made, table_file(tmp_path / "zero.tsv", rows, lambda p: p - 1), position_base=0)
    assert zero.attrs["scored"] == n


def test_files_of_which_nothing_can_be_scored(made, tmp_path):
    path = vcf(tmp_path / "v.vcf", [])
    assert refusal(made, path) == f"{path}: 0 records; expected at least one variant"
    vcf(path, [{"c": "7", "p": 5, "i": ".", "r": "A", "a": "C"}])
    assert refusal(made, path) == (
        f"{path}: no contig is in the genome (different naming styles or another genome?): the file has 7; the genome "
        "has chr1, chr2"
    )
    vcf(path, [{"c": "2", "p": 500, "i": ".", "r": "A", "a": "C"}, snv("2", 5, a="<DUP>")])
    assert refusal(made, path) == (
        f"{path}: none of 2 alleles can be scored: beyond the end of the contig 1; symbolic ALT (<DEL>, ...) 1"
    )
    vcf(path, [snv("1", 36_010)])
    assert refusal(made, path) == (
        f"{path}: every run of the model has seen all 1 alleles in training; train the fold that tests them, or set "
        "runs: all and say so"
    )
    assert score(made, path, runs="all").attrs["models"] == {"net/0.0": 1, "net/1.0": 1}
    vcf(path, [snv("1", 45_000)], head="##fileformat=VCFv4.2\n##contig=<ID=1,length=77000>\n")
    assert "1 contig length(s) differ from the genome: 1 77,000 in the file, 60,000 in the genome" in refusal(
        made, path
    )


def test_effects_and_targets_that_do_not_fit(made, tmp_path):
    path = vcf(tmp_path / "v.vcf", [snv("1", 45_000)])
    assert refusal(made, path, effects=["jsd"]) == (
        "variants.s: effect 'jsd' needs bins of counts or profiles; the targets are bound (binary), level (quantity)"
    )
    assert refusal(made, path, effects=["logfc"], targets=["level"]) == (
        "variants.s: effect 'logfc' needs predictions that are never negative; the targets are level (quantity)"
    )
    assert refusal(made, path, targets=["x"]) == "variants.s: target 'x' is not predicted; known: bound, level"


def test_warnings(made, tmp_path, caplog):
    ref = TEXT["chr1"][45_000:45_003]
    rows = [snv("1", 45_000 + i) for i in range(30)] + [
        {"c": "1", "p": 45_001, "i": ".", "r": ref, "a": other(ref[0]) + ref[1:]},
        {"c": "1", "p": 45_001, "i": ".", "r": other(ref[0]), "a": ref[0]},
    ]
    body = "".join("\t".join(str(row[key]) for key in "cpira") + "\n" for row in rows)
    path = tmp_path / "v.vcf"
    path.write_text(body)
    with caplog.at_level(logging.WARNING, "seqmill"):
        score(made, path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: no header line (#CHROM ...): the first columns are read as CHROM POS ID REF ALT",
        f"{path}: 1 of 32 REF alleles differ from genome toy (first: REF {other(ref[0])}, genome {ref[0]} at "
        "chr1:45001, line 32); they are not scored",
        f"{path}: 1 record is not normalised (first: line 31); to compare with other files run bcftools norm",
    ]


def test_places_on_another_genome_cannot_be_compared(made, tmp_path, caplog):
    build_genome(tmp_path / "new.zarr", name="new", genome=Genome(fasta=made.folder / "toy.fa"))
    other_genome = SimpleNamespace(genome=tmp_path / "new.zarr", dataset=made.dataset, models=made.models)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "seqmill"):
        reader = score(other_genome, vcf(tmp_path / "v.vcf", [snv("1", 5_000)]))
    assert caplog.messages == [
        "variants.s: places on genome new cannot be compared with training rows on toy; all runs score all variants"
    ]
    assert whole(reader)["runs"].tolist() == [2]


def test_windows_of_equal_sequence_are_made_once(made):
    reader = GenomeReader(made.genome)
    examiner = Examiner(reader, {"1": "chr1"}, window_bp=BP)
    ref = TEXT["chr1"][100]
    alts = [base for base in "ACGT" if base != ref]
    records = Records(["1"] * 2, [100, 100], [".", "."], [ref, ref], [",".join(alts), alts[0]], [1, 2])
    alleles = examiner.alleles(records)
    found = sequences(reader, alleles, BP)
    assert len(found.codes) == 4 and found.ref.tolist() == [0] * 4 and found.alt.tolist() == [1, 2, 3, 1]
    assert [decode(row) for row in found.codes] == [window("chr1", 100, ref, x) for x in (ref, *alts)]


@pytest.mark.slow
def test_a_run_that_stops_goes_on_and_ends_with_the_same_bytes(made, tmp_path, monkeypatch, caplog):
    rows = [snv("1", 45_000 + i) for i in range(50)]
    path = vcf(tmp_path / "v.vcf", rows)
    monkeypatch.setattr(module, "CHUNK_RECORDS", 8)
    plain = score(made, path, tmp_path / "a/s")
    kept = {name: (plain.folder / name).read_bytes() for name in FILES}
    chunk, made_chunks = variant_chunks._chunk, []

    def failing(*arguments):
        if len(made_chunks) == 3:
            raise KeyboardInterrupt
        made_chunks.append(1)
        return chunk(*arguments)

    monkeypatch.setattr(variant_chunks, "_chunk", failing)
    with pytest.raises(KeyboardInterrupt):
        score(made, path, tmp_path / "b/s")
    state = tmp_path / "b/.s.state"
    assert sorted(p.name for p in state.iterdir())[:2] == ["000000.json", "000000.parquet"]
    assert [p.name for p in state.parent.iterdir()] == [".s.state"]
    with open(state / "000001.parquet", "r+b") as file:  # a damaged chunk is made again
        file.write(b"x")
    calls = []
    monkeypatch.setattr(variant_chunks, "_chunk", lambda *arguments: calls.append(1) or chunk(*arguments))
    with caplog.at_level(logging.INFO, "seqmill"):
        again = score(made, path, tmp_path / "b/s")
    assert len(calls) == 7 - 2 and "variants s: 2 of 7 chunks were there already" in caplog.messages
    assert {name: (again.folder / name).read_bytes() for name in FILES} == kept
    assert not state.exists()
