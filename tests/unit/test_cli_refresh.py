"""The verb refresh against a portal on this machine: its files, its exit codes, and what it leaves alone."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from tests.portal import Fault, Portal
from tests.portal.encode import Encode

from seqmill.cli import main
from seqmill.config.lock import read_lock

SHEET = "# search: type=File&status=released&assay_title=DNase-seq\ntrack\tlocation\tformat\n"
LOCK = Path("tracks.lock.tsv")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A project of three tracks (two files, one experiment) with its lock, and the portal that it was locked from."""
    with Portal() as portal:
        encode = Encode(portal)
        experiment = encode.add_experiment()
        encode.names = {
            "one": encode.add_file(assay_title="ATAC-seq"),
            "two": encode.add_file(assay_title="ATAC-seq"),
            "chosen": encode.add_file(experiment=experiment, preferred_default=True),
            "experiment": experiment,
        }
        monkeypatch.chdir(tmp_path)
        rows = [("one", encode.names["one"]), ("two", encode.names["two"]), ("three", experiment)]
        write_sheet(rows)
        Path("genome.fa").write_text(">chr1\n" + "ACGT" * 100 + "\n")
        sources = portal.sources(tmp_path).model_dump(mode="json", exclude={"lock"})
        config = {"genomes": {"GRCh38": {"fasta": "genome.fa"}}, "tracks": {"sheet": "tracks.tsv"}, "sources": sources}
        Path("config").mkdir()
        Path("config/config.yaml").write_text(json.dumps(config))
        code, _, errors = shell("lock")
        assert code == 0, errors
        yield encode


