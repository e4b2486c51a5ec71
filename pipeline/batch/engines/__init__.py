"""Engines: where the work on many recordings is done; all keep one contract.

An engine takes tasks and gives back one :class:`Done` a task, in the order of completion. It never
raises for one recording: whatever becomes of it, even of the process that worked on it, is a
result or a failure. It raises only what would fail for every recording (missing weights, say).

``inline`` works in this process, ``local`` in worker processes, ``ray`` on a cluster. The same
tasks give the same results on each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.rubric import Rubrics
from pipeline.schema import CallResult, Failure, Recording, Span
from pipeline.settings import Settings
from pipeline.speech.models import Models
from pipeline.speech.roles import Usual


@dataclass(frozen=True, slots=True)
class Task:
    """One recording to analyse; with ``earlier``, only to judge again what was found then.

    ``usual`` is where the agent is in other calls of its source, for a call whose words leave doubt.
    ``repeated`` (by channel) is heard in other calls as well: what was recognised ``earlier`` is told
    anew with that.
    """

    recording: Recording
    earlier: CallResult | None = None
    usual: Usual | None = None
    repeated: Mapping[int, Sequence[Span]] | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a task."""

    task: Task
    outcome: CallResult | Failure


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker of a run is told once; it must pickle, so ``load`` is a named function."""

    settings: Settings
    rubrics: Rubrics
    load: Callable[[Settings], Models]


class Engine(Protocol):
    """The contract."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Work on tasks, taken only as fast as they are done; give each as soon as it is done.

        Raises
        ------
        UsageError
            What would fail for every recording.
        """

    def close(self) -> None:
        """Give up what is under way and free everything."""
