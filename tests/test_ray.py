"""The Ray engine on a real cluster of two nodes on this machine, against the local engine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pandas as pd
import psutil
import pytest

import pipeline
from pipeline.batch.engines import Engine, Job, Task
from pipeline.batch.engines.local import LocalEngine
from pipeline.batch.engines.ray import WINDOW_BYTES, RayEngine, Worker, _window, fitting
from pipeline.batch.engines.worker import Limits
from pipeline.batch.runner import analyse
from pipeline.errors import SettingsError, UsageError, WeightsError
from pipeline.export import export
from pipeline.rubric import Rubrics
from pipeline.schema import AGENT, CUSTOMER, CallResult, Failure, Recording
from pipeline.settings import Settings, load_settings
from pipeline.speech.models import Models, weights_used
from pipeline.store import Store
from tests import fakes
from tests.fakes import Script, recording, save

SETTINGS = load_settings()
CALL = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城很高兴为您服务"),
    (CUSTOMER, 6.0, "我想问一下我的订单"),
    (AGENT, 9.5, "好的"),
)
DEADLY_S, SLOW_S = 31, 32  # a recording of this length does that
LIMITS = Limits(base_s=60.0, per_audio_s=1.0)
STORE_BYTES = 80 * 2**20
ONE_MACHINE = [{"CPU": 2.0}]


class Trap(fakes.EnergyDetector):
    """A detector that recordings of certain lengths end or hold up."""

    def __call__(self, audio):
        seconds = audio.size // fakes.HEARD_RATE
        if seconds == DEADLY_S:
            os.kill(os.getpid(), signal.SIGKILL)
        if seconds == SLOW_S:
            time.sleep(3.0)
        return super().__call__(audio)


def load(settings: Settings) -> Models:
    return replace(fakes.models(CALL, weights=weights_used(settings)), detector=Trap())


def load_nothing(settings: Settings) -> Models:
    raise WeightsError("model.bin is missing.", "Run: callcoach models fetch")


def job(load=load, settings: Settings = SETTINGS) -> Job:
    return Job(settings, Rubrics(settings), load)


def call(folder: Path, name: str, quiet_s: float = 0.0) -> Recording:
    return recording(save(folder / f"{name}.wav", CALL.stereo(quiet_s=quiet_s)), agent_channel=0)


def trap(folder: Path, name: str, seconds: int) -> Recording:
    return recording(save(folder / f"{name}.wav", fakes.noise(seconds + 0.5)[None, :]))


@dataclass(frozen=True)
class Stubborn:
    """Cannot be unpacked anywhere but in this process."""

    process: int

    def __reduce__(self):
        return unpack, (self.process,)


def unpack(process: int) -> Stubborn:
    if os.getpid() != process:
        raise ValueError("not here")
    return Stubborn(process)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two nodes: the head with two CPUs, and one more with one."""
    folders = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]  # as pytest sees them
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")]))
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 2, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
            yield cluster.address
        finally:
            cluster.shutdown()


@pytest.fixture
def engine(address: str) -> Iterator[RayEngine]:
    engine = RayEngine(job(), LIMITS, 2, 1.0, 0.0, address)
    yield engine
    engine.close()


def tables(recordings: list[Recording], engine: Engine, folder: Path) -> dict[str, pd.DataFrame]:
    """What a batch on this engine exports, without the time it took."""
    with Store.open(folder / "callcoach.db") as store:
        list(analyse(recordings, SETTINGS, store, engine, Rubrics(SETTINGS)))
        paths = export(store, folder, min_calls=1, formats=("parquet",), workbook=False).files
    frames = {path.stem: pd.read_parquet(path) for path in paths}
    return {n: f[[c for c in f if "processing_seconds" not in c]] for n, f in frames.items()}


@pytest.mark.slow
def test_a_cluster_gives_the_tables_of_one_machine(engine: RayEngine, tmp_path: Path) -> None:
    calls = [call(tmp_path, f"c{i}", i / 4) for i in range(4)]
    (tmp_path / "bad.wav").write_text("no audio")
    bad, deadly = recording(tmp_path / "bad.wav"), trap(tmp_path, "deadly", DEADLY_S)
    by_url = Recording((tmp_path / "c3.wav").as_uri(), "by_url", agent_channel=0)
    recordings = [*calls[:2], bad, *calls[2:], by_url, deadly]
    folders = [tmp_path / "local", tmp_path / "ray"]
    for folder in folders:
        folder.mkdir()
    local = LocalEngine(job(), LIMITS, 1)
    try:
        here = tables(recordings, local, folders[0])
    finally:
        local.close()
    there = tables(recordings, engine, folders[1])
    assert here["calls"]["status"].tolist().count("ok") == 5
    failures = here["failures"].set_index("call_id")["error_type"].to_dict()
    assert failures == {"bad": "UnreadableAudio", "deadly": "WorkerDied"}
    assert here.keys() == there.keys()
    for name, frame in here.items():
        pd.testing.assert_frame_equal(frame, there[name], check_exact=True, obj=name)


