"""Samples of methylation calls: which files belong together, what is measured, and what becomes of poor ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from seqmill.cli import main
from seqmill.config.call_samples import call_samples, quality_place
from seqmill.config.sheet import Track
from seqmill.stores.track import TrackReader

SIZE = 4000


def row(name: str, location: str, **more: str) -> Track:
    return Track(track=name, location=location, format="bismark", assembly="g", **more)


def test_replicates_are_rows_of_one_biosample_with_other_files():
    rows = [
        row("a1", "a1.cov", assay="WGBS", biosample="liver"),
        row("a1_total", "a1.cov", assay="WGBS", biosample="liver", calls="total"),
        row("a2", "a2.cov", assay="WGBS", biosample="liver"),
        row("b", "b.cov", assay="WGBS", biosample="heart"),
        row("c", "c.cov"),
        row("d", "d.cov"),
    ]
    samples = call_samples({track.track: track for track in rows})
    names = {name: [track.track for track in tracks] for name, tracks in samples.items()}
    assert names == {"a1": ["a1", "a2"], "b": ["b"], "c": ["c"], "d": ["d"]}
    assert [quality_place(track, samples) for track in rows] == ["a1", "a1", "a1", "b", "c", "d"]
    assert quality_place(Track(track="x", location="x.bw", format="bigwig"), samples) is None


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A genome of CpGs every 20 bp, two replicates with 30 and 3 reads at each, and a spike-in."""
    monkeypatch.chdir(tmp_path)
    Path("g.fa").write_text(f">c\n{('CG' + 'A' * 18) * (SIZE // 20)}\n")
    for name, reads in (("deep", 30), ("thin", 3)):
        half = reads // 3
        lines = [
            f"c\t{at + 1}\t{at + 1}\t{100 * half / reads:.4f}\t{half}\t{reads - half}" for at in range(0, SIZE, 20)
        ]
        lines += [f"lambda\t{at}\t{at}\t1.0\t1\t99" for at in range(1, 51, 2)]
        Path(f"{name}.cov").write_text("\n".join(lines) + "\n")
    Path("tracks.tsv").write_text(
        "track\tlocation\tformat\tassay\nr1\tdeep.cov\tbismark\tWGBS\nr2\tthin.cov\tbismark\tWGBS\n"
    )
    config = {
        "genomes": {"g": {"fasta": "g.fa"}},
        "tracks": {"sheet": "tracks.tsv", "bin_bp": 20},
        "reads": {"on_poor_quality": "mask"},
    }
    Path("config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_depth_and_conversion_are_measured_and_thin_calls_masked(project, capsys):
    assert main(["tracks", "--configfile", "config.yaml"]) == 0
    table = {}
    for name in ("r1", "r2"):
        metrics = json.loads(Path(f"results/quality/{name}/metrics.json").read_text())
        table[name] = {one["metric"]: one["value"] for one in metrics["rows"]}
        assert table[name]["bisulfite_conversion"] == pytest.approx(0.99)
        assert table[name]["cpg_covered"] == 1.0
    assert (table["r1"]["coverage_depth"], table["r2"]["coverage_depth"]) == (30, 3)
    deep, thin = (TrackReader(f"results/tracks/{name}.zarr") for name in ("r1", "r2"))
    assert deep.state == "ok"
    np.testing.assert_allclose(deep.bins("c", 0, 5), 1 / 3, rtol=1e-6)
    assert thin.state == "masked"
    assert "coverage of CpGs is 3×" in thin.attrs["reason"]
    assert main(["quality", "--configfile", "config.yaml"]) == 0
    assert "r2" in Path("results/quality-table/quality.tsv").read_text()


def test_a_sample_may_not_have_the_name_of_an_experiment(project, capsys):
    Path("r1.bam").write_text("x")
    Path("reads.tsv").write_text("experiment\tlocation\tassay\nr1\tr1.bam\tATAC-seq\n")
    code = main(["quality", "--configfile", "config.yaml", "--config", "reads.sheet=reads.tsv"])
    assert code == 2
    assert "track 'r1' of methylation calls has the name of an experiment" in capsys.readouterr().err