def shell(*arguments):
    """Exit code, standard output and standard error of the command."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main(list(arguments))
    return code, out.getvalue(), errors.getvalue()


def write_sheet(rows):
    lines = [f"{name}\t{'' if '/' in place else 'encode:'}{place}\tbigwig\n" for name, place in rows]
    Path("tracks.tsv").write_text(SHEET + "".join(lines))


def changelog(*arguments):
    """Exit code, JSON and Markdown of a refresh."""
    code, out, errors = shell("refresh", "--json", *arguments)
    assert out, errors
    return code, json.loads(out), Path("results/refresh/changelog.md").read_text()


def test_nothing_changed(lab):
    lock = LOCK.read_bytes()
    lab.portal.clear()
    code, found, text = changelog("--apply")
    assert code == 0 and found["counts"] == {} and not found["applied"]
    assert "3 tracks and files compared: nothing changed." in text
    assert json.loads(Path("results/refresh/changelog.json").read_text()) == found
    assert LOCK.read_bytes() == lock
    # one request a file, two for the experiment (its redirect), one search
    assert len(lab.portal.seen("/encode/")) == 5


def test_without_apply_only_the_changelog_is_written(lab):
    lab.change(lab.names["one"], biosample_ontology={"term_name": "K562"})
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and "cache" not in path.parts}
    code, found, _ = changelog("--no-dry-run")
    assert code == 10 and found["counts"] == {"metadata": 1} and not found["applied"]
    after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and "cache" not in path.parts}
    assert {str(path) for path in after.keys() - before.keys()} == {
        "results/refresh/changelog.md",
        "results/refresh/changelog.json",
    }
    assert {path: after[path] for path in before} == before


def test_what_is_applied_and_what_waits(lab):
    names = lab.names
    lab.change(names["one"], status="revoked", revoke_detail="wrong sample")
    lab.replace(names["two"], heir := lab.add_file(assay_title="ATAC-seq"))
    lab.change(names["chosen"], status="archived", preferred_default=False)
    choice = lab.add_file(experiment=names["experiment"], preferred_default=True, size=3000)
    code, found, text = changelog("--no-dry-run", "--apply")
    assert code == 10 and found["counts"] == {"revoked": 1, "replaced": 2} and found["applied"]
    by_name = {change["name"]: change for change in found["changes"]}
    assert "(reason: wrong sample)" in by_name["one"]["text"]
    assert by_name["one"]["decision"] == f"{names['one']} is revoked: ask for another file (tracks.tsv)"
    assert f"--accept '{'two'}'" in by_name["two"]["decision"] and heir in by_name["two"]["decision"]
    assert by_name["three"]["decision"] == ""
    assert f"{names['chosen']} by {choice} ({names['chosen']} is still offered" in by_name["three"]["text"]
    assert found["cost"]["bytes"] == 3000 and found["cost"]["files"] == 1
    assert "## To decide" in text and "- download: 1 file, 3.0 kB" in text
    held = {row.name: row.accession for row in read_lock(LOCK)}
    assert held == {"one": names["one"], "two": names["two"], "three": choice}

    code, found, _ = changelog("--no-dry-run", "--apply", "--accept", "two")
    assert code == 10 and {row.name: row.accession for row in read_lock(LOCK)}["two"] == heir
    code, found, _ = changelog("--no-dry-run")
    assert found["counts"] == {"revoked": 1}  # it stays until the sheet changes


def test_accept_of_a_revoked_file_is_refused_and_writes_nothing(lab):
    lab.change(lab.names["one"], status="revoked")
    lock = LOCK.read_bytes()
    code, _, errors = shell("refresh", "--no-dry-run", "--apply", "--accept", "one")
    assert code == 2 and "--accept: one: there is nothing to put in its place" in errors
    assert LOCK.read_bytes() == lock and not Path("results/refresh").exists()


def test_a_portal_in_trouble_is_6_and_the_rest_is_told(lab):
    lab.change(lab.names["two"], status="revoked")
    lab.portal.fault(lab.names["one"], Fault(status=500))
    code, found, text = changelog("--no-dry-run")
    assert code == 6 and found["counts"] == {"revoked": 1, "unreachable": 1}
    assert "## Not asked: a host did not answer as it should" in text


def test_found_experiments_until_they_are_not_wanted(lab):
    experiment = lab.add_experiment(target={"label": "CTCF"})
    file = lab.add_file(experiment=experiment)
    code, found, _ = changelog()
    assert code == 10 and found["counts"] == {"found": 1}
    (change,) = found["changes"]
    assert change["name"] == "tracks.tsv:1" and change["new"] == [file]
    assert change["text"] == (
        f"{experiment} (stand-in, CTCF, DNase-seq): {file} (bigWig, read-depth normalized signal, GRCh38, 1.0 kB)"
    )
    assert changelog("--no-searches")[0] == 0
    Path("tracks.tsv").write_text(f"# not wanted: {experiment} (too shallow)\n" + Path("tracks.tsv").read_text())
    assert changelog()[0] == 0


def test_a_search_that_is_none_is_said(lab):
    text = Path("tracks.tsv").read_text()
    Path("tracks.tsv").write_text(text.replace("type=File", "type=Gene"))
    code, found, _ = changelog()
    assert code == 10 and found["changes"][0]["decision"] == "change the search"


def test_changed_sheet(lab):
    write_sheet([("one", lab.names["one"]), ("new", lab.names["two"])])
    code, found, _ = changelog("--no-dry-run", "--apply", "--no-searches")
    assert code == 10 and found["counts"] == {"new": 1, "gone": 2}
    assert found["cost"]["bytes"] == 0  # the bytes of 'two' are pinned already
    assert sorted(row.name for row in read_lock(LOCK)) == ["new", "one"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--locked"], "no host may be asked (sources.locked, --locked or SEQMILL_LOCKED)"),
        (["--accept", "nine", "--no-dry-run"], "'nine' is no track and no remote file of the configuration"),
        (["--snakefile", "nowhere"], "nowhere: does not exist or is not a file"),
    ],
)
def test_refusals(lab, arguments, message):
    code, _, errors = shell("refresh", *arguments)
    assert code == 2 and message in errors


def test_no_lock_yet(lab):
    LOCK.unlink()
    code, _, errors = shell("refresh")
    assert code == 2 and "there is no lock to compare with; write it with 'seqmill lock'" in errors


def test_a_pinned_address_is_not_read_again(lab, tmp_path):
    url = lab.portal.add("/ucsc/a.bigWig", b"\x26\xfc\x8f\x88" + bytes(5000))
    write_sheet([("one", lab.names["one"]), ("plain", url)])
    assert shell("lock")[0] == 0
    assert {row.name: row.bytes for row in read_lock(LOCK)}["plain"] == 5004
    lab.portal.clear()
    assert changelog("--no-searches")[0] == 0
    asked = lab.portal.seen("/ucsc/")
    assert len(asked) == 1 and asked[0].headers["if-none-match"]
    lab.portal.add("/ucsc/a.bigWig", b"\x26\xfc\x8f\x88" + bytes(6000))
    code, found, _ = changelog("--no-searches", "--no-dry-run", "--apply")
    assert code == 10 and found["counts"] == {"checksum": 1} and not found["applied"]
    changelog("--no-searches", "--no-dry-run", "--apply", "--accept", "plain")
    assert {row.name: row.bytes for row in read_lock(LOCK)}["plain"] == 6004
