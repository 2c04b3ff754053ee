"""MEME and JASPAR motif files."""

import numpy as np
import pytest

from seqmill.formats.motifs import read_jaspar, read_meme, read_motifs
from seqmill.runtime.errors import InputError

HEAD = "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n"
ONE = "MOTIF MA1.1 MYC::MAX\nletter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0\n0.1 0.2 0.3 0.4\n 1\t0\t0\t0\n"


def write(folder, text):
    path = folder / "x.meme"
    path.write_text(text)
    return path


def test_names_and_matrices(tmp_path):
    more = "URL http://x\n\nMOTIF b\n\nletter-probability matrix: alength= 4 w=1\n0.2499 0.25 0.25 0.25\n"
    first, second = read_meme(write(tmp_path, HEAD + ONE + more))
    assert (first.name, first.alias, second.name, second.alias) == ("MA1.1", "MYC::MAX", "b", "")
    np.testing.assert_allclose(first.pwm, [[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]])
    np.testing.assert_allclose(second.pwm.sum(axis=1), 1, rtol=1e-12)
    assert first.pwm.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": not a MEME motif file: no line 'MEME version'"),
        (ONE, ": not a MEME motif file: no line 'MEME version'"),
        (HEAD, ": no motifs"),
        (HEAD.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY"), ":3: alphabet 'ACDEFGHIKLMNPQRSTVWY', expected ACGT"),
        (HEAD + "MOTIF\n", ":7: motif without a name"),
        (HEAD + ONE + ONE, ":11: motif 'MA1.1' comes twice"),
        (HEAD + ONE.partition("\n")[2], ":7: matrix without a MOTIF line"),
        (HEAD + ONE.replace("w= 2", "w= x"), ":8: width w= x of the matrix is not a number of rows"),
        (HEAD + ONE.replace("alength= 4", "alength= 20"), ":8: matrix of 20 letters, expected 4"),
        (HEAD + ONE.replace("0.4", "0.5"), ":9: expected four probabilities that sum to 1, found '0.1 0.2 0.3 0.5'"),
        (HEAD + ONE.replace("0.4", ""), ":9: expected four probabilities"),
        (HEAD + ONE.replace("w= 2", "w= 3"), ": truncated: 1 rows of the last matrix are missing"),
        (HEAD + ONE.replace("w= 2", "w= 3") + "MOTIF b\n", ":11: expected four probabilities"),
    ],
)
def test_bad_motifs(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_meme(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_published_motifs(test_data):
    path = test_data / "motifs/Jaspar.meme"
    motifs = read_meme(path)
    assert len(motifs) == sum(line.startswith("MOTIF") for line in path.read_text().splitlines())
    np.testing.assert_allclose(motifs[0].pwm[2], [0.004784, 0.213834, 0.753855, 0.027528], rtol=1e-5)


JASPAR = ">MA0004.1\tArnt and more\nA  [ 4 0  0 ]\nC [16 0 20]\nG [0 10 0]\nT [0 10 0]\n"


def test_counts_become_probabilities(tmp_path):
    first, second = read_jaspar(write(tmp_path, JASPAR + "\n>b\n1 0\n1 0\n1 2\n1 0.5\n"))
    assert (first.name, first.alias, second.name, second.alias) == ("MA0004.1", "Arnt and more", "b", "")
    np.testing.assert_allclose(first.pwm, [[0.2, 0.8, 0, 0], [0, 0, 0.5, 0.5], [0, 1, 0, 0]])
    np.testing.assert_allclose(second.pwm, [[0.25] * 4, [0, 0, 0.8, 0.2]])


def test_the_format_is_told_by_the_first_line(tmp_path):
    assert read_motifs(write(tmp_path, "\n" + JASPAR))[0].name == "MA0004.1"
    assert read_motifs(write(tmp_path, HEAD + ONE))[0].name == "MA1.1"
    with pytest.raises(InputError, match="not a MEME motif file"):
        read_motifs(write(tmp_path, "A C G T\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": no motifs"),
        ("A [ 1 2 ]\n" + JASPAR, ":1: expected '>ID NAME', found 'A [ 1 2 ]'"),
        (">\n", ":1: motif without a name"),
        (JASPAR + JASPAR, ":6: motif 'MA0004.1' comes twice"),
        (">a\n1\n1\n>b\n", ":4: motif 'a' has 2 of 4 rows"),
        (">a\n1\n1\n", ": truncated: motif 'a' has 2 of 4 rows"),
        (JASPAR.replace("C [", "G ["), ":3: expected the counts of C, found 'G [16 0 20]'"),
        (JASPAR.replace("10 0]", "10]"), ":4: expected 3 counts of G, found 'G [0 10]'"),
        (JASPAR.replace("16", "-16"), ":3: expected 3 counts of C, found 'C [-16 0 20]'"),
        (JASPAR.replace("4 0  0", "x"), ":2: expected counts of A, found 'A  [ x ]'"),
        (JASPAR.replace("10", "0"), ":5: motif 'MA0004.1' has a column without counts"),
    ],
)
def test_bad_count_matrices(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_jaspar(path)
    assert str(error.value).startswith(f"{path}{message}")
