"""S3 servers for tests: SeaweedFS, which enforces signatures, and moto, which does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest import mock

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.server import ThreadedMotoServer
from tests.support.processes.ports import free_port
from types_boto3_s3 import S3Client

from modelyard_kit.artifacts.s3 import S3Store

_ATTEMPTS = 5
_READY_WITHIN_S = 60
_POLL_S = 0.05
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)


@dataclass(frozen=True)
class S3Server:
    """A running server and its credentials.

    Attributes:
        endpoint: URL of the server, `http://127.0.0.1:port`.
        access_key: Access key of an administrator.
        secret_key: Secret key of the administrator.
    """

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables from which boto3 reads the credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @cached_property
    def client(self) -> S3Client:
        """A client with the administrator's credentials, to prepare tests."""
        client: S3Client = boto3.Session(
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        ).client(
            "s3",
            endpoint_url=self.endpoint,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        return client

    def make_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"test-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        return name

    def open_store(self, bucket: str = "", prefix: str = "") -> S3Store:
        """Open a store in a bucket, by default an empty one of its own."""
        with mock.patch.dict(os.environ, self.environ):  # read when the store is made
            return S3Store(bucket or self.make_bucket(), prefix, endpoint=self.endpoint)


@contextmanager
def seaweedfs() -> Iterator[S3Server]:
    """Run SeaweedFS, one process with its data in a temporary folder, until the block ends."""
    for _ in range(_ATTEMPTS):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weed-")))
            ports = {name: free_port() for name in _PORTS}
            server = S3Server(f"http://127.0.0.1:{ports['s3.port']}", "tester", uuid.uuid4().hex)
            process = stack.enter_context(_running(folder, ports, server))
            if _is_ready(process, server):
                yield server
                return
            log = (folder / "log").read_text()[-4_000:]
    raise RuntimeError(f"SeaweedFS ended {_ATTEMPTS} times while it started:\n{log}")


@contextmanager
def moto() -> Iterator[S3Server]:
    """Run moto, which checks no signature, expiry or checksum, until the block ends."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server(f"http://{host}:{port}", "tester", "secret")
    finally:
        server.stop()


@contextmanager
def _running(
    folder: Path, ports: dict[str, int], server: S3Server
) -> Iterator[subprocess.Popen[bytes]]:
    identities = [
        {
            "name": "tester",
            "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    arguments = [
        str(Path(sys.executable).with_name("weed")),
        f"-logdir={folder}",
        "server",
        f"-dir={folder}/data",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3",
        f"-s3.config={folder}/s3.json",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={folder}/s3.sock",
        f"-filer.localSocket={folder}/filer.sock",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=0",
        "-volume.preStopSeconds=0",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)  # its data is temporary
        process.wait()


def _is_ready(process: subprocess.Popen[bytes], server: S3Server) -> bool:
    """Whether the server stores an object; false if it exited, e.g. because a port is in use.

    Polled, because SeaweedFS does not report when it is ready.
    """
    give_up_at = time.monotonic() + _READY_WITHIN_S
    while process.poll() is None:
        try:
            bucket = server.make_bucket()
            server.client.put_object(Bucket=bucket, Key="probe", Body=b"probe")
        except (ClientError, BotoCoreError):
            if time.monotonic() > give_up_at:
                raise
            threading.Event().wait(_POLL_S)
        else:
            return True
    return False
