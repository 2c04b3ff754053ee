"""Every command of docs/tutorial.md works, in its order; trainings and maps are shortened."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.workflow.output_files import unnamed_files
from tests.workflow.runs import ROOT, leftovers

from seqmill.stores.maps import MapReader
from seqmill.stores.verify import verify

pytestmark = pytest.mark.workflow
SHORT = {"models": {"cnn": {"training": {"max_epochs": 2}}}, "maps": {"motif": {"windows": 4, "picture": 2}}}
"""Laid on top of the tutorial's configuration when the workflow runs."""
SETTING_UP = ("git clone", "make -C", ". ~", "mkdir")
"""Commands that are tried elsewhere, or that the test does itself."""


def blocks() -> list[tuple[str, str]]:
    """Kind and text of each block of the tutorial, in its order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "docs/tutorial.md").read_text(), flags=re.MULTILINE | re.DOTALL)


def shortened(command: str) -> str:
    command = command.replace("~/seqmill", str(ROOT))
    if command.startswith("snakemake"):
        command += " short.yaml"
    return command


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Folder of the tutorial when all was done, and what each command printed."""
    folder, said = tmp_path_factory.mktemp("tutorial"), {}
    (folder / "short.yaml").write_text(json.dumps(SHORT))
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for kind, text in blocks():
        if kind == "yaml":
            (folder / re.match(r"# (\S+\.yaml)\n", text)[1]).write_text(text)
        for command in text.splitlines() if kind == "bash" else []:
            if not command.startswith(SETTING_UP):
                done = subprocess.run(
                    ["bash", "-o", "pipefail", "-c", shortened(command)],
                    cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
                )  # fmt: skip
                assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
                said[command] = done.stdout + done.stderr
    return folder, said


def printed(said: dict[str, str], start: str) -> str:
    return next(text for command, text in said.items() if command.startswith(start))


def test_every_kind_of_step_was_run(tutorial):
    said = tutorial[1]
    assert "2,000 sequences of 50 bp" in printed(said, "python -m seqmill.simulate.primer data")
    assert len(printed(said, "head -n 4").splitlines()) == 4
    assert re.search(r"^map +1 ", printed(said, "seqmill plan"), flags=re.MULTILINE)
    assert re.search(r"cnn is \w+ than kmer|no clear difference between cnn and kmer", printed(said, "seqmill summary"))
    assert "kmer" in printed(said, "cut -f 2,5")
    assert "CGACCGAACTCC" in printed(said, "cut -f 2 data/truth.tsv")
    assert "dataset_rows" in printed(said, "seqmill plan --configfile primer.yaml --config")


def test_the_map_is_of_test_sequences_without_a_genome(tutorial):
    folder = tutorial[0]
    reader = MapReader(folder / "results/maps/motif.zarr")
    assert (reader.n, reader.attrs["genome"]) == (4, "")
    table = pd.read_csv(folder / "data/primer.tsv", sep="\t", index_col="name")
    codes = reader.read("sequence")
    texts = ["".join("ACGT"[code] for code in row) for row in codes]
    assert texts == table.loc[reader.regions["name"], "sequence"].tolist()
    effects = reader.read("substitutions/bound")
    assert np.isfinite(effects).all() and (np.take_along_axis(effects, codes[..., None, None], axis=2) == 0).all()
    rows = pd.read_parquet(folder / "results/datasets/primer.zarr/rows/rows.parquet").set_index("name")
    assert set(rows.loc[reader.regions["name"], "fold"]) == {"0"}
    pictures = {path.name for path in (folder / "results/maps/motif.files/pictures").iterdir()}
    assert pictures == {"1.png", "2.png"}


def test_the_run_is_whole_and_its_page_shows_the_map(tutorial):
    folder = tutorial[0]
    assert verify(folder / "results") == [] and leftovers(folder) == []
    page = (folder / "results/report/index.html").read_text()
    assert "File of dataset primer: <code>primer.tsv</code> (SHA-256" in page
    assert "A planted motif" in page and "seq" in page and "Mutagenesis maps" in page


def test_every_file_is_named_in_the_description_of_the_output(tutorial):
    assert unnamed_files(tutorial[0] / "results") == []


def test_what_is_set_up_elsewhere_is_there():
    """Targets of make that the tutorial names, pictures and pages that it links."""
    text, targets = (ROOT / "docs/tutorial.md").read_text(), (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make -C ~/seqmill (\S+)", text, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", targets, flags=re.MULTILINE)
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    assert all((ROOT / "docs" / link).exists() for link in links if link)
