"""Likelihood of counted fractions, such as methylated reads among all reads of a site."""

import numpy as np


def beta_binomial_log_likelihood(
    successes: np.ndarray, trials: np.ndarray, mean: np.ndarray, concentration: np.ndarray
) -> np.ndarray:
    """Log probability (natural) of ``successes`` among ``trials`` under a beta-binomial distribution.

    Its beta distribution has shapes mean x concentration and (1 - mean) x concentration, as `scipy.stats.betabinom`.

    Parameters
    ----------
    successes, trials : counts of any equal shape, 0 <= successes <= trials.
    mean : in (0, 1). concentration : > 0; a large one is nearly a binomial. Of the same shape.

    Returns
    -------
    float64 of the same shape; NaN where an argument is outside its range.
    """
    from scipy.special import betaln, gammaln

    k, n = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    mean, concentration = np.asarray(mean, np.float64), np.asarray(concentration, np.float64)
    possible = (k >= 0) & (k <= n) & (mean > 0) & (mean < 1) & (concentration > 0)
    a, b = mean * concentration, (1 - mean) * concentration
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        return np.where(possible, choose + betaln(k + a, n - k + b) - betaln(a, b), np.nan)
