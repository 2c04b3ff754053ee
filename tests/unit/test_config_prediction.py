"""Settings of predictions: what is refused, and what leaves trained models as they are."""

import pytest

from seqmill.config.models import Model
from seqmill.config.project import Project
from seqmill.config.scope import prediction_scope, run_scope
from seqmill.runtime.errors import InputError

DATASET = {
    "windows": {"kind": "table", "files": [{"path": "t.tsv", "format": "tsv"}]},
    "targets": {"v": {"kind": "quantity", "column": "v"}},
    "split": {"kind": "folds", "k": 3, "by": "row"},
}
PUBLISHED = {"dataset": "d", "file": "p.tsv", "key_column": "id", "columns": {"v": "p"}}


def project(published=None, name="them", **model) -> Project:
    values = {
        "datasets": {"d": DATASET},
        "models": {"net": {"architecture": "dense", "dataset": "d", **model}},
        "published": {name: {**PUBLISHED, **published}} if published is not None else {},
    }
    return Project.of(values, "config.yaml")


@pytest.mark.parametrize(
    ("shifts", "message"),
    [
        ([4], r"shifts_bp \[4\] must hold 0, and no number twice"),
        ([0, 4, 4], r"shifts_bp \[0, 4, 4\] must hold 0, and no number twice"),
        (
            [0, -4],
            r"models\.net: prediction\.shifts_bp 4 needs margin_bp of dataset d to be at least as large, it is 0",
        ),
    ],
)
def test_settings_that_cannot_be(shifts, message):
    with pytest.raises(InputError, match=message):
        project(prediction={"shifts_bp": shifts})


def test_published_predictions_that_cannot_be():
    for changes, message in (
        ({"dataset": "x"}, r"published\.them: dataset 'x' is not configured; known: d"),
        ({"columns": {"w": "p"}}, r"published\.them: target 'w' is not in dataset d: v"),
        ({"columns": {}}, "columns"),
        ({"folds": ["3"]}, "them: fold '3' is none of 0, 1, 2"),
        ({"colums": {}}, "unknown key 'colums'; did you mean 'columns'"),
    ):
        with pytest.raises(InputError, match=message):
            project(changes)
    with pytest.raises(InputError, match="models, baselines and published predictions"):
        project({}, name="NET")


def test_runs_of_a_project():
    made = project({"folds": ["1"]}, training={"seeds": [3, 5]})
    assert (made.folds("them"), made.seeds("them"), made.has_ensemble("them")) == (["1"], [0], False)
    assert (made.folds("net"), made.seeds("net"), made.has_ensemble("net")) == (["0", "1", "2"], [3, 5], True)
    assert not project().has_ensemble("net")
    assert not project(training={"seeds": [3, 5]}, prediction={"ensemble": False}).has_ensemble("net")
    assert not project(training={"seeds": [3, 5]}, objective="autoencoder").has_ensemble("net")


def test_seeds_and_predictions_leave_the_training_of_a_run_as_it_is():
    first = Model(architecture="dense", dataset="d")
    more = Model.model_validate(
        {"architecture": "dense", "dataset": "d", "training": {"seeds": [0, 1]}, "prediction": {"strands": "forward"}}
    )
    assert run_scope(first) == run_scope(more)
    assert prediction_scope(first) != prediction_scope(more)
    without = more.model_copy(update={"prediction": more.prediction.model_copy(update={"ensemble": False})})
    assert prediction_scope(without) == prediction_scope(more)
