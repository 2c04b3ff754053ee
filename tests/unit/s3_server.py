"""A server that speaks S3, on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BUCKET = "lab-data"
SECRET = "wJalrXUtnFEMI-secret"


@contextmanager
def s3_server() -> Iterator[Any]:
    """Start moto's server and set the usual variables for it; gives a client that has made `BUCKET`."""
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    values = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in {**values, "AWS_ENDPOINT_URL": endpoint}.items():
                patch.setenv(name, value)
            client = boto3.client("s3", endpoint_url=endpoint)
            client.create_bucket(Bucket=BUCKET)
            yield client
    finally:
        running.stop()


def upload(client: Any, folder: Path, prefix: str) -> None:
    """Put all files of ``folder`` below ``prefix`` of the bucket."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            client.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(folder)}")
