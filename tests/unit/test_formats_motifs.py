"""MEME motif files."""

import numpy as np
import pytest

from seqmill.formats.motifs import read_meme
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
