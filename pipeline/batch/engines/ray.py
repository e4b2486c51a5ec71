"""The engine of a cluster: Ray Data with one actor for each worker.

Conventions
-----------
Each actor owns one supervised worker process, so that a recording that crashes, hangs or swells
costs one failed row here as on one machine. What Ray itself loses (an actor or a node) is tried
again; a task it drops all the same is a failed row. Tasks travel in windows, so that millions
of them are never held at once; a window is long enough for starting its actors not to matter.

Actors that take every CPU of a cluster leave Ray Data none to move data with, and it waits for
ever: one CPU stays free, and settings that cannot be met are refused before anything starts.
The program reports nothing to anybody: usage statistics and the dashboard are off.

Source: the Ray Data guide (stateful transforms, fault tolerance).
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from pipeline import __version__
from pipeline.batch.engines import Done, Job, Task
from pipeline.batch.engines.inline import failure
from pipeline.batch.engines.worker import Limits, Supervisor
from pipeline.errors import SettingsError, StageError, UsageError, WorkerDied
from pipeline.schema import CallResult, Failure
from pipeline.settings import Settings

SPARE_CPUS = 1.0
TASKS_PER_WORKER = 200
WINDOW_BYTES = 64 * 2**20
OBJECT_STORE_BYTES = 512 * 2**20
DEFAULT_PORT = 6379
CONNECT_S = 5.0
CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # whatever the system; 0 listens on loopback only
ROUNDING = 1e-6

_log = logging.getLogger(__name__)


class RayEngine:
    """Workers on the nodes of a Ray cluster.

    Parameters
    ----------
    job : Job
    limits : Limits
        What one recording may cost.
    workers : int
        Number of workers; 0 takes as many as fit, and nodes that join count from the next window.
    cpus, gpus : float
        What each worker takes; fractions share.
    address : str, optional
        ``auto`` for the cluster this machine belongs to, or ``host:port`` of its head; none
        starts Ray on this machine alone.

    Raises
    ------
    SettingsError
        If that many workers do not fit the cluster.
    UsageError
        If Ray is not installed or there is no cluster at the address.
    """

    def __init__(
        self,
        job: Job,
        limits: Limits,
        workers: int,
        cpus: float,
        gpus: float,
        address: str | None,
    ) -> None:
        _check_devices(job.settings, gpus)
        self._job, self._limits = replace(job, settings=_threads(job.settings, cpus)), limits
        self._wanted, self._cpus, self._gpus = workers, cpus, gpus
        self._ray, self._ours = _connect(address)
        try:
            self._workers = fitting(workers, cpus, gpus, self._nodes())
        except SettingsError:
            self.close()
            raise
        free = self._ray.available_resources().get("CPU", 0.0)
        if free < self._workers * cpus:
            _log.warning("Other work holds CPUs of the cluster (%g free); ours may wait.", free)

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Work on tasks, a window of them at a time."""
        source = iter(tasks)
        while window := _window(source, TASKS_PER_WORKER * self._workers):
            yield from self._work(window)
            most = fitting(0, self._cpus, self._gpus, self._nodes())
            self._workers = min(self._wanted or most, most)

    def close(self) -> None:
        """Leave the cluster; what is under way is given up."""
        if self._ours:
            self._ray.shutdown()

    def _work(self, window: Sequence[tuple[Task, bytes]]) -> Iterator[Done]:
        """Have the tasks of a window done; what Ray lost for good comes last, as failures."""
        missing = {number: task for number, (task, _) in enumerate(window)}
        data, workers = self._ray.data, min(self._workers, len(window))
        source = data.from_arrow([_row(number, sent) for number, (_, sent) in enumerate(window)])
        worked = source.map_batches(
            Worker,
            fn_constructor_args=(self._job, self._limits, __version__),
            batch_size=1,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=self._cpus,
            num_gpus=self._gpus,
        )
        for number, outcome in self._results(worked):
            if isinstance(outcome, UsageError):
                raise outcome
            yield Done(missing.pop(number), outcome)
        for task in missing.values():
            yield Done(task, failure(task.recording, _lost()))

    def _results(self, worked: Any) -> Iterator[tuple[int, CallResult | Failure | UsageError]]:
        """Stream what the actors give; an error of Ray itself is one of usage."""
        try:
            for batch in worked.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=1
            ):
                for row in batch.to_pylist():
                    yield row["number"], pickle.loads(row["content"])
        except (self._ray.exceptions.RayError, OSError) as cause:
            lines = [line for line in str(cause).splitlines() if line.strip()]
            raise UsageError(
                f"Ray gave up: {type(cause).__name__}: {lines[-1].strip() if lines else 'no reason'}.",
                f"Check that every node has callcoach {__version__} and that `ray status` shows "
                "all nodes; what was finished is saved, run the same command again to go on.",
            ) from cause

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]


