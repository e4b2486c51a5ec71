"""One run at a time, told to the others, over with its process; and how far runs have come."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.store import Store
from tests.test_store import make_result

SPAWN = multiprocessing.get_context("spawn")


def test_a_second_run_is_refused_and_told_who_is_first(store: Store, address: str):
    with Store.open(address) as other:
        assert other.writer() is None
        with store.exclusive():
            with pytest.raises(OutputError) as caught, other.exclusive():
                pass
            assert f"process {os.getpid()} on {socket.gethostname()[:19]}" in caught.value.message
            assert "since 20" in caught.value.message
            assert "run the command again" in caught.value.hint
            holder = other.writer()
            assert holder is not None
            assert holder.pid == os.getpid()
            other.save(make_result())  # reading and single calls are not held up
            assert store.load("c1") == make_result()
        assert other.writer() is None
        with other.exclusive():
            pass


def test_the_lock_leaves_nothing_behind(tmp_path: Path):
    with Store.open(tmp_path) as store, store.exclusive():
        assert (tmp_path / "callcoach.db.lock").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"callcoach.db"}


def test_an_error_within_a_run_frees_the_store(store: Store):
    with pytest.raises(RuntimeError, match="stop"), store.exclusive():
        raise RuntimeError("stop")
    with store.exclusive():
        assert store.writer() is not None


def _hold(address: str, told) -> None:
    with Store.open(address) as store, store.exclusive():
        store.begin_run(5)
        told.send("held")
        told.recv()


@pytest.fixture
def other_run(address: str):
    """Another process that holds the store until it is told to let it go."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_hold, args=(address, theirs), daemon=True)
    process.start()
    assert ours.poll(60)
    ours.recv()
    yield process, ours
    process.kill()
    process.join(60)


def test_a_killed_run_leaves_no_lock_and_is_marked_by_the_next(address: str, other_run):
    process, _ = other_run
    with Store.open(address) as store:
        with pytest.raises(OutputError, match=f"process {process.pid}"), store.exclusive():
            pass
        assert [r.state for r in store.runs()] == ["running"]
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        with store.exclusive(wait=True):  # a server needs a moment to see that it is gone
            assert store.writer().pid == os.getpid()
            store.begin_run(7)
        assert [(r.recordings, r.state) for r in store.runs()] == [(7, "running"), (5, "stopped")]


def test_a_run_waits_for_the_other_when_told(address: str, other_run):
    _, told = other_run
    with Store.open(address) as store:
        waiting = SPAWN.Process(target=_take, args=(address,))
        waiting.start()
        time.sleep(2)
        assert waiting.is_alive()
        told.send("go")
        waiting.join(60)
        assert waiting.exitcode == 0
        assert store.frame("calls")["call_id"].tolist() == ["waited"]


def _take(address: str) -> None:
    with Store.open(address) as store, store.exclusive(wait=True):
        store.save(make_result("waited"))


def _count_up(address: str, file: Path, barrier) -> None:
    barrier.wait()
    with Store.open(address) as store:
        for _ in range(20):
            with store.exclusive(wait=True):
                number = int(file.read_text())
                time.sleep(0.001)
                file.write_text(str(number + 1))


def test_never_two_at_once(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file, barrier = tmp_path / "number", SPAWN.Barrier(3)
    file.write_text("0")
    runs = [SPAWN.Process(target=_count_up, args=(address, file, barrier)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(300)
    assert [r.exitcode for r in runs] == [0, 0, 0]
    assert file.read_text() == "60"


def test_runs_tell_how_far_they_have_come(store: Store):
    first = store.begin_run(10)
    store.update_run(first, done=3, unchanged=2, failed=1, audio_s=180.5)
    store.update_run(first, done=4, unchanged=2, failed=1, audio_s=240.5)
    run = store.runs()[0]
    assert (run.run, run.recordings, run.state) == (first, 10, "running")
    assert (run.done, run.unchanged, run.failed, run.audio_s) == (4, 2, 1, 240.5)
    assert (run.host, run.pid, run.finished_at) == (socket.gethostname(), os.getpid(), None)
    assert run.started_at[:16] <= run.updated_at[:16]
    store.end_run(first, "finished")
    second = store.begin_run(4)
    assert [(r.run, r.state) for r in store.runs()] == [(second, "running"), (first, "finished")]
    assert store.runs()[1].finished_at is not None
    assert [r.run for r in store.runs(limit=1)] == [second]


def test_a_run_begun_elsewhere_is_stopped_only_by_who_is_alone(store: Store):
    first = store.begin_run(1)
    second = store.begin_run(1)
    assert {r.state for r in store.runs()} == {"running"}
    with store.exclusive():
        third = store.begin_run(1)
    states = {r.run: r.state for r in store.runs()}
    assert states == {first: "stopped", second: "stopped", third: "running"}
