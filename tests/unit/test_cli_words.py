"""What the command says beside its work: JSON, silence, errors, completion."""

import json
import shutil
import subprocess
import sys

import pytest
from tests.unit.cli_world import config, write_world

from seqmill.cli import main
from seqmill.cli.completion import script
from seqmill.cli.parser import SHELLS, make_parser


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(write_world(tmp_path / "work"))
    return tmp_path / "work"


def test_json_is_one_object_and_nothing_else(folder, capsys):
    assert main(["tracks", "--json", "ctcf"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"verb": "tracks", "written": ["results/tracks/ctcf.zarr"], "built": 2, "up_to_date": 0}
    assert main(["verify", "--json", "results"]) == 0
    assert json.loads(capsys.readouterr().out) == {"whole": True, "findings": []}
    assert main(["export", "targets", "t.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"verb": "export", "written": ["t.txt"]}


def test_an_error_is_json_too_where_it_was_asked_for(folder, capsys):
    assert main(["tracks", "--json", "nope"]) == 2
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert (found["verb"], found["exit_code"]) == ("tracks", 2)
    assert found["error"].endswith("track 'nope' is not in the sheet; known: ctcf, atac")
    assert printed.err == f"ERROR {found['error']}\n"


def test_quiet_says_only_what_was_written(folder):
    command = [sys.executable, "-m", "seqmill.cli", "tracks"]
    loud = subprocess.run([*command, "ctcf"], cwd=folder, capture_output=True, text=True, check=True)
    quiet = subprocess.run([*command, "-q", "atac"], cwd=folder, capture_output=True, text=True, check=True)
    assert "track ctcf: building" in loud.stderr and loud.stderr.endswith("2 built, 0 up to date\n")
    assert (quiet.stdout, quiet.stderr) == ("results/tracks/atac.zarr\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ism"], "the command: name a map of the configuration, or --model with its other arguments"),
        (["ism", "nope"], "maps: 'nope' is not configured; known: none"),
        (["variants", "nope"], "variants: 'nope' is not configured; known: none"),
        (["ism", "nope", "--out", "x"], "the command: --out is for a map that has no name"),
        (["ism", "--model", "small"], "the command: --model needs --out too"),
        (["variants", "--model", "small", "--out", "x"], "the command: --model needs --file too"),
        (
            ["ism", "--model", "nope", "--out", "x", "--regions", "r.bed"],
            "the command: model 'nope' is not configured; known: small",
        ),
        (
            ["ism", "--model", "small", "--out", "x", "--regions", "r.bed", "--targets", "loops"],
            "the command: target 'loops' is not learned by small: bound",
        ),
        (
            ["variants", "--model", "small", "--out", "x", "--file", "v.vcf", "--min-ref-match", "2"],
            "the command:min_ref_match: Input should be less than or equal to 1",
        ),
        (
            ["ism", "--model", "small", "--out", "x", "--regions", "r.bed"],
            "results: no trained run of model small (0.0, 0.1); train it first: seqmill train small",
        ),
        (["export", "bigwig", "nope", "out"], "model 'nope' is not configured; known: small"),
    ],
)
def test_what_the_new_verbs_refuse(folder, capsys, arguments, message):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("ERROR ") and message in err and len(err.splitlines()) == 1
    assert not (folder / "results/datasets").exists()


def test_a_report_needs_something_that_is_judged(folder, capsys):
    (folder / "config/config.yaml").write_text(json.dumps(config(models={})))
    assert main(["report"]) == 2
    assert "no model, baseline or published prediction to report on" in capsys.readouterr().err


def test_every_verb_has_help_with_its_exit_codes():
    for verb, parser in make_parser()._subparsers._group_actions[0].choices.items():
        text = parser.format_help()
        assert text.startswith(f"usage: seqmill {verb}")
        assert verb == "export" or "75   a training was stopped" in text


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_know_every_verb(shell, capsys):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    for verb in make_parser()._subparsers._group_actions[0].choices:
        assert verb in text
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def completed(folder, *words: str) -> set[str]:
    """What bash offers for the last word of a command line."""
    code = script("bash") + (
        f'\nCOMP_WORDS=({" ".join(map(_quoted, words))})\nCOMP_CWORD={len(words) - 1}\nCOMP_LINE="{" ".join(words)}"\n'
        "COMP_POINT=${#COMP_LINE}\nspec=$(complete -p seqmill)\nfunction=${spec##*-F }\n"
        '${function%% *} seqmill "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {word.strip() for word in done.stdout.splitlines() if word.strip()}


def _quoted(word: str) -> str:
    return f"'{word}'"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
def test_bash_completes_verbs_options_choices_and_files(tmp_path):
    (tmp_path / "peaks.bed").touch()
    assert completed(tmp_path, "seqmill", "v") == {"verify", "variants"}
    assert completed(tmp_path, "seqmill", "completion", "") >= set(SHELLS)
    assert "--regions" in completed(tmp_path, "seqmill", "ism", "--r")
    assert completed(tmp_path, "seqmill", "ism", "--runs", "un") == {"unseen"}
    assert completed(tmp_path, "seqmill", "ism", "--regions", "pe") == {"peaks.bed"}
    assert completed(tmp_path, "seqmill", "export", "b") == {"bigwig"}
