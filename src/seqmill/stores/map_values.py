"""What the numbers of a map say of each base, whichever method made them (`MapReader.method`).

Of mutagenesis the map holds effects of substitutions, of the methods of attribution hypothetical contributions of all
four bases (`seqmill.effects.attribution`); what the base that is there contributes is that of its own base.
"""

import numpy as np

MUTAGENESIS = "mutagenesis"
N_CODE = 4


def own(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The value of the base that is there, (..., position, tracks), NaN at N.

    Parameters
    ----------
    values : float (..., position, base ACGT, tracks). codes : uint8 (..., position), A0 C1 G2 T3 N4.
    """
    places = np.where(codes < N_CODE, codes, 0)[..., None, None]
    found = np.take_along_axis(values, places.astype(np.intp), axis=-2)[..., 0, :]
    return np.where((codes < N_CODE)[..., None], found, np.nan)


def contribution(values: np.ndarray, codes: np.ndarray, method: str) -> np.ndarray:
    """How much the base that is there adds to the score, (..., position, tracks).

    Of mutagenesis minus the mean effect of its three substitutions (0 for the base that is there).
    """
    return -values.sum(axis=-2) / 3 if method == MUTAGENESIS else own(values, codes)


def weight(values: np.ndarray, codes: np.ndarray, method: str) -> np.ndarray:
    """How much a base matters, (..., position, tracks): mean size of its three effects, or of its contribution."""
    return np.abs(values).sum(axis=-2) / 3 if method == MUTAGENESIS else np.abs(own(values, codes))


def hypothetical(values: np.ndarray, method: str) -> np.ndarray:
    """Contributions of all four bases, of the shape of ``values``: of mutagenesis effects minus their mean."""
    return values - values.mean(axis=-2, keepdims=True) if method == MUTAGENESIS else values
