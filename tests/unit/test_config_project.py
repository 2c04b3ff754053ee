"""The configuration: strict YAML, typed sections, checks across sections, the exported schema."""

from pathlib import Path

import pytest
import yaml

from seqmill.config.project import Project
from seqmill.config.root import merge, parse
from seqmill.config.schema import as_text, config_schema
from seqmill.config.yamlfile import read_yaml
from seqmill.runtime.errors import InputError

ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


BAD_YAML = {
    "python tag": ("a: !!python/object/apply:os.system ['true']\n", r"config.yaml:1: unsafe YAML tag; plain YAML only"),
    "own tag": ("a: !secret x\n", r"unsafe YAML tag"),
    "key twice": ("tracks: 1\nmodels: 2\ntracks: 3\n", r"key 'tracks' given twice \(lines 1,3\)"),
    "nested key twice": ("a:\n  b: 1\n  b: 2\n", r"key 'b' given twice \(lines 2,3\)"),
    "NO as key": ("NO: 1\n", r"expected string, got bool for key False; quote it"),
    "syntax": ("a: [1, 2\n", r"config.yaml:2: "),
    "a list": ("- a\n- b\n", r"expected 'key: value' lines, found a list"),
}


@pytest.mark.parametrize("case", BAD_YAML)
def test_bad_yaml(case, tmp_path):
    text, message = BAD_YAML[case]
    with pytest.raises(InputError, match=message):
        read_yaml(write(tmp_path, text))


