"""Where the programs come from that are not Python packages: Debian, conda, a container; all three name them all."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from seqmill.reads.programs import PROGRAMS

ENVS = Path(__file__).parents[2] / "envs"
# One macs is enough.
NEEDED = [program for program in PROGRAMS.values() if program.name != "macs3"]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_conda_environment_has_every_program_new_enough():
    lines = yaml.safe_load((ENVS / "reads.yaml").read_text())["dependencies"]
    asked = dict(re.fullmatch(r"(\S+) >=([\d.]+)", line).groups() for line in lines)
    assert set(asked) == {program.conda for program in NEEDED}
    for program in NEEDED:
        assert numbers(asked[program.conda]) >= program.minimum


def test_the_container_has_every_program():
    text = (ENVS / "Containerfile").read_text()
    installed = re.search(r"apt-get install (.*?)&&", text, flags=re.DOTALL).group(1).split()
    assert {program.package for program in NEEDED} <= set(installed)
    copied = re.findall(r"^COPY (.*) \S+$", text, flags=re.MULTILINE)
    assert all((ENVS.parent / name).exists() for line in copied for name in line.split())


@pytest.fixture
def system(tmp_path):
    """Run envs/system.sh where only the given programs are; its exit status and what it said."""

    def run(*arguments: str, **programs: str) -> tuple[int, str]:
        for name, text in programs.items():
            path = tmp_path / name.replace("_", "-")
            path.write_text(f"#!{shutil.which('bash')}\n{text}\n")
            path.chmod(0o755)
        done = subprocess.run(
            [shutil.which("bash"), ENVS / "system.sh", *arguments],
            env={**os.environ, "PATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_nothing_is_installed_where_all_is_there(system):
    assert system("bwa", "macs2=macs", bwa="", macs2="", conda="echo called") == (0, "")


def test_conda_gets_its_own_names(system):
    code, said = system("bwa", "macs2=macs", "fasterq-dump=sra-toolkit", "samtools", samtools="", conda='echo "$@"')
    assert code == 0
    assert said.splitlines()[-1] == "install -y -q -c conda-forge -c bioconda bwa macs2 sra-tools"


def test_apt_comes_first(system):
    code, said = system("macs2=macs", apt_get='echo "$@" >&2', id="echo 0", conda="echo conda")
    assert (code, said.splitlines()) == (
        0,
        ["set-up: installing macs", "update -qq", "install -y -qq --no-install-recommends macs"],
    )


def test_what_to_type_where_nothing_can_be_installed(system):
    code, said = system("bwa", "macs2=macs")
    assert code == 1
    assert said.splitlines()[-1] == (
        "set-up: not installed. Please run: apt-get install bwa macs   (or: conda install -c bioconda bwa macs2)"
    )
