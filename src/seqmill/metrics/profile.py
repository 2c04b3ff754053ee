"""Metrics of profiles: how counts are spread over the bins of a window."""

import numpy as np

FLAT_SHARE = 1e-3


def shares(values: np.ndarray) -> np.ndarray:
    """Rows (..., bins) divided by their sums; NaN for rows without counts, or with a missing or negative one."""
    values = np.asarray(values, np.float64)
    total = values.sum(axis=-1, keepdims=True)
    usable = (total > 0) & np.isfinite(total) & (values.min(axis=-1, keepdims=True, initial=0) >= 0)
    return values / np.where(usable, total, np.nan)


def jsd(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance of each profile: 0 for equal shapes, 1 for shapes that share no bin.

    Square root of the divergence in bits (Lin 1991, IEEE Transactions on Information Theory 37:145; Endres &
    Schindelin 2003, ibid. 49:1858), as `scipy.spatial.distance.jensenshannon(p, q, base=2)`.

    Parameters
    ----------
    truth, predicted : (..., bins), counts or probabilities >= 0; each row is divided by its sum.

    Returns
    -------
    float64 (...,); NaN where a row is all zero, or holds NaN or a negative value.
    """
    return distance_of_shares(shares(truth), shares(predicted))


def distance_of_shares(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """`jsd` of (..., bins) that sum to 1 already."""
    from scipy.special import rel_entr

    m = (p + q) / 2
    nats = rel_entr(p, m).sum(axis=-1) + rel_entr(q, m).sum(axis=-1)
    return np.sqrt(np.maximum(nats / (2 * np.log(2)), 0))


def multinomial_log_likelihood(counts: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Log probability (natural) of the counts of each window, given their total, under a multinomial.

    The profile likelihood of BPNet (Avsec et al. 2021, Nature Genetics 53:354, Methods), its coefficient included.

    Parameters
    ----------
    counts : (..., bins), whole numbers >= 0.
    probabilities : (..., bins), each row is divided by its sum.

    Returns
    -------
    float64 (...,); -inf where a bin with counts has probability 0; NaN where counts or probabilities hold NaN or a
    negative value, or all probabilities are zero.
    """
    from scipy.special import gammaln

    counts = np.asarray(counts, np.float64)
    share = shares(probabilities)
    with np.errstate(divide="ignore"):
        terms = np.where(counts > 0, counts * np.log(np.where(counts > 0, share, 1)), 0.0 * share)
    known = np.where(counts >= 0, counts, np.nan)
    return gammaln(known.sum(axis=-1) + 1) - gammaln(known + 1).sum(axis=-1) + terms.sum(axis=-1)


def shape_log_likelihood(counts: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Log-likelihood in nats of one count of each window, given the predicted shape.

    The multinomial log-likelihood divided by the total, without its coefficient, which is the same for every
    prediction; so defined for signal that is no whole number, too. Predicted shares are mixed with `FLAT_SHARE` of a
    flat profile, so that a bin predicted as 0 has a finite cost.

    Parameters
    ----------
    counts, predicted : (..., bins), >= 0.

    Returns
    -------
    float64 (...,); NaN where a row is all zero, or holds NaN or a negative value.
    """
    return likelihood_of_shares(shares(counts), shares(predicted))


def likelihood_of_shares(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """`shape_log_likelihood` of (..., bins) that sum to 1 already."""
    return np.sum(p * np.log((1 - FLAT_SHARE) * q + FLAT_SHARE / q.shape[-1]), axis=-1)
