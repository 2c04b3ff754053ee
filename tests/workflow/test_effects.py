"""Maps, variants and exports: made once, after a kill too; a change re-makes what follows from it; both ways agree."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.unit.cli_world import config, write_world
from tests.unit.map_page_examples import data_of
from tests.workflow.output_files import unnamed_files
from tests.workflow.runs import ROOT, leftovers, planned, succeed

from seqmill.formats.motifs import Motif, meme_text
from seqmill.runtime.marker import read_marker
from seqmill.stores.maps import MapReader
from seqmill.stores.motifs import MotifsReader
from seqmill.stores.variants import VariantsReader
from seqmill.stores.verify import verify

pytestmark = pytest.mark.workflow
CONFIG = ("config/config.yaml",)


def settings(**over) -> dict:
    values = config()
    values["models"]["small"]["training"]["seeds"] = [0]
    page = {"regions": 5, "tracks": ["ctcf", "atac"], "genes": "data/genes.gtf", "variants": ["mine"]}
    long = {"model": "small", "regions": "data/long.bed", "tile_bp": 64, "parts": 3, "picture": 0, "page": page}
    long["exports"] = ["bedgraph", "positions"]
    values["maps"] = {"long": long}
    values["maps"] |= {"sites": {"model": "small", "windows": 3, "edits": ["substitutions", "deletions"], "picture": 1}}
    values["variants"] = {"mine": {"model": "small", "file": "data/mine.vcf"}}
    values["variants"]["beside"] = {
        "model": "small", "file": "data/phased.vcf", "effects": ["diff", "active_allele_quantile"],
        "standard_deviation": True, "haplotypes": "blocks",
        "background": {"file": "data/common.vcf", "min_stratum": 20},
    }  # fmt: skip
    marginal = {"motifs": ["box"], "backgrounds": 10}
    values["motifs"] = {"alone": {"model": "small", "database": "data/known.meme", "marginal": marginal}}
    return {**values, **over}


def write_variants(folder: Path) -> None:
    """One variant in twenty bases of the test contig, one in the training contig, one whose REF is wrong."""
    contigs = dict(block.split("\n")[:2] for block in (folder / "data/toy.fa").read_text().split(">")[1:])
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    places = [("chr1", 1050)] + [("chr3", position) for position in range(1000, 5000, 20)]
    for contig, position in places:
        ref = contigs[contig][position - 1]
        lines.append(f"{contig}\t{position}\t.\t{ref}\t{'ACGT'['CGTA'.index(ref)]}\t.\t.\t.")
    wrong = "ACGT"["CGTA".index(contigs["chr3"][5000])]
    lines.append(f"chr3\t5001\t.\t{wrong}\t{contigs['chr3'][5000]}\t.\t.\t.")
    (folder / "data/mine.vcf").write_text("\n".join(lines) + "\n")
    (folder / "data/common.vcf").write_text("\n".join(lines) + "\n")
    phased = [lines[0], lines[1] + "\tFORMAT\ta"]
    for position in (2001, 2006, 3001, 3008):
        ref = contigs["chr3"][position - 1]
        phased.append(f"chr3\t{position}\t.\t{ref}\t{'ACGT'['CGTA'.index(ref)]}\t.\t.\tAF=0.2\tGT\t0|1")
    (folder / "data/phased.vcf").write_text("\n".join(phased) + "\n")
    (folder / "data/known.meme").write_text(meme_text([Motif("M1", "BOX", np.eye(4)[[1, 0, 1, 2, 3, 2]])]))
    (folder / "data/long.bed").write_text("chr3\t2000\t2300\tlong\nchr3\t2250\t2500\tmore\n")
    exon = 'toy\texon\t1501\t3000\t.\t+\t.\tgene_id "g1"; transcript_id "t1"; gene_name "LONG";'
    (folder / "data/genes.gtf").write_text(f"chr3\t{exon}\n")


def killed_in(folder: Path, words: str) -> None:
    """Start the workflow and kill all of it as soon as its output holds ``words``."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1"]
    log = folder / "killed.log"
    with open(log, "w") as handle:
        run = subprocess.Popen(
            [*command, "--configfile", *CONFIG], cwd=folder, stdout=handle, stderr=handle, start_new_session=True
        )
        while words not in log.read_text():
            assert run.poll() is None, log.read_text()[-3000:]
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A finished run that was killed while it made the map."""
    folder = write_world(tmp_path_factory.mktemp("effects") / "work", **settings())
    write_variants(folder)
    killed_in(folder, "rule map (map=sites)")
    assert not (folder / "results/maps/sites.zarr/marker.json").exists()
    succeed(folder, config=CONFIG)
    return folder


def seqmill(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, "-m", "seqmill.cli", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def test_all_is_there_and_whole_and_nothing_is_left_to_do(world):
    results = world / "results"
    nouns = {str(marker.parent.relative_to(results)) for marker in results.rglob("marker.json")}
    assert nouns > {"maps/sites.zarr", "maps/sites.files", "motifs/alone", "variants/mine"}
    assert verify(results) == []
    assert leftovers(world) == []
    assert not (results / "variants/.mine.resume").exists()
    assert "Nothing to be done" in succeed(world, "--dry-run", config=CONFIG)
    page = (results / "report/index.html").read_text()
    assert "sites" in page and "mine" in page and 'id="motifs"' in page
    assert list(MotifsReader(results / "motifs/alone").table("marginal")["motif"]) == ["box", "box"]


def test_every_file_is_named_in_the_description_of_the_output(world):
    assert unnamed_files(world / "results") == []


def test_a_map_of_several_jobs_is_that_of_one(world):
    """Three jobs made tiles of a long region; the command makes the same in one process."""
    whole = world / "results/maps/long.zarr"
    assert not (world / "results/maps/long.parts").exists()
    rows = MapReader(whole).regions
    assert [(row.start, row.end) for row in rows.itertuples()] == [
        (at, min(at + 64, 2500)) for at in range(2000, 2500, 64)
    ]
    seqmill(
        world, "ism", "--model", "small", "--regions", "data/long.bed", "--tile-bp", "64", "--out", "own/long", "-q"
    )
    one, other = (MapReader(path) for path in (whole, world / "own/long/map.zarr"))
    np.testing.assert_array_equal(one.read("substitutions/bound"), other.read("substitutions/bound"))


def test_variants_stand_beside_a_background_and_together(world):
    reader = VariantsReader(world / "results/variants/beside")
    found = pd.concat(reader.table())
    assert reader.attrs["background"]["n"] == 200 and (found["background_n"] >= 20).all()
    names = [name for name in reader.columns if name.endswith(("diff_p", "active_allele_quantile_percentile"))]
    assert names and found[names].notna().all(axis=None)
    assert reader.haplotypes()["n_variants"].tolist() == [2, 2]
    assert "interactions" in (world / "results/report/index.html").read_text()


def test_the_page_of_a_map_holds_tracks_genes_and_scored_variants(world):
    data = data_of(world / "results/maps/long.page/index.html")
    assert len(data["regions"]) == 5 and data["tracks"] == ["bound: ctcf"]
    scores = pd.concat(VariantsReader(world / "results/variants/mine").table()).set_index("position_1based")
    for region in data["regions"]:
        assert [lane["name"] for lane in region["signals"]] == ["ctcf", "atac"]
        assert [gene["name"] for gene in region["genes"]] == ["LONG"]
        assert [v["start"] for v in region["variants"]] == [
            at for at in range(region["start"], region["start"] + len(region["sequence"])) if at % 20 == 19
        ]
        for variant in region["variants"]:
            expected = scores.loc[variant["start"] + 1, "bound|ctcf|score"]
            assert variant["scores"][0] == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_places_are_scored_by_runs_that_never_saw_them(world):
    assert set(MapReader(world / "results/maps/sites.zarr").regions["contig"]) == {"chr3"}
    scores = pd.concat(VariantsReader(world / "results/variants/mine").table())
    assert len(scores[scores["status"] == "ok"]) == 200
    assert set(scores.loc[scores["contig"] == "chr1", "status"]) == {"seen"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"maps": {"sites": {"picture": 2}}}, ["map_files map=sites"]),
        ({"maps": {"sites": {"edits": ["deletions"]}}}, ["map map=sites", "map_files map=sites", "report"]),
        ({"maps": {"long": {"page": {"regions": 4}}}}, ["map_page map=long"]),
        ({"variants": {"mine": {"effects": ["diff"]}}}, ["map_page map=long", "report", "variants set=mine"]),
        ({"motifs": {"alone": {"seed": 1}}}, ["motifs motifs=alone", "report"]),
        ({"report": {"title": "Another"}}, ["report"]),
    ],
)
def test_a_change_re_makes_what_follows_from_it(world, change, expected):
    (world / "change.yaml").write_text(json.dumps(change))
    assert planned(world, config=(*CONFIG, "change.yaml")) == expected


def test_an_exchanged_file_of_variants_is_scored_again(world):
    file = world / "data/mine.vcf"
    text, stat = file.read_text(), file.stat()
    try:
        file.write_text(text.replace("\t.\t.\t.\n", "\tx\t.\t.\n", 1))
        os.utime(file, (1_000_000_000, 1_000_000_000))
        assert planned(world, config=CONFIG) == ["map_page map=long", "report", "variants set=mine"]
    finally:
        file.write_text(text)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_the_command_takes_what_the_workflow_made(world):
    before = (world / "results/report/index.html").read_text()
    done = seqmill(world, "report", "--json", "--out", "own/page.html")
    found = json.loads(done.stdout)
    assert (found["written"], found["built"]) == (["own/page.html"], 0)
    assert len((world / "own/page.html").read_text()) == pytest.approx(len(before), rel=0.1)
    for verb, name in (("ism", "sites"), ("ism", "long"), ("variants", "mine")):
        assert json.loads(seqmill(world, verb, name, "--json", "-q").stdout)["built"] == 0


def test_maps_and_scores_that_the_configuration_does_not_name_agree_with_those_it_does(world):
    reader = MapReader(world / "results/maps/sites.zarr")
    lines = [f"{r.contig}\t{r.start}\t{r.end}\tr{r.Index}\n" for r in reader.regions.itertuples()]
    (world / "own.bed").write_text("".join(lines))
    seqmill(world, "ism", "--model", "small", "--regions", "own.bed", "--out", "own/map", "-q")
    own = MapReader(world / "own/map/map.zarr")
    assert (own.read("substitutions/bound", 0, 3) == reader.read("substitutions/bound", 0, 3)).all()
    assert read_marker(world / "own/map/map.files").noun == "map-files"
    seqmill(world, "variants", "--model", "small", "--file", "data/mine.vcf", "--out", "own/mine", "-q")
    both = [pd.concat(VariantsReader(world / place).table()) for place in ("results/variants/mine", "own/mine")]
    pd.testing.assert_frame_equal(*both)
    assert verify(world / "own") == []


def test_exports_of_the_workflow_and_of_the_command_are_the_same_files(world):
    succeed(world, "browser", config=CONFIG)
    seqmill(world, "export", "bigwig", "small", "own/bw")
    (first,), (second,) = (list(path.rglob("*.bw")) for path in (world / "results/exports", world / "own/bw"))
    assert first.read_bytes() == second.read_bytes()
    seqmill(world, "export", "hub", "own/hub", "--email", "me@lab.org")
    seqmill(world, "export", "igv", "own/igv")
    names = {path.relative_to(world / "own/hub").as_posix() for path in (world / "own/hub").rglob("*.bw")}
    contributions = {f"toy/contribution/{name}/bound/ctcf.bw" for name in ("long", "sites")}
    assert names == {"toy/predicted/small/bound/ctcf.bw"} | contributions
    assert names == {path.relative_to(world / "own/igv").as_posix() for path in (world / "own/igv").rglob("*.bw")}
    assert verify(world / "own/hub") == []


def test_a_session_of_one_map(world):
    """Both values of each track, and the tracks, genes and variants of its page, all inside the folder."""
    seqmill(world, "export", "igv", "own/long_igv", "--map", "long")
    root = ET.parse(world / "own/long_igv/igv_session.xml").getroot()
    assert root.get("genome") == str((world / "data/toy.fa").absolute())
    paths = {item.get("path") for item in root.iter("Resource")}
    values = {f"toy/contribution/long/bound/ctcf{size}.bw" for size in ("", "/size")}
    places = {"regions.bed", "positions.bed", "tracks/ctcf.bed", "tracks/atac.bedgraph", "genes/genes.gtf"}
    assert paths == values | places | {"variants/mine.vcf.gz"}
    assert all((world / "own/long_igv" / path).is_file() for path in [*paths, "variants/mine.vcf.gz.tbi"])
    assert verify(world / "own/long_igv") == []
