"""Open the engine a run asks for, and close it whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from pipeline.batch.engines import Engine, Job
from pipeline.batch.engines.inline import InlineEngine
from pipeline.batch.engines.local import LocalEngine, cores, shared_out
from pipeline.batch.engines.worker import Limits
from pipeline.rubric import Rubrics
from pipeline.settings import Settings
from pipeline.speech.models import Models, load_models


class Kind(StrEnum):
    """The engines by name."""

    LOCAL = "local"
    RAY = "ray"
    INLINE = "inline"


@contextmanager
def open_engine(
    settings: Settings,
    rubrics: Rubrics,
    kind: Kind = Kind.LOCAL,
    *,
    recordings: int | None = None,
    address: str | None = None,
    load: Callable[[Settings], Models] = load_models,
) -> Iterator[Engine]:
    """Give an engine; its workers end with the block.

    Parameters
    ----------
    settings : Settings
        ``run.workers`` says how many workers; 0 is one per core.
    rubrics : Rubrics
    kind : Kind
    recordings : int, optional
        How many there are to do, where known: no more workers are started than that.
    address : str, optional
        Of the Ray cluster; none starts one on this machine.
    load : callable
        Loads the models in each worker; a function with a name, so that it can be sent there.
    """
    engine = _engine(settings, rubrics, kind, recordings, address, load)
    try:
        yield engine
    finally:
        engine.close()


def _engine(
    settings: Settings,
    rubrics: Rubrics,
    kind: Kind,
    recordings: int | None,
    address: str | None,
    load: Callable[[Settings], Models],
) -> Engine:
    rules = settings.run
    limits = Limits(rules.time_limit_s, rules.time_limit_per_audio_s, rules.memory_limit_mib)
    if kind is Kind.INLINE:
        return InlineEngine(Job(settings, rubrics, load))
    if kind is Kind.RAY:
        from pipeline.batch.engines.ray import RayEngine

        job = Job(settings, rubrics, load)
        return RayEngine(job, limits, rules.workers, rules.ray_cpus, rules.ray_gpus, address)
    workers = rules.workers or cores()
    if recordings is not None:
        workers = max(1, min(workers, recordings))
    return LocalEngine(Job(shared_out(settings, workers), rubrics, load), limits, workers)
