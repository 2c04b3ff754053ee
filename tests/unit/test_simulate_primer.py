"""The tutorial's table: what is hidden is where the truth says, the rest does not hold it, noise is as stated."""

import hashlib

import pandas as pd
import pytest

from seqmill.runtime.errors import InputError
from seqmill.simulate.primer import LENGTH_BP, MOTIF, main, write_table


def tables(folder):
    return [
        pd.read_csv(path, sep="\t", keep_default_na=False) for path in (folder / "primer.tsv", folder / "truth.tsv")
    ]


def test_the_motif_is_where_the_truth_says_and_nowhere_else(tmp_path, capsys):
    assert main([str(tmp_path)]) == 0
    assert "2,000 sequences of 50 bp" in capsys.readouterr().out
    table, truth = tables(tmp_path)
    assert len(table) == len(truth) == 2000 == table["sequence"].nunique()
    assert (table["name"] == truth["name"]).all() and set(table["sequence"].str.len()) == {LENGTH_BP}
    inside = truth["motif"] != ""
    assert inside.sum() == 1000 and set(truth.loc[inside, "motif"]) == {MOTIF}
    for text, motif, start in zip(table["sequence"], truth["motif"], truth["start"]):
        assert text.count(MOTIF) == bool(motif)
        assert not motif or text[int(start) : int(start) + len(MOTIF)] == MOTIF
    wrong = table["bound"].astype(bool) != inside
    assert wrong.sum() == 40 and (wrong == truth["label_wrong"].astype(bool)).all()


def test_base_composition_tells_nothing(tmp_path):
    write_table(tmp_path, noise=0)
    table, _ = tables(tmp_path)
    gc = table["sequence"].str.count("[GC]").groupby(table["bound"]).mean()
    assert abs(gc[1] - gc[0]) < 0.4  # of 50 bp; the standard error is 0.14


def test_equal_arguments_give_equal_bytes(tmp_path):
    paths = [write_table(tmp_path / name, seed=seed)[0] for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert digests[0] == digests[1] != digests[2]


def test_a_motif_that_varies(tmp_path):
    write_table(tmp_path, vary=0.4)
    motifs = tables(tmp_path)[1]["motif"]
    same = [sum(a == b for a, b in zip(motif, MOTIF)) / len(MOTIF) for motif in motifs if motif]
    assert sum(same) / len(same) == pytest.approx(0.7, abs=0.02)  # 1 - 0.4 * 3/4


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--sequences", "3", "--sequences: 3 are too few, expected at least 20"),
        ("--noise", "0.7", "--noise: 0.7 is not a share from 0 to 0.5"),
        ("--vary", "-1", "--vary: -1.0 is not a share from 0 to 0.5"),
    ],
)
def test_refusals(tmp_path, capsys, option, value, message):
    assert main([str(tmp_path), option, value]) == 2
    assert capsys.readouterr().err == f"ERROR {message}\n" and not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="are too few"):
        write_table(tmp_path, sequences=19)
