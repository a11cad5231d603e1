"""One store in many processes and threads: made at import time, and used on a real S3 server wherever the work goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handoff.storage import remote

# Seconds that a program may take. One that hangs says where: each of its processes writes down what its threads do.
DEADLINE = 40

# What a DAG file is to its tasks: the store is made when it is read.
PROGRAM = f"""
import faulthandler, os, signal, sys, threading, time, traceback

faulthandler.register(signal.SIGALRM, chain=True)  # say where each thread is, and end
signal.alarm({DEADLINE - 10})
from handoff import Address, Store, default_store

STORE = default_store()
LARGE = os.urandom(20 * 2**20)

def check(name, store=STORE, more=b""):
    value = (name, list(range(1000)), more)
    assert value == store.get(store.put(value, Address("dag", "run", name), inline_limit=0).to_json())
    assert store.exists(Address("dag", "run", name))
    return name

def fork(work, name):
    pid = os.fork()
    if pid:
        return pid
    signal.alarm({DEADLINE - 20})  # a child has none of its parent's
    status = 1
    try:
        work(name)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)

def join(*pids):
    failed = [status for status in [os.waitpid(pid, 0)[1] for pid in pids] if status]
    assert not failed, failed
"""


@pytest.fixture
def run(s3: dict[str, Any], tmp_path: Path) -> Callable[[str], None]:
    """Give what runs a program with the store in its environment, and fails where it fails or does not end."""
    options = {"HANDOFF_ROOT": f"s3://lake@bucket/{tmp_path.name}", "AIRFLOW_CONN_LAKE": connection(s3)}

    def run(code: str) -> None:
        path = tmp_path / "program.py"
        path.write_text(PROGRAM + code)
        process = subprocess.Popen(
            [sys.executable, str(path)],
            env={**os.environ, **options, "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            pytest.fail(f"the program did not end within {DEADLINE} s\n{said}")
        assert process.returncode == 0, said
        assert said.splitlines()[-1] == "done", said

    return run


def connection(s3: dict[str, Any]) -> str:
    fields = {"conn_type": "aws", "login": s3["key"], "password": s3["secret"], "extra": s3["client_kwargs"]}
    return json.dumps(fields)


def test_a_fork_of_a_parent_that_only_made_the_store(run: Callable[[str], None]) -> None:
    """Children use a store that nobody has used before, side by side, and so does the parent after them."""
    run(
        """
join(*[fork(check, f"child{n}") for n in range(4)])
check("parent")
print("done")
"""
    )


def test_a_fork_of_a_parent_that_used_the_store(run: Callable[[str], None]) -> None:
    """Children and grandchildren use what the parent has used, while the parent goes on with it."""
    run(
        """
check("before")
def work(name):
    check(name)
    join(fork(check, name + "-grandchild"))
    check(name)
children = [fork(work, f"child{n}") for n in range(2)]
check("meanwhile")
join(*children)
check("after")
print("done")
"""
    )


def test_a_fork_while_a_thread_is_amid_a_call(run: Callable[[str], None]) -> None:
    """A child of a process whose threads are amid large puts and gets uses the store, and those threads go on."""
    run(
        """
check("before")
stop, rounds = threading.Event(), []
def busy(name):
    while not stop.is_set():
        rounds.append(check(name, more=LARGE))
threads = [threading.Thread(target=busy, args=(f"busy{n}",)) for n in range(2)]
for thread in threads:
    thread.start()
for n in range(8):
    time.sleep(0.05 * n)
    join(fork(check, f"child{n}"))
seen = len(rounds)
while len(rounds) < seen + 2:
    time.sleep(0.05)
stop.set()
for thread in threads:
    thread.join()
print("done")
"""
    )


def test_a_fork_while_a_thread_makes_the_first_call(run: Callable[[str], None]) -> None:
    """A child that is forked at any moment of the parent's very first request uses the store."""
    run(
        """
import s3fs  # a fork while another thread imports is Python's own to get wrong
import ssl  # and one while another makes a context is OpenSSL's: its lock stays held in the child
lock, make = threading.Lock(), ssl.SSLContext.__new__
def make_apart(*given, **named):
    with lock:
        return make(*given, **named)
ssl.SSLContext.__new__ = make_apart
os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
check("warm", Store("memory://warm"))
thread = threading.Thread(target=check, args=("first",))
thread.start()
children = []
while thread.is_alive() and len(children) < 30:
    children.append(fork(check, f"child{len(children)}"))
    time.sleep(0.005)
thread.join()
join(*children)
print("done")
"""
    )


def test_a_fork_while_a_thread_holds_the_lock_on_the_loop(run: Callable[[str], None]) -> None:
    """A child uses the store, though the parent was just about to make the event loop that fsspec's clients run on."""
    run(
        """
import fsspec.asyn, s3fs
held, done = threading.Event(), threading.Event()
def hold():
    with fsspec.asyn.get_lock():
        held.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
join(fork(check, "child"))
done.set()
thread.join()
print("done")
"""
    )


def test_a_child_frees_the_lock_only_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where fsspec is not loaded, or amid its import, a child has nothing to free."""
    freed: list[int] = []
    for module, expected in (
        (SimpleNamespace(reset_lock=lambda: freed.append(1)), [1]),
        (SimpleNamespace(), []),
        (None, []),
    ):
        monkeypatch.setitem(sys.modules, "fsspec.asyn", module)
        remote._free_the_loop()
        assert expected == freed
        freed.clear()


def test_pools_of_threads_share_a_store(run: Callable[[str], None]) -> None:
    """Two pools of 32 threads, whose first calls are the store's first, put and get what is theirs."""
    run(
        """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(32) as one, ThreadPoolExecutor(32) as other:
    names = [f"call{n}" for n in range(256)]
    found = [pool.map(check, names[n::2]) for n, pool in enumerate((one, other))]
    assert names == sorted((name for each in found for name in each), key=lambda name: int(name[4:]))
print("done")
"""
    )


def test_a_running_event_loop_may_call_a_store(run: Callable[[str], None]) -> None:
    """A coroutine calls the store as any function, in the loop's thread and beside it, and its children do too."""
    run(
        """
import asyncio
async def main():
    check("in-the-loop")
    names = [f"beside{n}" for n in range(8)]
    assert names == await asyncio.gather(*[asyncio.to_thread(check, name) for name in names])
    check("again")
    join(fork(check, "child-of-the-loop"), fork(lambda name: asyncio.run(main_of(name)), "loop-of-the-child"))
async def main_of(name):
    check(name)
if sys.version_info >= (3, 12):
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # what is done here is what it warns of
asyncio.run(main())
asyncio.run(main_of("another-loop"))
print("done")
"""
    )


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_multiprocessing_finds_the_store(run: Callable[[str], None], method: str) -> None:
    """Processes that import the program anew, or come from a server, use its store, and one that was sent to them."""
    run(
        f"""
def main():
    import multiprocessing
    from functools import partial
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        names = [f"call{{n}}" for n in range(6)]
        assert names == pool.map(check, names)
        assert names == pool.map(partial(check, store=STORE), names)
        pool.close()
        pool.join()
    print("done")
if __name__ == "__main__":
    main()
"""
    )
