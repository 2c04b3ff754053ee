"""The scheduled forms of a refresh: what they may do, and that their commands work."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PROFILES = Path(__file__).parents[2] / "profiles" / "refresh"
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
WORKFLOW = yaml.safe_load((PROFILES / "github.yml").read_text())
STEPS = {step["name"]: step for step in WORKFLOW["jobs"]["refresh"]["steps"]}


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def script(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + content)
    path.chmod(0o755)


def test_github_uses_nobodys_action_and_few_rights():
    assert WORKFLOW["permissions"] == {}
    (job,) = WORKFLOW["jobs"].values()
    assert job["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert all("uses" not in step for step in job["steps"])
    assert [name for name, step in STEPS.items() if "GH_TOKEN" in step.get("env", {})] == ["Project", "Pull request"]
    for step in job["steps"]:
        assert "${{" not in step["run"], "values come by the environment, so that none of them is run"


@pytest.fixture
def runner(tmp_path):
    """A runner with a project beside its remote, a command that plays seqmill, and one that plays gh."""
    remote, project = tmp_path / "remote.git", tmp_path / "project"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    git(tmp_path, "clone", "--quiet", str(remote), str(project))
    (project / "tracks.lock.tsv").write_text("old\n")
    (project / ".gitignore").write_text("results/\n")
    git(project, "switch", "--quiet", "--create", "main")
    git(project, "add", "--all")
    git(project, "-c", "user.name=a", "-c", "user.email=a@b.invalid", "commit", "--quiet", "--message", "first")
    git(project, "push", "--quiet", "origin", "main")
    play = 'mkdir -p refresh; echo "# Refresh" > "$5"; echo {} > refresh/changelog.json\n'
    play += '[ "$PLAYED" != 10 ] || echo new > tracks.lock.tsv\necho "$*" > ../asked.txt; exit $PLAYED\n'
    script(tmp_path, "seqmill/.venv/bin/seqmill", play)
    script(tmp_path, "bin/gh", f'echo "$*" >> {tmp_path}/gh.txt\n[ "$2" != list ] || cat {tmp_path}/open.txt\n')
    (tmp_path / "open.txt").write_text("")
    return tmp_path


def step(runner, name, **more):
    """Run one step as a runner of GitHub does; returns its exit code."""
    env = {
        **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
        **GIT,
        "PATH": f"{runner}/bin:{os.environ['PATH']}",
        "CHANGELOG": WORKFLOW["jobs"]["refresh"]["env"]["CHANGELOG"],
        "GITHUB_STEP_SUMMARY": str(runner / "summary.md"),
        "GITHUB_OUTPUT": str(runner / "output.txt"),
        "GITHUB_REF_NAME": "main",
        "RUNNER_TEMP": str(runner),
        **more,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
    return subprocess.run(command, cwd=runner / STEPS[name].get("working-directory", ""), env=env).returncode


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
@pytest.mark.parametrize(("played", "code"), [(0, 0), (10, 0), (6, 1), (2, 1)])
def test_github_refresh_step(runner, played, code):
    assert step(runner, "Refresh", PLAYED=str(played)) == code
    assert (runner / "output.txt").read_text() == f"code={played}\n"
    assert (runner / "summary.md").read_text() == "# Refresh\n"
    assert (runner / "asked.txt").read_text() == "refresh --apply --no-dry-run --out refresh/changelog.md\n"


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_github_opens_one_pull_request_and_keeps_it(runner):
    step(runner, "Refresh", PLAYED="10")
    assert step(runner, "Pull request") == 0
    changed = git(runner / "remote.git", "diff", "--name-only", "main", "seqmill-refresh").split()
    assert changed == ["refresh/changelog.md", "tracks.lock.tsv"]
    assert (runner / "gh.txt").read_text().splitlines()[-1].startswith("pr create --head seqmill-refresh --base main")
    assert (runner / "body.md").read_text() == "# Refresh\n"
    # a month later the pull request is still open
    git(runner / "project", "switch", "--quiet", "main")
    git(runner / "project", "branch", "--quiet", "-D", "seqmill-refresh")
    step(runner, "Refresh", PLAYED="10")
    (runner / "open.txt").write_text("7\n")
    assert step(runner, "Pull request") == 0
    assert (runner / "gh.txt").read_text().splitlines()[-1].startswith("pr edit 7 --title Refresh of the lock, 20")


def test_github_asks_for_a_whole_commit(runner):
    assert step(runner, "seqmill", COMMIT="main", ADDRESS="https://host.invalid/x") == 2


@pytest.mark.parametrize(("played", "mail"), [(0, ""), (10, "# Refresh\n"), (6, "# Refresh\n")])
def test_cron_prints_only_what_is_to_be_read(tmp_path, played, mail):
    line = (PROFILES / "crontab").read_text().splitlines()[-1]
    assert re.match(r"\d+ \d+ 1 \* \* ", line) and "%" not in line  # cron reads % as the end of the line
    script(tmp_path, ".venv/bin/seqmill", f'[ "$*" = "refresh --quiet" ] || exit 1\necho "# Refresh"; exit {played}\n')
    command = line.split(maxsplit=5)[5].replace("/data/atlas", str(tmp_path))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (mail, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_reads_the_units(tmp_path):
    for kind in ("service", "timer"):
        shutil.copy(PROFILES / f"seqmill-refresh@.{kind}", tmp_path / f"seqmill-refresh@data-atlas.{kind}")
    units = sorted(str(path) for path in tmp_path.iterdir())
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "seqmill" in line]
    assert said == [], done.stderr


def test_systemd_takes_changes_for_success():
    text = (PROFILES / "seqmill-refresh@.service").read_text()
    assert "SuccessExitStatus=10\n" in text and "RestartPreventExitStatus=1 2 3 4 5\n" in text
