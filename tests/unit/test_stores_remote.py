"""Datasets that lie elsewhere: read through a real S3 interface (moto's server), and what is said when it fails."""

import functools
import http.server
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.unit.s3_server import BUCKET, SECRET, s3_server, upload
from tests.unit.store_examples import N, write_toy_dataset

from seqmill.config.stored import checked_address
from seqmill.runtime.errors import DamageError, InputError, RemoteError
from seqmill.runtime.marker import read_marker, seal
from seqmill.stores.dataset import DatasetReader, finish_dataset, read_rows
from seqmill.stores.layout import upstream
from seqmill.stores.remote import LINK, Place, link_dataset, verify_link
from seqmill.stores.verify import verify

URL = "s3://lab-data/sets/toy.zarr"
ARRAYS = ["inputs/sequence", "targets/peaks/main", "targets/peaks/new", "targets/coverage/main"]
KEYS = ("inputs/sequence", "targets/peaks", "mask/peaks", "targets/coverage", "mask/coverage")


@pytest.fixture(scope="module")
def s3():
    with s3_server() as client:
        yield client


@pytest.fixture(scope="module")
def built(tmp_path_factory, s3):
    """A dataset that was built here and uploaded."""
    folder = write_toy_dataset(tmp_path_factory.mktemp("built") / "toy.zarr")
    upload(s3, folder, "sets/toy.zarr")
    return folder


@pytest.fixture
def changed(s3):
    """Exchange an object for the time of a test; None deletes it."""
    before: dict[str, bytes] = {}

    def change(key: str, body: bytes | None) -> bytes:
        if key not in before:
            before[key] = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        if body is None:
            s3.delete_object(Bucket=BUCKET, Key=key)
        else:
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return before[key]

    yield change
    for key, body in before.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)


@pytest.fixture(scope="module")
def link(tmp_path_factory, built):
    """The link of that dataset."""
    folder = tmp_path_factory.mktemp("link") / "toy.zarr"
    link_dataset(folder, name="toy", url=URL, arrays=ARRAYS)
    return folder


def test_a_linked_dataset_is_read_as_the_one_that_was_built(link, built):
    mine, other = DatasetReader(link), DatasetReader(built)
    assert (mine.digest, mine.n, mine.parts, mine.runs) == (other.digest, other.n, other.parts, other.runs)
    assert (mine.inputs, mine.targets) == (other.inputs, other.targets)
    assert mine.rows().equals(other.rows())
    assert read_rows(link / "rows").equals(other.rows())
    for key in KEYS:
        for start, stop in ((0, N), (3, 21), (48, 60)):
            np.testing.assert_array_equal(mine.read(key, start, stop), other.read(key, start, stop))
    assert upstream(link) == upstream(built)


def test_a_link_holds_no_chunks_and_no_credentials(link):
    files = [path for path in link.rglob("*") if path.is_file()]
    assert not [path for path in files if "c" in path.relative_to(link).parts]
    for path in files:
        assert SECRET.encode() not in path.read_bytes()
        assert b"AKIATEST" not in path.read_bytes()
    assert verify(link) == []


def test_training_batches_are_the_same(link, built):
    from seqmill.training.loader import training_batches
    from seqmill.training.order import make_streams

    def first(folder: Path) -> list:
        reader = DatasetReader(folder)
        streams = make_streams(reader.parts, ["train"], pools=None, batch_size=8, chunk=reader.chunk_examples)
        batches = training_batches(reader, streams, targets=["peaks", "coverage"], seed=3)
        return [next(batches) for _ in range(12)]

    for mine, other in zip(first(link), first(built)):
        assert mine.keys() == other.keys()
        for key in mine:
            np.testing.assert_array_equal(mine[key], other[key])


def shard(array: str) -> str:
    return f"sets/toy.zarr/{array}/c/0/0"


