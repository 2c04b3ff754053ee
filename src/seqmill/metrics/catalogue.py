"""What each metric is called, how it is read, which direction is good, and what guessing gives."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric of the evaluation tables.

    Attributes
    ----------
    label : for people. reading : what it says, in a sentence or two.
    lower_is_better : whether a small value is a good one.
    guessing : its value for predictions that know nothing, where that is one number.
    """

    label: str
    reading: str
    lower_is_better: bool = False
    guessing: float | None = None


METRICS = {
    "auroc": Metric(
        "AUROC",
        "The chance that a window with the label gets a higher score than a window without it: 0.5 is guessing, 1 is "
        "perfect. It hides how rare the label is.",
        guessing=0.5,
    ),
    "auprc": Metric(
        "AUPRC",
        "Average precision: how pure the calls are, averaged over all cut-offs. Guessing gives the share of positives, "
        "so compare it with that share, not with 0.5.",
    ),
    "matthews": Metric(
        "Matthews correlation",
        "Correlation of calls with the truth: 0 is guessing, 1 is perfect. A call is a probability of at least 0.5, or "
        "the class with the largest probability; where labels are rare, few or no calls reach 0.5.",
        guessing=0.0,
    ),
    "accuracy": Metric(
        "Accuracy",
        "Share of right calls. A call is a probability of at least 0.5, or the class with the largest probability. "
        "Always saying the most frequent answer gives that answer's share.",
    ),
    "cross_entropy": Metric(
        "Cross-entropy",
        "Surprise, in nats, at the true classes given the predicted probabilities: 0 is perfect, lower is better.",
        lower_is_better=True,
    ),
    "pearson": Metric(
        "Pearson r",
        "How well predicted and measured values lie on one straight line: 0 is no relation, 1 is a perfect line "
        "whatever its slope.",
        guessing=0.0,
    ),
    "spearman": Metric(
        "Spearman ρ",
        "How well the prediction puts the measured values in order: 0 is no relation, 1 is the same order.",
        guessing=0.0,
    ),
    "r2": Metric(
        "R²",
        "Share of the variance explained: 1 is perfect, 0 is no better than always saying the mean, below 0 is worse.",
        guessing=0.0,
    ),
    "log_pearson": Metric(
        "Pearson r of log(1 + count)",
        "As Pearson r, of logarithms, so that a few large counts do not decide: 0 is no relation, 1 is perfect.",
        guessing=0.0,
    ),
    "counts_pearson": Metric(
        "Pearson r of window totals",
        "How well the total signal of a window is predicted, as logarithms: 0 is no relation, 1 is perfect.",
        guessing=0.0,
    ),
    "window_pearson": Metric(
        "Pearson r within windows",
        "Pearson r of the pixels of one window, mean over windows: 0 is no relation, 1 is perfect.",
        guessing=0.0,
    ),
    "jsd": Metric(
        "Jensen-Shannon distance",
        "How far the predicted shape is from the measured one, mean over windows: 0 is the same shape, 1 shares "
        "nothing; lower is better.",
        lower_is_better=True,
    ),
    "multinomial": Metric(
        "Log-likelihood of a count",
        "Log-likelihood, in nats, of the place of one count in its window given the predicted shape, mean over "
        "windows: a flat prediction over b bins gives −log b, higher is better.",
    ),
    "log_likelihood": Metric(
        "Log-likelihood of a row",
        "Log-likelihood, in nats, of the measured counts of a row given the predicted distribution: higher is better.",
    ),
}


def describe(metric: str) -> Metric:
    """The entry of ``metric``; one that is not listed is called by its name."""
    return METRICS.get(metric, Metric(metric, ""))
