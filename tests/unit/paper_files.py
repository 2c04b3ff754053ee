"""The recipes of config/papers in a folder with stand-ins for what a user has to bring."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from seqmill.config.project import Project

PAPERS = Path(__file__).parents[2] / "config/papers"
RECIPES = sorted(path.stem for path in PAPERS.glob("*.yaml"))
GENOME_BYTES = 3_100_000_000


def prepare(recipe: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Make ``folder`` the working folder of one recipe: its sheet, and files of no content for all it names."""
    shutil.copytree(PAPERS, folder / "config/papers")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEQMILL_GENOMES", str(folder / "genomes"))
    for name in ("hg19.fa", "hg38.fa"):
        stand_in(folder / "genomes" / name, GENOME_BYTES)
    file = Path(f"config/papers/{recipe}.yaml")
    for line in re.findall(r"^#     (awk .*)$", file.read_text(), flags=re.MULTILINE):
        subprocess.run(line, shell=True, check=True, env=os.environ)
    project = Project.load([file])
    sources = [path for dataset in project.config.datasets.values() for path in dataset.source_files()]
    sources += [path for genome in project.config.genomes.values() for path in genome.source_files()]
    for path in [*sources, *(track.path for track in project.tracks.values())]:
        if not path.is_absolute():
            stand_in(path, 1_000_000)
    project.check_sources()
    return project


def stand_in(path: Path, size: int) -> None:
    """A file of ``size`` bytes that takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.truncate(size)