def test_damage_elsewhere_is_found(link, s3, changed):
    key = shard("inputs/sequence")
    whole = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    for broken in (whole[:-40], whole[:30] + bytes([whole[30] ^ 1]) + whole[31:], b""):
        changed(key, broken)
        with pytest.raises(DamageError, match=r"^s3://lab-data/sets/toy\.zarr/inputs/sequence/.*: cannot be read \("):
            DatasetReader(link).read("inputs/sequence", 0, N)
        assert [problem.partition(":")[2].partition(":")[0] for problem in verify(link)] == [f"//{BUCKET}/{key}"]
    changed(key, None)
    with pytest.raises(DamageError, match=r"inputs/sequence/c/0/0: missing, expected by marker\.json"):
        DatasetReader(link)
    assert verify_link(link) == [f"s3://{BUCKET}/{key}: missing"]


def test_a_shard_lost_while_reading_is_an_error_not_zeros(link, changed):
    reader = DatasetReader(link)
    changed(shard("targets/coverage/main") + "/0", None)
    with pytest.raises(DamageError, match="targets/coverage/main"):
        reader.read("targets/coverage", 0, N)


def test_another_version_elsewhere_is_refused_until_it_is_linked_again(tmp_path, s3):
    upload(s3, write_toy_dataset(tmp_path / "old/toy.zarr"), "changing.zarr")
    link_dataset(tmp_path / "toy.zarr", name="toy", url="s3://lab-data/changing.zarr")
    upload(s3, write_toy_dataset(tmp_path / "new/toy.zarr", seed=1), "changing.zarr")
    with pytest.raises(DamageError, match=r"is another version of the dataset than the one that .* was made from; del"):
        DatasetReader(tmp_path / "toy.zarr")
    link_dataset(tmp_path / "toy.zarr", name="toy", url="s3://lab-data/changing.zarr")
    assert DatasetReader(tmp_path / "toy.zarr").digest == read_marker(tmp_path / "new/toy.zarr").digest


def test_a_dataset_that_was_built_here_is_not_replaced(built, link):
    with pytest.raises(InputError, match="holds a dataset that was built here, or parts of one; move or delete it"):
        link_dataset(built, name="toy", url=URL)
    assert DatasetReader(built).n == N
    with pytest.raises(InputError, match="is a dataset that lies elsewhere, by the key 'stored'; delete it to build"):
        finish_dataset(link, name="toy", arrays=ARRAYS)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"name": "peaks"}, InputError, "is dataset 'toy', the configuration asks for 'peaks'"),
        (
            {"arrays": ARRAYS[:2]},
            InputError,
            "the section of dataset toy describes inputs/sequence, targets/peaks/main",
        ),
        ({"url": "s3://lab-data/nothing.zarr"}, DamageError, r"s3://lab-data/nothing.zarr/marker.json: missing"),
        ({"url": "s3://no-such-bucket/a.zarr"}, DamageError, r"s3://no-such-bucket/a.zarr/marker.json: missing"),
    ],
)
def test_refused_links_leave_nothing(built, tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        link_dataset(tmp_path / "toy.zarr", **{"name": "toy", "url": URL, **settings})
    assert not (tmp_path / "toy.zarr").exists()


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("targets/peaks/new/c/0/0", None, r"targets/peaks/new/c/0/0: missing, expected by marker\.json"),
        ("rows/rows.parquet", b"other", r"^s3://lab-data/sets/toy\.zarr/rows/rows\.parquet: content changed"),
        ("marker.json", b"{}", r"^s3://lab-data/sets/toy\.zarr/marker\.json: its content does not match its own seal"),
        (
            "marker.json",
            seal({"noun": "dataset", "name": "toy.zarr", "format": 1, "attrs": {}, "files": {"../../x": [1, "0"]}}
                 | {"parts": {}}),
            r"names a file outside its folder: '\.\./\.\./x'",
        ),
    ],
)  # fmt: skip
def test_an_unfinished_or_changed_upload_is_refused(built, tmp_path, changed, path, body, message):
    changed(f"sets/toy.zarr/{path}", body)
    with pytest.raises(DamageError, match=message):
        link_dataset(tmp_path / "toy.zarr", name="toy", url=URL)
    assert not (tmp_path / "toy.zarr").exists()
    assert not (tmp_path / "x").exists()