class Worker:
    """What an actor holds: the supervisor of one worker process."""

    def __init__(self, job: Job, limits: Limits, version: str) -> None:
        self._supervisor = Supervisor(job, limits)
        self._version = version

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Do the one task in a batch."""
        (row,) = batch.to_pylist()
        return _row(row["number"], pickle.dumps(self._outcome(pickle.loads(row["content"]))))

    def _outcome(self, task: Task) -> CallResult | Failure | UsageError:
        if self._version != __version__:
            return UsageError(
                f"A node of the cluster has callcoach {__version__}, this machine {self._version}.",
                "Install the same version on every node.",
            )
        try:
            return self._supervisor.do(task)
        except UsageError as error:
            return error
        except Exception as cause:  # nothing may escape: Ray would drop the task without a word
            return failure(task.recording, StageError("worker", cause))


def fitting(workers: int, cpus: float, gpus: float, nodes: Sequence[Mapping[str, float]]) -> int:
    """Give the number of workers that a cluster has room for.

    Parameters
    ----------
    workers : int
        How many are wanted; 0 takes as many as fit.
    cpus, gpus : float
        What each takes.
    nodes : sequence of mapping
        ``CPU`` and ``GPU`` of every node.

    Raises
    ------
    SettingsError
        If they do not fit, with one CPU left for Ray Data.
    """
    if gpus > 1 and gpus != int(gpus):
        raise SettingsError(
            f"run.ray_gpus = {gpus:g} is not allowed: a worker takes a share of one GPU, or whole "
            "GPUs.",
            f"Use {math.floor(gpus)} or {math.ceil(gpus)}.",
        )
    total = sum(node.get("CPU", 0.0) for node in nodes)
    places = sum(_places(node, cpus, gpus) for node in nodes)
    most = max(0, min(places, _whole((total - SPARE_CPUS) / cpus)))
    if 0 < max(workers, 1) <= most:
        return workers or most
    graphics = f" and {sum(node.get('GPU', 0.0) for node in nodes):g} GPUs" if gpus else ""
    share = f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
    raise SettingsError(
        f"{workers or 'One'} worker{'s' * (workers > 1)} of {share} each would wait for ever in "
        f"this Ray cluster: it has {total:g} CPUs{graphics} on {len(nodes)} nodes, and one CPU "
        "must stay free.",
        f"At most {most} fit: use --workers {most}, or lower run.ray_cpus."
        if most
        else "Add a node, or lower run.ray_cpus or run.ray_gpus.",
    )


def _places(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """How many workers fit one node; a worker never spans two."""
    places = _whole(node.get("CPU", 0.0) / cpus)
    if gpus > 1:
        return min(places, _whole(node.get("GPU", 0.0) / gpus))
    if gpus > 0:
        return min(places, _whole(node.get("GPU", 0.0)) * _whole(1 / gpus))
    return places


def _whole(number: float) -> int:
    return math.floor(number + ROUNDING)


def _check_devices(settings: Settings, gpus: float) -> None:
    if gpus == 0 and "cuda" in (settings.asr.device, settings.diarization.device):
        raise SettingsError(
            "The settings ask for device cuda, but run.ray_gpus = 0 gives the workers no GPU.",
            "Say what share of a GPU a worker takes, for example --set run.ray_gpus=0.5",
        )


def _threads(settings: Settings, cpus: float) -> Settings:
    """Let a worker use as many threads as it takes CPUs, where the settings do not say."""
    if settings.asr.threads:
        return settings
    asr = settings.asr.model_copy(update={"threads": max(1, _whole(cpus))})
    return settings.model_copy(update={"asr": asr})


def _window(source: Iterator[Task], most: int) -> list[tuple[Task, bytes]]:
    """Take the next tasks, each with what is sent of it; few when they are large."""
    window: list[tuple[Task, bytes]] = []
    room = WINDOW_BYTES
    while room > 0 and len(window) < most and (task := next(source, None)) is not None:
        sent = pickle.dumps(task)
        window.append((task, sent))
        room -= len(sent)
    return window


def _row(number: int, content: bytes) -> pa.Table:
    return pa.table({"number": [number], "content": pa.array([content], pa.large_binary())})


def _lost() -> WorkerDied:
    return WorkerDied(
        "The cluster lost this recording.",
        "Run the same command again; if it stays so, run this recording alone with --engine local.",
    )


def _connect(address: str | None) -> tuple[Any, bool]:
    """Join a cluster, or start one; say whether it is ours to leave."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # remarks that are no errors of ours
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # 40 s each when nothing answers
    os.environ[CLUSTERS] = "0" if address is None else "1"
    try:
        import ray
        import ray.data
    except ImportError as cause:
        raise UsageError(
            "The Ray engine needs the package ray, which is not installed.",
            'Install it on every node: pip install "callcoach[ray]"',
        ) from cause
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = address is not None  # imported before, maybe
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ours = not ray.is_initialized()
    if ours:
        _start(ray, address)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # what Ray lost is found by what is missing
    return ray, ours


def _start(ray: Any, address: str | None) -> None:
    if address is not None and "://" in address:
        raise SettingsError(
            f'The Ray address "{address}" is not allowed; allowed are auto and HOST:PORT.',
            "Run callcoach on a machine of the cluster.",
        )
    here: dict[str, Any] = {}
    if address is None:
        here = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        if address not in (None, "auto"):
            address = _answering(address)
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **here
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as cause:
        raise UsageError(
            f"Ray cannot be used at {address or 'this machine'}: "
            f"{' '.join(str(cause).split()) or type(cause).__name__}.",
            "Start it with `ray start --head`, join it on this machine with `ray start "
            "--address=HOST:6379`, and set RAY_AUTH_MODE as there; see docs/scale.md.",
        ) from cause


def _answering(address: str) -> str:
    """Add the usual port; fail at once where Ray would try for many minutes."""
    host, _, port = (address if ":" in address else f"{address}:{DEFAULT_PORT}").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=CONNECT_S):
        return f"{host}:{port}"