def test_utf16_yaml_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes("a: 1\n".encode("utf-16"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_yaml(path)


BASE = {
    "genomes": {"g": {"fasta": "g.fa"}},
    "tracks": {"sheet": "tracks.tsv"},
    "datasets": {
        "d": {
            "genomes": ["g"],
            "windows": {"kind": "tiles", "window_bp": 128},
            "targets": {"bound": {"kind": "binary", "tracks": "all"}},
            "split": {"kind": "chromosomes", "test": ["chr1"]},
        }
    },
    "models": {"m": {"architecture": "basset", "dataset": "d"}},
}

BAD_CONFIG = {
    "typo": (
        {"models": {"m": {"training": {"optimizer": {"learnig_rate": 1}}}}},
        r"models.m.training.optimizer: unknown key 'learnig_rate'; did you mean 'learning_rate'\?",
    ),
    "known alias": (
        {"models": {"m": {"training": {"epochs": 3}}}},
        r"unknown key 'epochs'; did you mean 'max_epochs'\?",
    ),
    "range": (
        {"models": {"m": {"training": {"batch_size": -1}}}},
        r"models.m.training.batch_size: .*greater than or equal to 1, found -1",
    ),
    "type": ({"datasets": {"d": {"windows": {"window_bp": "wide"}}}}, r"window_bp: .*found 'wide'"),
    "bool for text": (
        {"models": {"m": {"architecture": False}}},
        r"models.m.architecture: expected string, got bool; quote it, found False",
    ),
    "time for text": (
        yaml.safe_load("models: {m: {architecture: 12:30}}"),
        r"models.m.architecture: expected string, got int; quote it, found 750",
    ),
    "unknown key of one kind": (
        {"datasets": {"d": {"windows": {"peaks": 1}}}},
        r"^config.yaml: datasets.d.windows: unknown key 'peaks'; known keys: keep, kind",
    ),
    "key of one kind missing": (
        {"datasets": {"d": {"windows": {"kind": "peaks", "window_bp": None, "bed": "x.bed", "label_bp": "wide"}}}},
        r"^config.yaml: datasets.d.windows.window_bp: .*; datasets.d.windows.label_bp: .*found 'wide'$",
    ),
    "neither list nor fraction": (
        {"datasets": {"d": {"split": {"test": "chr1"}}}},
        r"^config.yaml: datasets.d.split.test: expected a list of contigs or a fraction such as 0.2, found 'chr1'$",
    ),
    "neither all, list nor filters": (
        {"datasets": {"d": {"targets": {"bound": {"tracks": 5}}}}},
        r"bound.tracks: expected 'all', a list of tracks or \{column: value\}, found 5$",
    ),
    "windows kind": (
        {"datasets": {"d": {"windows": {"kind": "tile"}}}},
        r"datasets.d.windows.kind: Input should be 'tiles', 'peaks', .* or 'methylation', found 'tile'$",
    ),
    "windows without kind": (
        {
            "datasets": {
                "e": {"genomes": ["g"], "windows": {"window_bp": 100}, "targets": {}, "split": {"kind": "folds"}}
            }
        },
        r"datasets.e.windows: the key 'kind' is missing$",
    ),
    "genome": ({"datasets": {"d": {"genomes": ["hg38"]}}}, r"datasets.d: genome 'hg38' is not configured; known: g"),
    "dataset": ({"models": {"m": {"dataset": "e"}}}, r"models.m: dataset 'e' is not configured; known: d"),
    "target": ({"models": {"m": {"targets": {"x": 1}}}}, r"models.m: target 'x' is not in dataset d: bound"),
    "jitter": (
        {"models": {"m": {"training": {"max_jitter_bp": 8}}}},
        r"max_jitter_bp 8 needs margin_bp of dataset d to be at least as large, it is 0",
    ),
    "fold": ({"models": {"m": {"folds": ["3"]}}}, r"m: fold '3' is none of 0"),
    "track": ({"datasets": {"d": {"targets": {"bound": {"tracks": ["nope"]}}}}}, r"track 'nope' is not in the sheet"),
    "no track left": (
        {"datasets": {"d": {"targets": {"bound": {"tracks": {"assay": "X"}}}}}},
        r"0 of 3 tracks left by \{'assay': 'X'\}",
    ),
    "filter column": (
        {"datasets": {"d": {"targets": {"bound": {"tracks": {"asay": "X"}}}}}},
        r"'asay' is not a column of the sheet",
    ),
    "signal as label": (
        {"datasets": {"d": {"targets": {"bound": {"tracks": ["s"]}}}}},
        r"track s holds signal; a binary target needs intervals",
    ),
    "contacts as a target": (
        {"datasets": {"d": {"targets": {"bound": {"kind": "profile", "tracks": ["c"]}}}}},
        r"d\.targets\.bound: track c holds contacts; no kind of window builds targets from contact maps yet",
    ),
    "contacts as a control": (
        {"datasets": {"d": {"control": {"tracks": ["c"]}}}},
        r"d\.control: track c holds contacts; a control needs signal",
    ),
    "bins": (
        {"datasets": {"d": {"targets": {"bound": {"kind": "profile", "tracks": ["s"], "bin_bp": 48}}}}},
        r"bin_bp 48 is not a multiple of the 32 bp of track s",
    ),
    "hostile name": ({"datasets": {"../d": BASE["datasets"]["d"]}}, r"id '../d' must start with"),
    "same name": ({"baselines": {"m": {"kind": "kmer", "dataset": "d"}}}, r"id 'm' is given twice"),
    "environment": (
        {"genomes": {"g": {"fasta": "${SEQMILL_NOT_SET}/g.fa"}}},
        r"genomes.g.fasta: .*the environment variable is not set",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tracks.tsv").write_text("track\tlocation\np\tp.bed\ns\ts.bw\nc\tc.hic\n")
    return tmp_path


def build(changes):
    base = merge(BASE, {"datasets": {"d": {"targets": {"bound": {"tracks": ["p"]}}}}})
    return Project(parse(merge(base, changes), "config.yaml"), "config.yaml")


@pytest.mark.parametrize("case", BAD_CONFIG)
def test_refused_configurations(case, folder):
    changes, message = BAD_CONFIG[case]
    with pytest.raises(InputError, match=message):
        build(changes)


def test_a_good_configuration_is_joined_with_the_sheet(folder):
    project = build({"datasets": {"d": {"split": {"kind": "folds", "k": 3, "test": None}}}})
    assert project.folds("m") == ["0", "1", "2"]
    assert project.seeds("m") == [0]
    assert project.tracks["s"].assembly == "g" and project.tracks["s"].bin_bp == 32
    assert [track.track for track in project.groups("d", "bound")["main"]] == ["p"]


def test_numbers_that_yaml_reads_as_text_are_numbers(folder):
    changes = yaml.safe_load("models: {m: {training: {optimizer: {learning_rate: 1e-3}}}}")
    assert changes["models"]["m"]["training"]["optimizer"]["learning_rate"] == "1e-3"
    assert build(changes).config.models["m"].training.optimizer.learning_rate == 0.001


def test_layers_later_files_win(folder):
    first, second = folder / "a.yaml", folder / "b.yaml"
    first.write_text("genomes: {g: {fasta: a.fa, partial: true}}\n")
    second.write_text("genomes: {g: {fasta: b.fa}}\n")
    project = Project.load([first, second], {"report": {"title": "x"}})
    genome = project.config.genomes["g"]
    assert (str(genome.fasta), genome.partial, project.config.report.title) == ("b.fa", True, "x")


def test_exported_schema_is_in_step_with_the_sections():
    path = ROOT / "config" / "schema" / "config.schema.json"
    assert path.read_text() == as_text(), "run: python -m seqmill.config.schema config/schema/config.schema.json"
    assert "$ref" not in path.read_text()


def test_source_files_are_found_in_nested_sections(folder):
    section = parse(
        {
            "datasets": {
                "t": {
                    "windows": {"kind": "table", "files": [{"path": "a.fa"}, {"path": "b.txt", "label_file": "c.txt"}]},
                    "targets": {"y": {"kind": "quantity"}},
                    "split": {"kind": "given", "file": "d.json"},
                }
            }
        },
        "x",
    ).datasets["t"]
    assert [str(path) for path in section.source_files()] == ["a.fa", "b.txt", "c.txt", "d.json"]


def test_key_tables_are_in_step_with_the_sections():
    from seqmill.config.reference import BEGIN, as_text

    text = (ROOT / "config" / "README.md").read_text()
    written = BEGIN + text.partition(BEGIN)[2]
    assert written == as_text(), "run: python -m seqmill.config.reference config/README.md"


def test_a_missing_key_is_named_without_the_kind_of_its_section():
    values = merge(BASE, {})
    values["datasets"]["d"] = BASE["datasets"]["d"] | {"windows": {"kind": "tiles"}}
    with pytest.raises(InputError, match=r"^c.yaml: datasets.d.windows.window_bp: Field required$"):
        parse(values, "c.yaml")


def test_the_schema_takes_the_short_forms_of_heads_and_objectives():
    """Snakemake checks the configuration by the schema before our sections see it."""
    import jsonschema

    model = {"architecture": "basset", "dataset": "peaks"}
    schema = config_schema()

    def problems(**more):
        section = {"models": {"m": {**model, **more}}}
        return list(jsonschema.Draft202012Validator(schema).iter_errors(section))

    assert not problems(targets={"bound": 1, "other": 0.5}, objective="autoencoder")
    assert not problems(targets={"bound": {"weight": 2, "label_smoothing": 0.1}}, objective={"name": "supervised"})
    assert problems(targets={"bound": "much"})
    assert problems(targets={"bound": {"wieght": 2}})
