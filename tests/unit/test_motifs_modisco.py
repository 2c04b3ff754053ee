"""TF-MoDISco as its own process: planted motifs come back, at their places; killed, failed and wrong inputs."""

import numpy as np
import pandas as pd
import pytest
from tests.unit import motif_world
from tests.unit.network_toys import target

from seqmill.config.motifs import Modisco, Motifs
from seqmill.effects.maps.files import write_map_files
from seqmill.effects.motifs import modisco
from seqmill.effects.motifs.build import build_motifs
from seqmill.formats.motifs import Motif as Known
from seqmill.formats.motifs import meme_text
from seqmill.report.motifs import gather_motifs
from seqmill.runtime.errors import InputError, WorkerError
from seqmill.simulate.motifs import load_motifs
from seqmill.stores.maps import MapWriter
from seqmill.stores.motifs import MotifsReader

pytestmark = pytest.mark.slow
BP, COUNT = 100, 150
SETTINGS = Modisco()


def write_map(folder, seed=0):
    """A map whose regions hold a CTCF site each; its substitutions cost what the matrix says. Returns the places."""
    rng = np.random.default_rng(seed)
    motif = load_motifs()["CTCF"]
    sites = motif.sample(COUNT, rng, 0.7)
    odds = np.log2((motif.pwm + 0.01) / 0.26)
    specs = {"bound": target("bound", 1)}
    attrs = {
        "model": "net", "genome": "", "spaces": {"bound": "logit"}, "picture": 0, "models": {"net/0.0": COUNT},
        "both_strands": True, "shifts_bp": [0], "runs": "unseen",
    }  # fmt: skip
    places = []
    with MapWriter(folder, "m", attrs, length=BP, edits=["substitutions"], targets=specs, spread=False) as writer:
        for number, site in enumerate(sites):
            codes = rng.integers(0, 4, BP).astype(np.uint8)
            at, back = int(rng.integers(20, 60)), number % 2 == 1
            effects = rng.normal(0, 0.02, (BP, 4))
            codes[at : at + motif.width] = (3 - site[::-1]) if back else site
            effects[at : at + motif.width] += odds[::-1, ::-1] if back else odds
            effects -= effects[np.arange(BP), codes][:, None]
            places.append((at, -1 if back else 1))
            row = {"name": f"r{number}", "genome": "", "contig": "", "start": -1, "end": BP - 1, "strand": 1, "runs": 1}
            values = {"sequence": codes, "reference/bound": np.zeros(1)}
            writer.append(
                row | {"window_start": -1}, values | {"substitutions/bound": effects[:, :, None].astype(np.float32)}
            )
    return places


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Motifs of a map, and where its sites lie."""
    folder = tmp_path_factory.mktemp("modisco")
    dataset = motif_world.write_dataset(folder)
    model = motif_world.write_network(folder, dataset)
    places = write_map(folder / "maps/m.zarr")
    write_map_files(folder / "maps/m.files", map_folder=folder / "maps/m.zarr", genome=None)
    database = folder / "known.meme"
    known = [Known(motif.matrix_id, name, motif.pwm) for name, motif in load_motifs().items()]
    database.write_text(meme_text(known))
    section = Motifs.model_validate({"map": "m", "database": database, "marginal": {"backgrounds": 10}})
    out, state = folder / "motifs/mine", folder / "motifs/.mine.resume"
    build_motifs(
        out, name="mine", section=section, models=[model], prediction=motif_world.PLAIN, dataset=dataset, state=state,
        map_folder=folder / "maps/m.zarr", map_files=folder / "maps/m.files",
    )  # fmt: skip
    assert not state.exists()
    return folder, MotifsReader(out), places


def test_the_planted_motif_comes_back_at_its_places(found):
    _, reader, places = found
    first = reader.table("patterns").iloc[0]
    assert first["sign"] == "pos" and first["match"] == "MA0139.1" and first["alias"] == "CTCF"
    assert first["p"] < 1e-10 and first["q"] < 1e-8
    line = reader.table("matches").iloc[0]
    pwm, known = reader.motifs()[first["motif"]].pwm, reader.known()["MA0139.1"].pwm
    known = known if line["strand"] == "+" else known[::-1, ::-1]
    width, offset = int(line["overlap"]), int(line["offset"])
    ours = pwm[max(0, -offset) :][:width]
    theirs = known[max(0, offset) :][:width]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95
    seqlets = reader.seqlets()
    seqlets = seqlets[seqlets["motif"] == first["motif"]]
    turned = 1 if line["strand"] == "+" else -1
    right = 0
    for row in seqlets.itertuples():
        at, strand = places[int(row.region[1:])]
        here = (1 if row.strand == "+" else -1) * turned == strand
        right += here and row.start < at + 19 and at < row.end
    assert right / len(seqlets) > 0.95 and len(seqlets) > 0.5 * COUNT
    assert (seqlets["contig"] == seqlets["region"]).all()  # sequences without a genome
    assert len(reader.table("contributions")) == reader.table("patterns")["width"].sum()
    assert (reader.folder / "bound.modisco.h5").stat().st_size > 0
    marginal = reader.table("marginal")
    assert set(marginal["motif"]) == set(reader.table("patterns")["motif"])


def test_the_page_shows_it(found):
    item = gather_motifs(found[1].folder)
    first = item["patterns"][0]
    assert first["alias"] == "CTCF" and first["logo"].startswith("data:image/svg+xml") and first["effect"] is not None
    assert item["regions"] == COUNT and item["effects"][0]["space"] == "logit"


def test_a_killed_job_does_not_search_again_and_a_damaged_state_does(found, tmp_path, monkeypatch):
    folder, reader, _ = found
    arrays = [folder / f"maps/m.files/bound.{kind}.npz" for kind in ("ohe", "shap")]
    calls = []

    def searched(commands, *, cwd, what, env):
        calls.append(commands[0])
        (cwd / "modisco.h5").write_bytes((reader.folder / "bound.modisco.h5").read_bytes())

    monkeypatch.setattr(modisco, "pipeline", searched)
    settings = {"settings": SETTINGS, "window_bp": 100, "threads": 1, "state": tmp_path / "state", "what": "w"}
    for _ in range(2):
        modisco.run_modisco(*arrays, tmp_path / "out.h5", **settings)
    assert len(calls) == 1
    assert calls[0][3:8] == ["motifs", "-s", str(arrays[0]), "-a", str(arrays[1])]
    next((tmp_path / "state").glob("*.h5")).write_bytes(b"torn")
    modisco.run_modisco(*arrays, tmp_path / "out.h5", **settings)
    modisco.run_modisco(*arrays, tmp_path / "out.h5", **settings | {"window_bp": 60})
    assert len(calls) == 3
    assert (tmp_path / "out.h5").read_bytes() == (reader.folder / "bound.modisco.h5").read_bytes()


def test_its_failure_is_told_in_words(found, tmp_path, monkeypatch):
    folder, *_ = found
    arrays = [folder / f"maps/m.files/bound.{kind}.npz" for kind in ("ohe", "shap")]
    monkeypatch.setattr(modisco, "_command", lambda *_: ["python3", "-c", "raise SystemExit('no room')"])
    with pytest.raises(WorkerError, match=r"motifs\.x, bound: python3 failed \(exit status 1\): no room"):
        modisco.run_modisco(
            *arrays, tmp_path / "out.h5", settings=SETTINGS, window_bp=100, threads=1, state=tmp_path / "s",
            what="motifs.x, bound",
        )  # fmt: skip
    assert not (tmp_path / "out.h5").exists()


def test_windows_that_do_not_fit():
    assert modisco.window_of(SETTINGS, 241, "x") == 240
    assert modisco.window_of(Modisco(window_bp=101), 241, "x") == 100
    with pytest.raises(InputError, match="wider than the regions"):
        modisco.window_of(Modisco(window_bp=400), 240, "x")
    with pytest.raises(InputError, match="too few for seqlets of 30 bp"):
        modisco.window_of(SETTINGS, 50, "x")


def test_without_the_extra_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'seqmill\[motifs\]'"):
        modisco.require_modisco()


def test_places_on_a_genome():
    from types import SimpleNamespace

    from seqmill.effects.motifs.tables import places

    regions = pd.DataFrame({"name": ["a", "b"], "contig": ["chr2", "chr1"], "start": [100, 50], "end": [140, 80]})
    numbers = {"region": [0, 1, 1], "start": [3, 25, 33], "end": [9, 34, 40], "strand": [1, -1, 1]}
    arrays = {key: np.array(value) for key, value in numbers.items()} | {"strength": np.ones(3)}
    # region b has 30 bp: its end cuts the second place, the third lies behind it
    pattern = modisco.Pattern(motif_world.sharp(motif_world.SITE), np.zeros((6, 4)), **arrays)
    table = places({"pos_0": pattern}, SimpleNamespace(regions=regions))
    assert table[["contig", "start", "end", "strand"]].values.tolist() == [["chr1", 75, 80, -1], ["chr2", 103, 109, 1]]
