"""Networks are checked before any data are read."""

import json
import subprocess
import sys

import pytest

from seqmill.config.models import Model
from seqmill.runtime.errors import InputError
from seqmill.training.check import check_model

BAD = {
    "architecture": (
        {"architecture": "bassett"},
        r"models.net: architecture: 'bassett' is unknown; known: autoencoder",
    ),
    "setting": (
        {"settings": {"filtres": [3]}},
        r"models.net: settings of basset: unknown key 'filtres'; did you mean 'filters'",
    ),
    "optimiser": (
        {"training": {"optimizer": {"name": "adma"}}},
        r"models.net: training.optimizer: 'adma' is no optimiser of optax",
    ),
    "own file": ({"architecture": "nowhere.py:Net"}, r"models.net: nowhere.py: no such Python file"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_named(case):
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message):
        check_model("net", Model(**{"architecture": "basset", "dataset": "d", **changes}))


def test_as_a_process():
    text = json.dumps({"models": {"net": {"architecture": "basset", "dataset": "d"}}})
    command = [sys.executable, "-m", "seqmill.training.check"]
    assert subprocess.run(command, input=text, text=True).returncode == 0
    done = subprocess.run(command, input=text.replace('"basset"', '"bassett"'), text=True, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith("models.net: architecture: 'bassett' is unknown")
    models = {"net": {"architecture": "basset", "dataset": "d"}}
    search = {"model": "net", "space": {"settings.filters": {"choices": [[8, 8, 8], "many"]}}}
    done = subprocess.run(
        command, input=json.dumps({"models": models, "searches": {"wide": search}}), text=True, capture_output=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("searches.wide: settings of basset")
