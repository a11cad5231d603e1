"""A proxy on loopback whose answers arrive later, as those of a store across a network do."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

_PIECE = 256 * 1024
_MOST_WAITING = 64


@contextlib.contextmanager
def delayed(url: str, seconds: float) -> Iterator[str]:
    """Run a proxy in a process of its own, and give the URL that reaches a server through it; without a delay, its own.

    Bytes go to the server at once, and come back after the delay, however many are under way.
    """
    if not seconds:
        yield url
        return
    target = urlsplit(url)
    command = [sys.executable, "-m", "benchmarks.delay", str(target.hostname), str(target.port), str(seconds)]
    proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    try:
        assert proxy.stdout is not None
        yield f"http://127.0.0.1:{int(proxy.stdout.readline())}"
    finally:
        proxy.kill()
        proxy.wait()
        if proxy.stdout is not None:
            proxy.stdout.close()


async def main(host: str, port: int, delay: float) -> None:
    """Pass on what comes, until this process is ended."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(host, port)
        await asyncio.gather(_pass_on(reader, requests, 0), _pass_on(answers, writer, delay))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_WAITING)
    loop = asyncio.get_running_loop()

    async def deliver() -> None:
        while True:
            due, data = await waiting.get()
            if delay:
                await asyncio.sleep(due - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    with contextlib.suppress(ConnectionError):
        data = b"-"
        while data and not delivering.done():
            data = await reader.read(_PIECE)
            await waiting.put((loop.time() + delay, data))
        await delivering
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
