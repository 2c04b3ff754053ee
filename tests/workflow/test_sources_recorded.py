"""A sheet of every recorded file of ENCODE that can be a track: lock, dry run, and a run on stand-in bytes.

Most records are the portal's own fixtures for its tests, partly with made-up sums: nothing of this is a real pin.
"""

import hashlib
import json
import os
from collections import Counter

import pytest
from tests.portal import Portal
from tests.portal.encode import Encode
from tests.workflow.runs import leftovers, planned

from seqmill.cli import main
from seqmill.config.lock import read_lock

pytestmark = pytest.mark.workflow
FORMATS = {"bigWig": "bigwig", "bam": "bam", "bed": "bed", "hic": "hic", "fastq": "fastq"}
# Mates that are restricted or not released, and an alignment without assembly.
REFUSED = {"ENCFF001RCT", "ENCFF001RCU", "ENCFF333SBR"}


def write_project(folder, encode, sources, left_out=()):
    """Sheet and configuration of all recorded files that are released, with a file, of a format that tracks have."""
    lines, assemblies = ["track\tlocation\tformat\tassembly"], {"GRCh38"}
    for accession, record in encode.files.items():
        usable = record["status"] == "released" and not record.get("restricted") and "cloud_metadata" in record
        if usable and record["file_format"] in FORMATS and accession not in left_out:
            peaks = record.get("file_format_type") == "narrowPeak"
            assemblies.add(record.get("assembly", "GRCh38"))
            cells = (accession, accession, "narrowpeak" if peaks else FORMATS[record["file_format"]])
            lines.append("\t".join([*cells, record.get("assembly", "GRCh38")]))
    (folder / "tracks.tsv").write_text("\n".join(lines) + "\n")
    (folder / "genome.fa").write_text(">chr1\nACGT\n")
    config = {
        "genomes": {assembly: {"fasta": "genome.fa"} for assembly in sorted(assemblies)},
        "sources": sources.model_dump(mode="json", exclude_defaults=True),
        "tracks": {"sheet": "tracks.tsv"},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    return lines[1:]


def seqmill(*arguments):
    return main([*arguments, "--quiet", "--configfile", "config.yaml"])


def test_every_recorded_track(test_data, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.chdir(tmp_path)
    with Portal() as portal:
        encode = Encode(portal)
        encode.load_recorded(test_data / "metadata/ffq/ENCSR998WNE.txt")
        encode.load_fixtures(test_data / "metadata/encoded_inserts")
        sources = portal.sources(tmp_path)
        assert len(write_project(tmp_path, encode, sources)) == 181
        assert seqmill("lock") == 6
        assert "3 of 181: could not be resolved" in capsys.readouterr().err
        assert {record.getMessage().partition(":")[0] for record in caplog.records} == REFUSED
        assert not (tmp_path / "tracks.lock.tsv").exists()

        sheet = write_project(tmp_path, encode, sources, REFUSED)
        assert seqmill("lock") == 0
        rows = read_lock("tracks.lock.tsv")
        assert len(sheet) == 178 and len({row.name for row in rows}) == 178
        # both mates of a pair are in the row of each of them
        assert Counter(row.format.partition(" ")[0] for row in rows) == {
            **{"bigWig": 53, "bam": 42, "bed": 22, "hic": 6},
            "fastq": 81,
        }
        for row in rows:
            record = encode.files[row.accession]
            assert (row.bytes, row.md5, row.status) == (record["file_size"], record["md5sum"], "released")
        asked = len(portal.log)
        jobs = Counter(job.partition(" ")[0] for job in planned(tmp_path, "tracks"))
        assert jobs == {"fetch": 178, "track": 123, "genome": 7, "tracks": 1}
        assert len(portal.log) == asked, "a dry run asked the portal"

        encode.serve_stand_ins(200)
        assert seqmill("lock", "--all") == 0
        rows = read_lock("tracks.lock.tsv")
        assert seqmill("fetch") == 0
        asked = len(portal.log)
        for row in rows:
            content = (tmp_path / "results/sources" / row.name / row.file).read_bytes()
            assert content == encode.content[row.accession] and hashlib.md5(content).hexdigest() == row.md5
        assert not leftovers(tmp_path)
        os.rename(tmp_path / "results/sources", tmp_path / "before")
        some = [row.name for row in rows[::20]]
        assert seqmill("fetch", *some, "--locked") == 0
        assert len(portal.log) == asked, "a locked run asked the portal"
        for name in some:
            found = {path.name: path.read_bytes() for path in (tmp_path / "results/sources" / name).glob("ENCFF*")}
            assert found == {path.name: path.read_bytes() for path in (tmp_path / "before" / name).glob("ENCFF*")}