def test_public_buckets_need_no_credentials(built, tmp_path, s3, monkeypatch):
    upload(s3, built, "public.zarr")
    s3.put_bucket_acl(Bucket=BUCKET, ACL="public-read")
    for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="public.zarr")["Contents"]:
        s3.put_object_acl(Bucket=BUCKET, Key=item["Key"], ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    with pytest.raises(
        RemoteError, match=r"^s3://lab-data/sets/toy.zarr/marker.json: cannot be read \(PERMISSION_DENIED"
    ):
        link_dataset(tmp_path / "toy.zarr", name="toy", url=URL)
    link_dataset(tmp_path / "toy.zarr", name="toy", url="s3://lab-data/public.zarr")
    expected = DatasetReader(built).read("targets/peaks", 0, N)
    np.testing.assert_array_equal(DatasetReader(tmp_path / "toy.zarr").read("targets/peaks", 0, N), expected)


def test_a_server_that_does_not_answer(link, monkeypatch):
    from seqmill.stores import remote

    monkeypatch.setitem(remote.OPENING, "max_retries", 1)
    remote._context.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(
        RemoteError, match=r"^s3://lab-data/sets/toy\.zarr/marker\.json: cannot be read \(ABORTED"
    ) as met:
        DatasetReader(link)
    assert SECRET not in str(met.value)
    remote._context.cache_clear()


def test_answers_of_a_server_are_not_repeated():
    text = "PERMISSION_DENIED: SignatureDoesNotMatch: not the same [http_response_body='<AWSAccessKeyId>AKIATEST']"
    error = Place(URL).failure(ValueError(text), "marker.json")
    assert isinstance(error, RemoteError)
    assert str(error) == f"{URL}/marker.json: cannot be read (PERMISSION_DENIED: SignatureDoesNotMatch: not the same)"


def test_a_plain_web_server_serves_a_dataset(tmp_path, monkeypatch):
    folder = write_toy_dataset(tmp_path / "web/toy.zarr")
    handler = functools.partial(_Quiet, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/toy.zarr"
        monkeypatch.setattr("seqmill.stores.remote.checked_address", lambda url: url)  # which wants https
        link_dataset(tmp_path / "toy.zarr", name="toy", url=address)
        mine, other = DatasetReader(tmp_path / "toy.zarr"), DatasetReader(folder)
        for key in KEYS:
            np.testing.assert_array_equal(mine.read(key, 0, N), other.read(key, 0, N))
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("results/a.zarr", "expected an address that starts with s3://, gs://, https://; found 'results/a.zarr'"),
        ("http://host.org/a.zarr", "found 'http'"),
        ("file:///etc/passwd", "found 'file'"),
        ("s3://AKIA:secret@bucket/a.zarr", "s3://…: an address without credentials, query or fragment is expected"),
        ("https://host.org/a.zarr?X-Amz-Signature=secret", "https://…: an address without credentials"),
        ("s3://bucket", "expected the path of a dataset's folder behind bucket/"),
        ("s3://bucket/a/../b", "expected the path of a dataset's folder"),
        ("s3://b ucket/a", "is no name of a bucket"),
        ("https://-x/a", "is no name of a host"),
    ],
)
def test_refused_addresses(text, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")) as met:
        checked_address(text)
    assert "secret" not in str(met.value)


def test_accepted_addresses():
    assert checked_address(" gs://lab.data/sets/toy.zarr// ") == "gs://lab.data/sets/toy.zarr"
    assert Place("gs://lab/toy.zarr").spec() == {"driver": "gcs", "bucket": "lab", "path": "toy.zarr/"}
    assert Place("https://host.org:8443/toy.zarr").spec() == {
        "driver": "http", "base_url": "https://host.org:8443", "path": "/toy.zarr/",
    }  # fmt: skip


def test_what_the_environment_says(monkeypatch):
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    place = Place("s3://lab/toy.zarr")
    plain = {"driver": "s3", "bucket": "lab", "path": "toy.zarr/"}
    assert place.spec() == plain
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    assert place.spec() == plain | {"aws_region": "eu-west-1", "aws_credentials": {"type": "anonymous"}}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://store.lab.org/")
    assert place.spec()["endpoint"] == "https://store.lab.org"


def test_link_file_is_sealed(link):
    text = (link / LINK).read_text()
    try:
        (link / LINK).write_text(text.replace("toy.zarr", "tyo.zarr"))
        with pytest.raises(DamageError, match="its content does not match its own seal"):
            DatasetReader(link)
    finally:
        (link / LINK).write_text(text)
