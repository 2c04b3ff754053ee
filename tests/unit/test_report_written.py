"""What the report is told of sources is what was written, not what environment variables hold."""

import re
from pathlib import Path

from seqmill.config.project import Project
from seqmill.config.scope import genome_scope, track_scope
from seqmill.config.written import packed, unpacked, written_sources


def project(tmp_path: Path, monkeypatch) -> Project:
    monkeypatch.setenv("SECRET_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("tracks.tsv").write_text("track\tlocation\tlicence\ndnase\t${SECRET_ROOT}/d.bed\tCC BY 4.0\n")
    values = {
        "genomes": {"toy": {"fasta": "${SECRET_ROOT}/toy.fa", "licence": "public domain"}},
        "tracks": {"sheet": "tracks.tsv"},
        "datasets": {
            "peaks": {
                "genomes": ["toy"],
                "windows": {"kind": "peaks", "window_bp": 100, "tracks": "all"},
                "targets": {"bound": {"kind": "binary", "tracks": "all"}},
                "split": {"kind": "chromosomes", "test": ["chr2"], "valid": ["chr3"]},
            }
        },
        "published": {
            "theirs": {
                "dataset": "peaks", "file": "${SECRET_ROOT}/p.tsv", "key_column": "name", "columns": {"bound": "p"},
                "source": "A paper, table S1",
            }
        },
    }  # fmt: skip
    return Project.of(values, "config.yaml")


def test_paths_stay_as_written(tmp_path, monkeypatch):
    found = written_sources(project(tmp_path, monkeypatch))
    assert found == {
        "genomes": {"toy": {"file": "${SECRET_ROOT}/toy.fa", "licence": "public domain"}},
        "tracks": {"dnase": {"file": "${SECRET_ROOT}/d.bed", "licence": "CC BY 4.0", "description": ""}},
        "published": {"theirs": {"file": "${SECRET_ROOT}/p.tsv", "dataset": "peaks", "source": "A paper, table S1"}},
        "maps": {},
        "variants": {},
        "fetched": {},
        "reads": {},
    }
    assert str(tmp_path) not in str(found)


def test_a_licence_leaves_the_stores_as_they_are(tmp_path, monkeypatch):
    made = project(tmp_path, monkeypatch)
    assert genome_scope(made.config.genomes["toy"]).licence == ""
    assert track_scope(made.tracks["dnase"]).licence == ""


def test_packed_text_means_nothing_to_html_and_comes_back():
    value = {"title": "</script><script>x</script>", "ü": [1, None, "\u2028"]}
    text = packed(value)
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", text)
    assert unpacked(text) == value
