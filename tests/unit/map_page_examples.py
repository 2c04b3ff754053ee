"""A map with every kind of edit, and tracks, genes and variants on its regions."""

import json
import re
from pathlib import Path

import numpy as np
from tests.unit import effects_world as world
from tests.unit.network_toys import target

from seqmill.config.sheet import Track
from seqmill.report.map_page import write_map_page
from seqmill.stores.genome import GenomeReader
from seqmill.stores.maps import EDITS, MapWriter, shapes
from seqmill.stores.track import build_track

PLACES = [("chr1", 1000 + 400 * number, 1000 + 400 * number + 200) for number in range(6)] + [("chr2", 5, 125)]
# A gene of two exons on the - strand over the first region, one without coding part on the second contig.
GENES = (
    "chr1\t900\t1180\tFIRST\t0\t-\t1020\t1150\t0\t2\t140,60\t0,220\n"
    "chr2\t100\t260\tSECOND\t0\t+\t100\t100\t0\t1\t160\t0\n"
)


def write_example(folder: Path, *, tracks: int = 2, names: str = "r") -> Path:
    """Genome, map ``m``, tracks "cover" and "peaks", genes and variants below ``folder``; returns the map's folder."""
    genome = GenomeReader(world.write_genome(folder))
    text, rng = world.genome_text(), np.random.default_rng(0)
    specs = {"level": target("level", tracks, "quantity"), "bound": target("bound", 1)}
    attrs = {
        "model": "net", "genome": "toy", "spaces": {"level": "value", "bound": "logit"}, "picture": 0,
        "models": {"net/0.0": 7}, "both_strands": True, "shifts_bp": [0], "runs": "unseen",
    }  # fmt: skip
    with MapWriter(folder / "maps/m.zarr", "m", attrs, length=200, edits=EDITS, targets=specs, spread=False) as writer:
        for number, (contig, start, end) in enumerate(PLACES):
            codes = world.codes_of(text[contig][start:end])
            arrays = {"sequence": codes, "reference/level": np.zeros(tracks), "reference/bound": np.zeros(1)}
            for path, shape in shapes(end - start, EDITS, specs).items():
                values = rng.normal(0, 0.1, size=shape).astype(np.float32)
                values[60:75] *= 5 + number  # the last region is the strongest
                if path.startswith("substitutions"):
                    values[np.arange(end - start), codes] = 0
                arrays[path] = values
            row = {"genome": "toy", "contig": contig, "start": start, "end": end, "runs": 1, "strand": 0}
            writer.append(row | {"name": f"{names}{number}", "window_start": start - 20}, arrays)
    (folder / "cover.bedgraph").write_text(
        "".join(f"chr1\t{at}\t{at + 20}\t{1 + at // 20 % 7}\n" for at in range(900, 4000, 20))
    )
    (folder / "peaks.bed").write_text("chr1\t1050\t1120\nchr2\t0\t60\n")
    for name, file, bins in (("cover", "cover.bedgraph", 10), ("peaks", "peaks.bed", None)):
        row = Track(track=name, location=str(folder / file), format=file.split(".")[1], bin_bp=bins)
        build_track(folder / f"tracks/{name}.zarr", track=row, genome=genome, partial=False)
    (folder / "genes.bed").write_text(GENES)
    first = text["chr1"][1060]
    lines = [f"chr1\t1061\trs1\t{first}\t{'ACGT'['CGTA'.index(first)]}", "2\t50\t.\tAAC\tA"]
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (folder / "own.vcf").write_text(header + "".join(f"{line}\t.\t.\t.\n" for line in lines))
    return folder / "maps/m.zarr"


def write_pages(folder: Path, **more) -> Path:
    """The pages of that map."""
    out = folder / "maps/m.page"
    given = {"regions": 200, "tracks": [folder / f"tracks/{name}.zarr" for name in ("cover", "peaks")]}
    given |= {"genes": folder / "genes.bed", "vcf": [folder / "own.vcf"]}
    write_map_page(out, map_folder=folder / "maps/m.zarr", genome=folder / "genome/toy.zarr", **{**given, **more})
    return out


def data_of(page: Path) -> dict:
    """The map that a page's script reads."""
    text = re.search(r'id="map-data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert text
    return json.loads(text[1])["maps"][0]
