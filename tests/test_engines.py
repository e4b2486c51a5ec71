"""The engines: same tasks, same results; what happens to a worker costs one recording."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.batch.engines import Done, Job, Task
from pipeline.batch.engines.factory import Kind, open_engine
from pipeline.batch.engines.inline import InlineEngine
from pipeline.batch.engines.local import LocalEngine, cores, shared_out
from pipeline.batch.engines.worker import Limits
from pipeline.errors import WeightsError
from pipeline.rubric import Rubrics
from pipeline.schema import AGENT, CUSTOMER, CallResult, Failure, Recording, to_json
from pipeline.settings import Settings, load_settings
from pipeline.speech.models import Models
from tests import fakes
from tests.fakes import Script, recording, save

SETTINGS = load_settings()
CALL = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城很高兴为您服务"),
    (CUSTOMER, 6.0, "我想问一下我的订单"),
    (AGENT, 9.5, "好的"),
)
HEARD_RATE = 16_000
DIE_S, HANG_S, SWELL_S, RAISE_S = 31, 32, 33, 34  # a recording of this length does that
SHORT = Limits(base_s=45.0, per_audio_s=0.01, memory_mib=900.0)  # workers load a rubric first


class Trap(fakes.EnergyDetector):
    """A detector that recordings of certain lengths bring down."""

    def __call__(self, audio):
        seconds = audio.size // HEARD_RATE
        if seconds == DIE_S:
            os.kill(os.getpid(), signal.SIGKILL)
        if seconds == HANG_S:
            time.sleep(600)
        if seconds == SWELL_S:
            kept = []
            while True:
                kept.append(np.ones(4_000_000))
                time.sleep(0.02)
        if seconds == RAISE_S:
            raise MemoryError("no more")
        return super().__call__(audio)


def load(settings: Settings) -> Models:
    return replace(fakes.models(CALL), detector=Trap())


def load_nothing(settings: Settings) -> Models:
    raise WeightsError("model.bin is missing.", "Run: callcoach models fetch")


def job(settings: Settings = SETTINGS, load=load) -> Job:
    return Job(settings, Rubrics(settings), load)


def call(folder: Path, name: str, quiet_s: float = 0.0) -> Task:
    path = save(folder / f"{name}.wav", CALL.stereo(quiet_s=quiet_s))
    return Task(recording(path, agent_channel=0))


def trap(folder: Path, seconds: int) -> Task:
    path = save(folder / f"trap{seconds}.wav", fakes.noise(seconds + 0.5)[None, :])
    return Task(recording(path))


def plain(result: CallResult | Failure) -> object:
    return to_json(replace(result, stage_seconds={}) if isinstance(result, CallResult) else result)


def by_name(done: list[Done]) -> dict[str, CallResult | Failure]:
    return {d.task.recording.call_id: d.outcome for d in done}


@pytest.fixture
def local():
    engine = LocalEngine(job(), SHORT, 2)
    yield engine
    engine.close()


def test_workers_give_what_this_process_gives(local: LocalEngine, tmp_path: Path):
    tasks = [call(tmp_path, f"c{i}", i / 4) for i in range(5)]
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    tasks.insert(2, Task(recording(bad)))
    here = by_name(list(InlineEngine(job()).run(tasks)))
    there = by_name(list(local.run(tasks)))
    assert {n: plain(r) for n, r in there.items()} == {n: plain(r) for n, r in here.items()}
    assert isinstance(there["bad"], Failure)
    again = [
        Task(t.recording, r)
        for t in tasks
        if isinstance(r := here[t.recording.call_id], CallResult)
    ]
    judged = by_name(list(local.run(again)))
    assert {n: plain(r) for n, r in judged.items()} == {
        n: plain(r) for n, r in here.items() if n != "bad"
    }


@pytest.mark.slow
def test_a_worker_that_dies_hangs_or_swells_costs_one_row(local: LocalEngine, tmp_path: Path):
    lengths = (DIE_S, HANG_S, SWELL_S, RAISE_S)
    tasks = [trap(tmp_path, seconds) for seconds in lengths]
    tasks = [call(tmp_path, "first"), *tasks, call(tmp_path, "last", 0.5)]
    done = by_name(list(local.run(tasks)))
    assert isinstance(done["first"], CallResult)
    assert isinstance(done["last"], CallResult)
    wanted = ("WorkerDied", "TimeLimit", "MemoryLimit", "StageError")
    for seconds, kind in zip(lengths, wanted, strict=True):
        failed = done[f"trap{seconds}"]
        assert isinstance(failed, Failure)
        assert failed.error_type == kind
        assert failed.hint
    assert "SIGKILL" in done[f"trap{DIE_S}"].message


def test_the_time_limit_goes_by_the_length_of_the_audio(tmp_path: Path):
    limits = Limits(base_s=1.0, per_audio_s=10.0)
    assert limits.seconds(60.0) == 601.0


def test_what_would_fail_for_all_ends_the_run(tmp_path: Path):
    engine = LocalEngine(job(load=load_nothing), SHORT, 1)
    try:
        with pytest.raises(WeightsError, match=r"model\.bin") as caught:
            list(engine.run([call(tmp_path, "a")]))
        assert "models fetch" in caught.value.hint
    finally:
        engine.close()


def test_tasks_are_taken_only_as_fast_as_they_are_done(local: LocalEngine, tmp_path: Path):
    taken = []

    def tasks():
        for i in range(8):
            taken.append(i)
            yield call(tmp_path, f"c{i}")

    done = local.run(tasks())
    for finished in range(1, 9):
        next(done)
        assert len(taken) <= finished + 3 + 1  # two under way, one ahead, one done meanwhile


def test_closing_in_the_middle_ends_the_workers(tmp_path: Path):
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    engine = LocalEngine(job(), SHORT, 2)
    tasks = [call(tmp_path, "a"), trap(tmp_path, HANG_S), trap(tmp_path, HANG_S)]
    done = engine.run(tasks)
    next(done)
    start = time.monotonic()
    done.close()
    engine.close()
    assert time.monotonic() - start < 10
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    assert not [p for p in left if "spawn_main" in " ".join(p.cmdline())]


def test_threads_are_shared_out_and_change_no_identity():
    two = shared_out(SETTINGS, 2)
    assert two.asr.threads == max(1, cores() // 2)
    assert two.digest() == SETTINGS.digest()
    own = load_settings(overrides={"asr.threads": 3})
    assert shared_out(own, 2).asr.threads == 3
    assert load_settings(overrides={"run.workers": 7}).digest() == SETTINGS.digest()


@pytest.mark.parametrize(("given", "recordings", "workers"), [(0, 1, 1), (3, 9, 3), (3, 2, 2)])
def test_no_more_workers_than_recordings(given: int, recordings: int, workers: int):
    chosen = load_settings(overrides={"run.workers": given})
    with open_engine(chosen, Rubrics(chosen), recordings=recordings) as engine:
        assert isinstance(engine, LocalEngine)
        assert len(engine._supervisors) == workers


def test_the_engine_of_this_process_can_be_asked_for(tmp_path: Path):
    with open_engine(SETTINGS, Rubrics(SETTINGS), Kind.INLINE, load=load) as engine:
        (done,) = engine.run([call(tmp_path, "a")])
    assert isinstance(done.outcome, CallResult)


def test_a_recording_without_a_file_is_a_failure(local: LocalEngine):
    (done,) = local.run([Task(Recording("nowhere.wav", "nowhere"))])
    assert isinstance(done.outcome, Failure)
    assert done.outcome.error_type == "UnreadableAudio"
