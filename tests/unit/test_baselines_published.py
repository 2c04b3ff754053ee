"""Published predictions: matched by name, gaps masked, every unusable file refused with its line."""

import gzip
import logging

import numpy as np
import pandas as pd
import pytest
from tests.unit import training_toys as toys

from seqmill.baselines.published import read_published, run_published
from seqmill.config.datasets import Dataset
from seqmill.config.published import Published
from seqmill.examples.build import build_input, build_rows, build_target
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import finish_dataset
from seqmill.stores.predictions import PredictionsReader

PARTS = [("a", "train", 30), ("a", "test", 6), ("b", "test", 4)]
TEST_ROWS = range(30, 40)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Test rows are row30 to row39; their values are 30 to 39, row33 has none; "bound" has two tracks."""
    arrays = toys.motif_arrays(40)
    value = np.arange(40, dtype=np.float32)[:, None].copy()
    value[33] = np.nan
    arrays["targets/value/main"] = (toys.label_spec("value", ["v"], "quantity", "float32", missing="nan"), value)
    return toys.write_dataset(tmp_path_factory.mktemp("published") / "toy.zarr", PARTS, arrays)


def section(file, columns=None, **more) -> Published:
    return Published(dataset="toy", file=file, key_column="id", columns=columns or {"value": "guess"}, **more)


def write(path, rows, header=("id", "other", "guess")):
    path.write_text("\n".join("\t".join(map(str, row)) for row in [header, *rows]) + "\n")
    return path


def test_rows_are_matched_by_name_whatever_their_order(dataset, tmp_path, caplog):
    rows = [(f"row{i}", "x", 2 * i if i != 35 else "") for i in reversed(range(40)) if i != 31]
    out = tmp_path / "predictions/them/0.0.zarr"
    with caplog.at_level(logging.WARNING, logger="seqmill"):
        published = section(write(tmp_path / "them.tsv", rows), source="A paper")
        run_published(out, name="them", published=published, dataset=dataset, fold="0")
    found = PredictionsReader(out)
    assert found.rows()["name"].tolist() == [f"row{i}" for i in TEST_ROWS]
    expected = [2.0 * i if i not in (31, 35) else np.nan for i in TEST_ROWS]
    np.testing.assert_array_equal(found.predicted("value")[:, 0], expected)
    assert found.mask("value")[:, 0].tolist() == [i not in (31, 33, 35) for i in TEST_ROWS]
    np.testing.assert_array_equal(found.truth("value")[:, 0], [i if i != 33 else np.nan for i in TEST_ROWS])
    assert {key: found.attrs[key] for key in ("kind", "model", "seed", "source", "rows_without_prediction")} == {
        "kind": "published", "model": "them", "seed": 0, "source": "A paper", "rows_without_prediction": 1,
    }  # fmt: skip
    assert caplog.messages == ["published.them, fold 0: 1 of 10 test rows have no prediction and are left out"]
    with pytest.raises(InputError, match=r"0\.0\.zarr.*holds no fit: it is of kind published, not of a baseline"):
        found.fit()


def test_tracks_by_name_and_a_gzipped_csv(dataset, tmp_path, caplog):
    with gzip.open(tmp_path / "them.csv.gz", "wt") as file:
        file.write("id,p\n" + "".join(f'"row{i}",{i / 20}\n' for i in TEST_ROWS))
    published = section(tmp_path / "them.csv.gz", {"bound": {"other": "p"}})
    run_published(tmp_path / "p/0.0.zarr", name="them", published=published, dataset=dataset, fold="0")
    found = PredictionsReader(tmp_path / "p/0.0.zarr")
    assert not found.mask("bound")[:, 0].any()
    assert found.mask("bound")[:, 1].all()
    np.testing.assert_allclose(found.predicted("bound")[:, 1], [i / 20 for i in TEST_ROWS])
    assert caplog.messages == [
        "published.them: predictions of target bound are 1.5 to 1.95, no probabilities: "
        "metrics that need them mean little"
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("row30", "x", 1), ("row31", "x", 1), ("row30", "x", 2)], ":4: id 'row30' comes twice, first in line 2"),
        ([("row30", "x", "abc")], ":2: guess 'abc' is not a number"),
        ([("row30", "x", "nan")], ":2: guess 'nan' is not finite; leave the cell empty where there is no"),
        ([("row30", "x", "-inf")], ":2: guess '-inf' is not finite"),
        ([("row30", "x")], ":2: 2 columns, but the header has 3"),
        ([("", "x", 1)], ":2: id is empty"),
        ([], ": holds no predictions"),
        (
            [("row30", "x", 1), ("rwo31", "x", 1)],
            r": 1 of 2 keys are no row of dataset toy\.zarr, e\.g\. 'rwo31' \(its rows are named like 'row30'\); unk",
        ),
        (
            [("row1", "x", 1)],
            r": holds no prediction of a test row of dataset toy\.zarr; keys are like 'row1', names like",
        ),
    ],
)
def test_files_that_cannot_be_used(dataset, tmp_path, rows, message):
    file = write(tmp_path / "them.tsv", rows)
    with pytest.raises(InputError, match=rf"them\.tsv{message}"):
        run_published(tmp_path / "p/0.0.zarr", name="t", published=section(file), dataset=dataset, fold="0")
    assert not (tmp_path / "p").exists()


def test_headers_that_cannot_be_used(tmp_path):
    file = write(tmp_path / "them.tsv", [], header=("id", "guess", "guess"))
    with pytest.raises(InputError, match="column 'guess' comes twice"):
        read_published(file, "id", ["guess"])
    with pytest.raises(InputError, match="column 'name' missing, found: id, guess, guess"):
        read_published(file, "name", ["id"])
    (tmp_path / "empty.tsv").write_text("\n")
    with pytest.raises(InputError, match=r"empty\.tsv: is empty; expected a header"):
        read_published(tmp_path / "empty.tsv", "id", ["guess"])


def test_unknown_keys_may_be_left_out(dataset, tmp_path):
    file = write(tmp_path / "them.tsv", [("row30", "x", 1), ("elsewhere", "x", 1)])
    published = section(file, unknown_keys="ignore")
    run_published(tmp_path / "p/0.0.zarr", name="t", published=published, dataset=dataset, fold="0")
    assert PredictionsReader(tmp_path / "p/0.0.zarr").mask("value").sum() == 1


def test_targets_and_tracks_that_do_not_fit(dataset, tmp_path):
    file = write(tmp_path / "them.tsv", [("row30", "x", 1)])

    def fail(match, columns):
        published = section(file, columns)
        with pytest.raises(InputError, match=match):
            run_published(tmp_path / "p/0.0.zarr", name="t", published=published, dataset=dataset, fold="0")

    fail("has no target 'x'; it has bound, value", {"x": "guess"})
    fail(r"published\.t: target 'bound' has 2 tracks; name a column for each: \{motif: COLUMN", {"bound": "guess"})
    fail("target 'bound' has no track 'x'; it has motif, other", {"bound": {"x": "guess"}})


def test_rows_without_names_or_with_the_same(tmp_path, monkeypatch):
    file, plain = write(tmp_path / "them.tsv", [("same", "x", 1)]), toys.toy_rows
    for names, message in (
        ("", r"its test rows have no names, which published\.t needs; set windows\.name_column"),
        ("same", r"name 'same' is that of several test rows; published\.t needs one a row"),
    ):
        monkeypatch.setattr(toys, "toy_rows", lambda parts, names=names: plain(parts).assign(name=names))
        arrays = toys.motif_arrays(40)
        folder = toys.write_dataset(tmp_path / (names or "none") / "toy.zarr", PARTS, arrays)
        published = section(file, {"bound": {"motif": "guess"}})
        with pytest.raises(InputError, match=message):
            run_published(tmp_path / "p/0.0.zarr", name="t", published=published, dataset=folder, fold="0")


def build(folder, dataset: Dataset):
    rows = folder / "rows"
    build_rows(rows, name="real", dataset=dataset, genomes={}, blacklists={}, tracks={}, assemblies={})
    from seqmill.examples.inputs import input_names

    inputs = [f"inputs/{key}" for key in input_names(dataset)]
    for path in inputs:
        key = path.partition("/")[2]
        build_input(folder / path, name="real", dataset=dataset, input_name=key, rows=rows, genomes={})
    paths = [f"targets/{key}/main" for key in dataset.targets]
    for path in paths:
        key = path.split("/")[1]
        build_target(
            folder / path, name="real", dataset=dataset, target_name=key, group="main", tracks=[], rows=rows,
            track_stores={}, genomes={},
        )  # fmt: skip
    finish_dataset(folder, name="real", arrays=[*inputs, *paths])
    return folder


def test_real_splicing_predictions_of_three_tissues(test_data, tmp_path):
    """TrASPr's and Pangolin's published PSI of 27 exons, one line an exon and tissue, against pandas."""
    long = pd.read_csv(test_data / "modalities/splicing/gtex_traspr/gtex_psi_hg19_chr1.tsv", sep="\t")
    tissues = sorted(long["tissue"].unique())
    sequence = long.groupby("id")["seq_exon_pm300"].first()
    wide = pd.DataFrame({"sequence": sequence})
    for value in ("psi", "TrASPr"):
        table = long.pivot(index="id", columns="tissue", values=value)
        wide = wide.join(table.add_prefix(f"{value} "))
    wide.rename_axis("exon").to_csv(tmp_path / "wide.tsv", sep="\t")
    values = Dataset.model_validate(
        {
            "windows": {
                "kind": "table", "files": [{"path": tmp_path / "wide.tsv", "format": "tsv"}],
                "name_column": "exon",
            },
            "targets": {"psi": {"kind": "fraction", "column": [f"psi {tissue}" for tissue in tissues]}},
            "split": {"kind": "folds", "k": 3, "by": "row"},
            "reverse_complement": False,
        }
    )  # fmt: skip
    folder = build(tmp_path / "real.zarr", values)
    columns = {"psi": {f"psi {tissue}": f"TrASPr {tissue}" for tissue in tissues}}
    published = Published(dataset="real", file=tmp_path / "wide.tsv", key_column="exon", columns=columns)
    truth, predicted = [], []
    for fold in "012":
        out = tmp_path / f"p/{fold}.0.zarr"
        run_published(out, name="traspr", published=published, dataset=folder, fold=fold)
        found = PredictionsReader(out)
        mask = found.mask("psi")
        truth += found.truth("psi")[mask].tolist()
        predicted += found.predicted("psi")[mask].tolist()
    assert len(truth) == long[["psi", "TrASPr"]].notna().all(axis=1).sum() == 52
    assert np.corrcoef(truth, predicted)[0, 1] == pytest.approx(long["psi"].corr(long["TrASPr"]), abs=1e-5)


def test_real_promoter_predictions_have_the_published_correlation(test_data, tmp_path):
    """Expression of 2,983 yeast promoters, keyed by their sequences: r = .98 (Vaishnav et al. 2022, Nature 603:455)."""
    file = test_data / "tasks/yeast_promoters_vaishnav2022/complex_medium_drift_res.tsv.gz"
    promoters = Dataset.model_validate(
        {
            "windows": {
                "kind": "table", "files": [{"path": file, "format": "tsv"}], "sequence_column": "seq",
                "name_column": "seq", "length_bp": 110,
            },
            "targets": {"expression": {"kind": "quantity", "column": "evol_measured"}},
            "split": {"kind": "folds", "k": 2, "by": "row"},
        }
    )  # fmt: skip
    folder = build(tmp_path / "real.zarr", promoters)
    columns = {"expression": "evol_predicted"}
    published = Published(dataset="real", file=file, key_column="seq", columns=columns)
    truth, predicted = [], []
    for fold in "01":
        run_published(tmp_path / f"p/{fold}.0.zarr", name="them", published=published, dataset=folder, fold=fold)
        found = PredictionsReader(tmp_path / f"p/{fold}.0.zarr")
        assert found.mask("expression").all()
        truth += found.truth("expression")[:, 0].tolist()
        predicted += found.predicted("expression")[:, 0].tolist()
    assert len(truth) == 2983
    assert np.corrcoef(truth, predicted)[0, 1] == pytest.approx(0.9817, abs=1e-4)
