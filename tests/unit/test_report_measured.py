"""What the page says of measured effects, in words that follow from the intervals."""

import numpy as np
import pandas as pd
import pytest

from seqmill.evaluation.measured import ALL, MEAN, PEARSON, SIGN, TRACK
from seqmill.report.measured import finding
from seqmill.stores.measured import KMER, NETWORK


def line(value, low, high, **other):
    return {
        "element": ALL, "metric": PEARSON, "predictor": NETWORK, "target": "bound", "over": MEAN, "against": "",
        "value": value, "ci_low": low, "ci_high": high, "note": "",
    } | other  # fmt: skip


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (line(0.3, 0.1, 0.5), "bound, mean of tracks: Pearson’s r 0.300 [0.100, 0.500], more than chance."),
        (line(-0.3, -0.5, -0.1), "bound, mean of tracks: Pearson’s r −0.300 [−0.500, −0.100], less than chance."),
        (line(0.1, -0.1, 0.3), "bound, mean of tracks: Pearson’s r 0.100 [−0.100, 0.300], not told from chance."),
        (
            line(0.1, 0.4, 0.6, metric=SIGN),
            "bound, mean of tracks: share of signs that agree 0.100 [0.400, 0.600], not told from chance.",
        ),
        (
            line(0.1, np.nan, np.nan, note="too few blocks for an interval"),
            "bound, mean of tracks: Pearson’s r 0.100, not told from chance; too few blocks for an interval.",
        ),
        (
            line(0.2, 0.1, 0.3, against=KMER),
            "bound, mean of tracks: the network is better than the k-mer baseline (+0.200 [0.100, 0.300]).",
        ),
        (
            line(-0.2, -0.3, -0.1, against=KMER),
            "bound, mean of tracks: the network is worse than the k-mer baseline (−0.200 [−0.300, −0.100]).",
        ),
        (
            line(0.2, -0.1, 0.3, against=KMER),
            "bound, mean of tracks: the network is not clearly different from the k-mer baseline "
            "(+0.200 [−0.100, 0.300]).",
        ),
    ],
)
def test_a_verdict_follows_from_the_interval(row, text):
    assert finding(pd.DataFrame([row])) == [text]


def test_single_tracks_and_elements_give_no_verdict():
    rows = [line(0.9, 0.8, 1, over=TRACK), line(0.1, 0.05, 0.2), line(0.8, 0.7, 0.9, element="F9")]
    assert len(finding(pd.DataFrame(rows))) == 1
    assert finding(pd.DataFrame([line(1, 1, 1, predictor=KMER)])) == []
