"""Haplotypes: what blocks hold, what is refused, and scores of networks whose interactions are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit import effects_world as world
from tests.unit import variant_worlds as worlds
from tests.unit.network_toys import target
from tests.unit.variant_worlds import BP, HALF, TEXT, score, snv

from seqmill.effects.local.pairs import LocalPairs
from seqmill.effects.variants import build as module
from seqmill.effects.variants.alleles import Examiner
from seqmill.effects.variants.haplotype_scores import _chunk, edited, groups_of, windows_of
from seqmill.effects.variants.haplotypes import Edit, LeftOut, haplotypes, trimmed
from seqmill.effects.variants.plan import VariantPlan
from seqmill.formats.variants import open_variants
from seqmill.genome.sequence import decode, encode
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader
from seqmill.stores.verify import verify

CHR1 = TEXT["chr1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return worlds.make(tmp_path_factory.mktemp("haplotypes"))


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch):
    monkeypatch.setattr(module, "Ensemble", worlds.ensemble)


def phased(path, rows, samples=("a", "b"), keys="GT"):
    """VCF with genotypes; each row ends with one text a sample."""
    lines = ["##fileformat=VCFv4.2"]
    lines.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]))
    lines += ["\t".join([*(str(row[key]) for key in "cpira"), ".", ".", ".", keys, *calls]) for row, *calls in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def found_in(made, path, samples=None, span=HALF):
    genome, left_out = GenomeReader(made.genome), LeftOut("line")
    examiner = Examiner(genome, {"1": "chr1", "2": "chr2"}, window_bp=BP)
    found = list(haplotypes(open_variants(path, more="GT"), examiner, samples, span, left_out))
    return [(one.contig, ",".join(one.names), one.carriers, one.first) for one in found], dict(left_out.counts)


def name(row, allele=1):
    return f"{row['p']}:{row['r']}>{row['a'].split(',')[allele - 1]}"


def test_blocks_hold_what_lies_on_one_haplotype(made, tmp_path):
    x, y, z, far = (snv("1", place) for place in (45_000, 45_010, 45_029, 45_031))
    rows = [(x, "0|1", "1|1"), (y, "1|1", "0/1"), (z, "1|0", "1|."), (far, "1|0", "0|0")]
    found, left_out = found_in(made, phased(tmp_path / "v.vcf", rows))
    assert found == [
        ("chr1", f"{name(y)},{name(z)}", 1, "a:1"),
        ("chr1", f"{name(x)},{name(y)}", 1, "a:2"),
    ]
    assert left_out == {
        "genotype not phased (/)": 1, "genotype missing": 1, "haplotype of one variant": 2 + 1,  # b's x twice; far
    }  # fmt: skip
    rows = [(x, "0|1", "0|1"), (y, "0|1", "0|1"), (z, "0|0", "1|0")]
    path = phased(tmp_path / "v.vcf", rows)
    assert found_in(made, path)[0] == [("chr1", f"{name(x)},{name(y)}", 2, "a:2")]
    assert found_in(made, path, ["b"])[0] == [("chr1", f"{name(x)},{name(y)}", 1, "b:2")]


def test_phase_sets_are_kept_apart_and_what_all_haplotypes_carry_joins_each(made, tmp_path):
    w, x, y, z = (snv("1", place) for place in (45_000, 45_004, 45_008, 45_012))
    rows = [(w, "0|1:7"), (x, "1/1:."), (y, "0|1:9"), (z, "1|0:9")]
    found, left_out = found_in(made, phased(tmp_path / "v.vcf", rows, ("a",), "GT:PS"))
    assert [names for _, names, *_ in found] == [
        f"{name(w)},{name(x)}", f"{name(x)},{name(z)}", f"{name(x)},{name(y)}",
    ]  # fmt: skip
    assert left_out == {"haplotype of one variant": 1}  # x alone, on a's first haplotype in set 7


def test_several_alternatives_and_alleles_that_cannot_be_scored(made, tmp_path):
    x, y = snv("1", 45_000, a="<DEL>,T" if CHR1[44_999] != "T" else "<DEL>,G"), snv("1", 45_010)
    star = snv("1", 45_020, a="*")
    rows = [(x, "1|2", "0|0"), (y, "1|1", "0|0"), (star, "0|1", "0|0")]
    found, left_out = found_in(made, phased(tmp_path / "v.vcf", rows))
    assert found == [("chr1", f"{name(x, 2)},{name(y)}", 1, "a:2")]
    assert left_out == {"haplotype with an allele that cannot be scored": 1}


def test_what_is_refused(made, tmp_path):
    x, deletion = snv("1", 45_002), {"c": "1", "p": 45_000, "i": ".", "r": CHR1[44_999:45_003], "a": CHR1[44_999]}
    path = tmp_path / "v.vcf"

    def refusal(rows, **more):
        with pytest.raises(InputError) as error:
            found_in(made, phased(path, rows, **more))
        return str(error.value)

    assert refusal([(deletion, "0|1", "0|0"), (x, "0|1", "0|0")]) == (
        f"{path}:4: changes bases of chr1:45002 that line 3 changes on the same haplotype (a:2); one record must say "
        "what stands there"
    )
    assert found_in(made, phased(path, [(deletion, "0|1", "0|0"), (x, "1|0", "0|0")]))[0] == []
    assert "line 3 changes on the same haplotype" in refusal([(x, "0|1", "0|0"), (x | {"i": "again"}, "0|1", "0|0")])
    assert refusal([(x, "0|1", "0|0"), (deletion, "0|1", "0|0")]) == (
        f"{path}:4: chr1:45000 stands behind chr1:45002 (line 3); haplotypes need sorted records (bcftools sort)"
    )
    assert refusal([(x, "0|2", "0|0")]) == f"{path}:3: genotype '0|2' of a names allele 2, ALT has 1"
    assert refusal([(x, "0|x", "0|0")]) == f"{path}:3: genotype '0|x' of a cannot be read"
    assert refusal([(x, "0|1")]) == f"{path}:3: 1 sample column(s), expected 2"
    assert refusal([(x,)], samples=()) == (
        f"{path}: no samples; haplotypes need phased genotypes (FORMAT GT and a column a sample)"
    )
    phased(path, [(x, "0|1", "0|1")])
    with pytest.raises(InputError, match="no sample 'c'; it has 2: a, b"):
        found_in(made, path, ["c"])
    table = tmp_path / "v.tsv"
    table.write_text(f"chrom\tpos\tref\talt\n1\t45002\t{x['r']}\t{x['a']}\n")
    with pytest.raises(InputError, match="haplotypes need genotypes of a VCF or BCF; this is TSV"):
        found_in(made, table)


@settings(max_examples=50, deadline=None)
@given(st.text("ACGT", min_size=30, max_size=30), st.data())
def test_edits_of_a_window_are_those_of_its_text(text, data):
    edits, at, expected, copied = [], 2, "", 0
    while at < 14:
        ref = text[at : at + data.draw(st.integers(1, 3))]
        alt = data.draw(st.text("ACGT", min_size=1, max_size=3).filter(lambda x, ref=ref: x != ref))
        edit = trimmed(at, ref, alt, 0)
        assert text[edit.start : edit.end] == edit.ref
        assert text[:at] + alt + text[at + len(ref) :] == text[: edit.start] + edit.alt + text[edit.end :]
        edits.append(edit)
        expected, copied = expected + text[copied:at] + alt, at + len(ref)
        at += len(ref) + data.draw(st.integers(1, 4))
    expected = (expected + text[copied:])[:12]
    assert decode(edited(encode(text), 0, sorted(edits), 12)) == expected


def test_the_interaction_of_a_linear_network_is_nothing_and_that_of_its_probability_is_known(made, tmp_path):
    places = (45_000, 45_007, 45_020)
    x, y, z = (snv("1", place) for place in places)
    path = phased(tmp_path / "v.vcf", [(x, "0|1"), (y, "0|1"), (z, "1|1")], ("a",))
    models = [world.another(made.models[0], "0", seed) for seed in (7, 8, 9)]
    reader = score(made, path, models=models, effects=["diff", "score"], haplotypes="blocks", standard_deviation=True)
    found = reader.haplotypes()
    assert found["variants"].tolist() == [f"{name(x)},{name(y)},{name(z)}"] and found["n_variants"].tolist() == [3]
    assert found[["start_1based", "end_1based", "runs", "first_carrier"]].to_numpy().tolist() == [
        [45_000, 45_020, 3, "a:2"]
    ]
    start = (44_999 + 45_020) // 2 - HALF

    def letters(*rows):
        text = list(CHR1)
        for row in rows:
            text[row["p"] - 1] = row["a"]
        return "".join(text)[start : start + BP]

    whole, singles = [], []
    for model in models:
        before = letters()
        whole.append(worlds.effects(model, before, letters(x, y, z))[:4])
        singles.append(sum(worlds.effects(model, before, letters(row))[:4] for row in (x, y, z)))
    columns = ["level|up|diff", "level|down|diff", "bound|tf|diff", "bound|tf|score"]
    for suffix, expected in (
        ("", np.mean(whole, axis=0)),
        ("_singles", np.mean(singles, axis=0)),
        ("_interaction", np.mean(whole, axis=0) - np.mean(singles, axis=0)),
        ("_sd", np.std(whole, axis=0, ddof=1)),
    ):
        row = found.loc[0, [f"{column}{suffix}" for column in columns]].to_numpy(float)
        np.testing.assert_allclose(row, expected, rtol=2e-3, atol=2e-5)
    assert abs(found.loc[0, ["level|up|diff_interaction", "bound|tf|score_interaction"]].to_numpy(float)).max() < 1e-5
    assert abs(found.loc[0, "bound|tf|diff_interaction"]) > 1e-3
    assert verify(reader.folder.parent) == []
    assert reader.attrs["haplotypes"]["n"] == 1 and reader.haplotypes_dropped()["reason"].tolist() == [
        "haplotype of one variant"
    ]


def test_the_interaction_of_a_product_is_what_no_single_change_does(made, tmp_path):
    """A network that counts where two bases stand together: singles do nothing, both do all."""
    x, y = snv("1", 45_000), snv("1", 45_010)
    insertion = {"c": "1", "p": 45_005, "i": ".", "r": CHR1[45_004], "a": CHR1[45_004] + "AC"}
    path = phased(tmp_path / "v.vcf", [(x, "0|1"), (insertion, "1|0"), (y, "1|1")], ("a",))
    genome = GenomeReader(made.genome)
    examiner = Examiner(genome, {"1": "chr1"}, window_bp=BP)
    found = list(haplotypes(open_variants(path, more="GT"), examiner, None, HALF, LeftOut("line")))
    first = found[1]
    assert first.names == (name(x), name(y))
    start = (first.start + first.end) // 2 - HALF
    places = [row["p"] - 1 - start for row in (x, y)]
    codes = ["ACGT".index(row["a"]) for row in (x, y)]

    def apply(windows, reduce, members):
        value = np.prod([windows[:, at] == code for at, code in zip(places, codes)], axis=0)
        return [{"n": {"value": 5.0 * value[:, None]}}]

    plan = SimpleNamespace(
        ensemble=SimpleNamespace(apply=apply, extent_bp=BP), reduce=None, ranks=None, deviations=False,
        specs={"n": target("n", 1, "count")}, wanted=[("n", "diff")], signed=[True],
    )  # fmt: skip
    plan.names = lambda groups: VariantPlan.names(plan, groups)
    plan.pairs = LocalPairs(plan.ensemble, None)  # which has no network that could be followed
    columns = plan.names(groups_of(plan))
    table = _chunk(plan, genome, [first], np.ones((1, 1), bool), columns).to_pandas()
    assert table[["n|t0|diff", "n|t0|diff_singles", "n|t0|diff_interaction"]].to_numpy().tolist() == [[5, 0, 5]]
    windows, rows = windows_of(genome, found, BP)
    assert rows.tolist() == [0, 3] and len(windows.codes) == 4 + 4
    other = found[0]
    begin = (other.start + other.end) // 2 - HALF
    text = CHR1[begin:45_005] + "AC" + CHR1[45_005:45_009] + y["a"] + CHR1[45_010:]
    assert decode(windows.codes[windows.alt[0]]) == text[:BP]
    assert Edit(45_005, "", "AC", 4) in other.edits