@pytest.mark.slow
def test_what_ray_loses_is_done_again_or_is_a_failed_row(address: str, tmp_path: Path) -> None:
    slow = [Task(trap(tmp_path, f"slow{i}", SLOW_S)) for i in range(2)]
    stubborn = Task(replace(call(tmp_path, "stubborn"), team=Stubborn(os.getpid())))
    engine = RayEngine(job(), LIMITS, 1, 1.0, 0.0, address)
    try:
        done = engine.run([*slow, stubborn])
        outcomes = [next(done)]
        ours = psutil.Process().children(recursive=True)
        (actor,) = [process for process in ours if "MapWorker" in process.name()]
        actor.kill()
        outcomes += done
    finally:
        engine.close()
    by_name = {d.task.recording.call_id: d.outcome for d in outcomes}
    lost = by_name.pop("stubborn")
    assert isinstance(lost, Failure)
    assert (lost.error_type, lost.stage) == ("WorkerDied", "worker")
    assert sorted(by_name) == ["slow0", "slow1"]
    assert all(isinstance(outcome, CallResult) for outcome in by_name.values())


@pytest.mark.slow
def test_what_would_fail_for_all_ends_the_run(address: str, tmp_path: Path) -> None:
    engine = RayEngine(job(load_nothing), LIMITS, 0, 0.5, 0.0, address)
    try:
        with pytest.raises(WeightsError, match="missing") as caught:
            list(engine.run([Task(call(tmp_path, "a"))]))
        assert "models fetch" in caught.value.hint
        with pytest.raises(SettingsError, match=r"3 CPUs on 2 nodes") as refused:
            RayEngine(job(), LIMITS, 3, 1.0, 0.0, address)
        assert "--workers 2" in refused.value.hint
    finally:
        engine.close()


def test_a_window_of_tasks_is_bounded_in_number_and_size() -> None:
    small = (Task(Recording(f"{i}.wav", str(i))) for i in count())
    assert [task.recording.call_id for task, _ in _window(small, 3)] == ["0", "1", "2"]
    assert [task.recording.call_id for task, _ in _window(small, 1)] == ["3"]
    large = (Task(Recording(f"{i}.wav", str(i), team="x" * (WINDOW_BYTES // 3))) for i in count())
    assert len(_window(large, 100)) == 3
    assert _window(iter(()), 5) == []


def test_another_version_on_a_node_ends_the_run() -> None:
    worker = Worker(job(), LIMITS, "0.0.1")
    outcome = worker._outcome(Task(Recording("a.wav", "a")))
    assert isinstance(outcome, UsageError)
    assert pipeline.__version__ in outcome.message
    assert "0.0.1" in outcome.message


@pytest.mark.parametrize(
    ("wanted", "cpus", "gpus", "nodes", "workers"),
    [
        (0, 1.0, 0.0, ONE_MACHINE, 1),
        (1, 1.0, 0.0, ONE_MACHINE, 1),
        (0, 0.5, 0.0, ONE_MACHINE, 2),
        (0, 0.1, 0.0, ONE_MACHINE, 10),
        (0, 2.0, 0.0, [{"CPU": 3.0}] * 3, 3),  # a worker never spans two nodes
        (5, 1.0, 0.0, [{"CPU": 4.0}, {"CPU": 2.0}], 5),
        (0, 1.0, 0.25, [{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0}], 4),
        (0, 1.0, 0.6, [{"CPU": 8.0, "GPU": 2.0}], 2),
        (0, 1.0, 2.0, [{"CPU": 8.0, "GPU": 3.0}], 1),
    ],
)
def test_as_many_workers_as_fit(
    wanted: int, cpus: float, gpus: float, nodes: list[dict[str, float]], workers: int
) -> None:
    assert fitting(wanted, cpus, gpus, nodes) == workers


@pytest.mark.parametrize(
    ("wanted", "cpus", "gpus", "nodes", "hint"),
    [
        (2, 1.0, 0.0, ONE_MACHINE, "At most 1 fit"),
        (0, 2.0, 0.0, ONE_MACHINE, "lower run.ray_cpus"),
        (0, 1.0, 0.0, [{"CPU": 1.0}], "Add a node"),
        (4, 2.0, 0.0, [{"CPU": 3.0}] * 3, "--workers 3"),
        (1, 1.0, 0.5, ONE_MACHINE, "run.ray_gpus"),
        (2, 1.0, 1.0, [{"CPU": 8.0, "GPU": 1.0}], "At most 1 fit"),
        (1, 1.0, 1.5, [{"CPU": 8.0, "GPU": 4.0}], "Use 1 or 2"),
        (1, 1.0, 0.0, [], "Add a node"),
    ],
)
def test_settings_that_would_wait_for_ever_are_refused(
    wanted: int, cpus: float, gpus: float, nodes: list[dict[str, float]], hint: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        fitting(wanted, cpus, gpus, nodes)
    assert hint in caught.value.hint


def test_a_gpu_that_no_worker_gets_is_refused() -> None:
    cuda = load_settings(overrides={"asr.device": "cuda"})
    with pytest.raises(SettingsError, match="ray_gpus"):
        RayEngine(job(settings=cuda), LIMITS, 1, 1.0, 0.0, None)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("127.0.0.1:1", UsageError, "Connection refused"),
        ("127.0.0.1:x", UsageError, "invalid literal"),
        ("ray://127.0.0.1:1", SettingsError, "HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_says_what_to_do(
    address: str, error: type[UsageError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        RayEngine(job(), LIMITS, 1, 1.0, 0.0, address)
    assert caught.value.hint
