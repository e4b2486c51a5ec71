"""The bench on which faults are done: the calls, the undisturbed run, and what is compared to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.commands.run_log import LOG_NAME
from tests.faults import calls, tables
from tests.faults.runs import Run

WORKERS = 2
ATTEMPTS = 3  # a run may end before its moment comes


def done(out: Path) -> int:
    """How many calls the log of a run says are done."""
    path = out / LOG_NAME
    return path.read_text("utf-8").count('"event": "call"') if path.exists() else 0


class Skipped(Exception):
    """The fault cannot be done on this machine; says why."""


@dataclass
class Report:
    """What came of a fault: how often it was done, what was wrong, what else is worth saying."""

    times: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, when: str, problems: Iterable[str]) -> None:
        """Keep what was wrong at some moment."""
        self.problems += [f"{when}: {problem}" for problem in problems]


@dataclass(frozen=True)
class Fault:
    """One fault; ``times`` is how often it is done in full and in short."""

    name: str
    what: str
    expected: str
    times: tuple[int, int]
    do: Callable[[Lab, int], Report]


class Lab:
    """A folder with calls and as many output folders as are asked for."""

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        self.folder, self.count, self.seed = folder, count, seed
        self.rng = np.random.default_rng(seed)
        self._outs = 0

    @cached_property
    def calls(self) -> Path:
        """The folder of the calls; the metadata and the scores are beside it."""
        return calls.make(self.folder, self.count, self.seed)

    @cached_property
    def _undisturbed(self) -> tuple[tables.Tables, float, Path]:
        out = self.out("undisturbed")
        ended = self.analyze(out).end()
        if wrong := ended.wrong(0) + tables.litter(out):
            raise AssertionError(f"The undisturbed run: {wrong}")
        found = tables.read(out)
        if found.calls != self.count:
            raise AssertionError(f"The undisturbed run has {found.calls} results.")
        return found, ended.seconds, out

    @property
    def wanted(self) -> tables.Tables:
        """What an undisturbed run leaves."""
        return self._undisturbed[0]

    @property
    def seconds(self) -> float:
        """How long an undisturbed run takes."""
        return self._undisturbed[1]

    @property
    def finished(self) -> Path:
        """The output folder of the undisturbed run."""
        return self._undisturbed[2]

    def out(self, name: str = "") -> Path:
        """An output folder that is not there yet."""
        self._outs += 1
        return self.folder / "outs" / f"{self._outs:03d}{name}"  # the logs stay here

    def moment(self) -> float:
        """A random moment of a run, seconds."""
        return float(self.rng.uniform(0.0, self.seconds))

    def moment_under_way(self, run: Run, out: Path) -> bool:
        """Wait until a call or more is done, and a moment; False if the program ends before."""
        calls_done = int(self.rng.integers(1, self.count))
        pause = float(self.rng.uniform(0.0, self.seconds / self.count))
        missing = run.wait_for(lambda: done(out) >= calls_done)
        return not missing and run.sleep_until(run.seconds + pause)

    def analyze(self, out: Path, *options: str | Path, **changes: object) -> Run:
        """Start a run over the calls; ``changes`` as for :class:`Run`."""
        return self.start("analyze", self.calls, out, *options, **changes)

    def start(
        self,
        command: str,
        recordings: Path,
        out: Path,
        *options: str | Path,
        before: Callable[[], None] | None = None,
        environment: Mapping[str, str] = {},
    ) -> Run:
        """Start ``analyze`` or ``watch`` over a folder of these calls."""
        known = self.calls.parent
        tables.age(out)
        return Run(
            *(command, recordings, "--out", out, "--workers", str(WORKERS)),
            *("--metadata", known / "metadata.csv", "--scores", known / "scores.csv"),
            *options,
            folder=self.folder,
            before=before,
            environment=environment,
        )

    def unlike(self, out: Path, store: str | None = None) -> list[str]:
        """Where the tables of an output folder differ from those of the undisturbed run."""
        return tables.differences(tables.read(out, store), self.wanted) + tables.litter(out)

    def resume(self, out: Path, *options: str) -> list[str]:
        """Run again, undisturbed, and say what is wrong with the end or the tables."""
        if wrong := self.analyze(out, *options).end().wrong(0):
            return [f"resume: {what}" for what in wrong]
        store = options[options.index("--store") + 1] if "--store" in options else None
        return self.unlike(out, store) + ([] if store else tables.damage(out))

    def sweep(self) -> None:
        """Kill what a fault has left running because it failed itself."""
        for run in list(Run.started):
            run.sweep()

    def copy_calls(self, target: Path, numbers: Iterable[int]) -> None:
        """Copy some calls, as a recorder would: under another name first."""
        target.mkdir(parents=True, exist_ok=True)
        names = sorted(self.calls.iterdir())
        for number in numbers:
            part = target / f"{names[number].name}.part"
            shutil.copy(names[number], part)
            part.rename(target / names[number].name)
