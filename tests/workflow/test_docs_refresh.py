"""The page about the monthly refresh: its commands, as they stand there, in a lab beside a portal on this machine."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.portal import Portal
from tests.portal.encode import Encode
from tests.workflow.runs import ROOT

from seqmill.config.lock import read_lock

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
TRACKS = 20
PAGE = (ROOT / "docs" / "refresh.md").read_text()
# Their own tests run them: test_profiles_refresh.py; benchmarks/bench_refresh.py runs Snakemake after a refresh.
ELSEWHERE = ("mkdir ", "cp ", "systemctl ", "loginctl ", "# ", "snakemake -s ~/seqmill/Snakefile --cores 8\n")


def commands():
    lines = [line.strip() + "\n" for line in re.findall(r"^    (\S.*)$", PAGE, flags=re.MULTILINE)]
    return [line.strip() for line in lines if not line.startswith(ELSEWHERE)]


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    """Exit codes and output of each command of the page, and the lab's folder after the last."""
    home = tmp_path_factory.mktemp("home")
    lab = home / "lab"
    (lab / "config").mkdir(parents=True)
    (home / "seqmill").symlink_to(ROOT)
    (home / ".gitconfig").write_text("[user]\nname = lab\nemail = lab@host.invalid\n")
    with Portal() as portal:
        encode = Encode(portal)
        files = {f"t{number:03d}": encode.add_file(assay_title="ATAC-seq") for number in range(TRACKS - 1)}
        files["K562_ctcf"] = encode.add_file(assay_title="TF ChIP-seq")
        rows = "".join(f"{name}\tencode:{file}\tbigwig\n" for name, file in files.items())
        (lab / "tracks.tsv").write_text("# search: type=File&assay_title=DNase-seq\ntrack\tlocation\tformat\n" + rows)
        (lab / "genome.fa").write_text(">chr1\n" + "ACGT" * 1000 + "\n")
        config = {
            "genomes": {"GRCh38": {"fasta": "genome.fa"}},
            "tracks": {"sheet": "tracks.tsv"},
            "sources": portal.sources(home).model_dump(mode="json", exclude={"lock"}),
        }
        (lab / "config" / "config.yaml").write_text(json.dumps(config))
        (lab / ".gitignore").write_text("results/\nlogs/\n.snakemake/\n.*.lock\n")
        env = {**os.environ, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

        def run(command):
            return subprocess.run(
                ["bash", "-c", command], cwd=lab, env=env, capture_output=True, text=True, timeout=300
            )

        first = run(
            "seqmill lock && seqmill fetch && git init --quiet && git add --all && git commit --quiet --message first"
        )
        assert first.returncode == 0, first.stderr
        encode.replace(files["K562_ctcf"], heir := encode.add_file(assay_title="TF ChIP-seq", size=2000))
        encode.change(files["t003"], status="revoked", revoke_detail="wrong sample")
        encode.change(files["t004"], biosample_ontology={"term_name": "K562"})
        done = {command: run(command) for command in commands()}
        yield done, lab, heir


def test_the_page_has_the_commands_of_a_month():
    assert commands() == [
        "seqmill refresh",
        "seqmill refresh --accept K562_ctcf",
        "seqmill refresh --apply --accept K562_ctcf",
        "git diff --stat",
        'git commit --quiet --all --message "Refresh"',
        "snakemake -s ~/seqmill/Snakefile --cores 8 --dry-run",
        "seqmill fetch",
        "seqmill fetch --locked",
    ]


def test_each_command_ends_as_the_page_says(month):
    for command, done in month[0].items():
        expected = 10 if command.startswith("seqmill refresh") else 0
        assert done.returncode == expected, f"{command}\n{done.stderr}"


def test_what_is_shown_and_what_is_written(month):
    done, lab, heir = month
    plain, accepted = done["seqmill refresh"].stdout, done["seqmill refresh --accept K562_ctcf"].stdout
    assert "20 tracks and files compared: 1 revoked, 1 replaced, 1 metadata." in plain
    assert "- download: 0 files, 0 B" in plain and "- download: 1 file, 2.0 kB" in accepted
    assert "(reason: wrong sample)" in plain and "biosample: stand-in → K562" in plain
    assert "tracks.lock.tsv | 4 ++--" in done["git diff --stat"].stdout
    assert {row.name: row.accession for row in read_lock(lab / "tracks.lock.tsv")}["K562_ctcf"] == heir
    assert "fetch" in done["snakemake -s ~/seqmill/Snakefile --cores 8 --dry-run"].stdout
