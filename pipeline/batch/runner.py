"""Many recordings: skip what is done, re-judge where only the rubric changed, one row per failure.

A stored result is as good as a new one when content, settings and weights are the same; a file of
the same size and time of change is taken for unchanged. When only the rubric or the metadata
differs, the stored turns, events and measures are judged again without recognising. What there is
to do goes to an engine; what comes back is saved here, one transaction a call, so that a run that
ends at any moment has lost only what was under way.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pipeline.audio import MAX_BYTES
from pipeline.batch.engines import Engine, Task
from pipeline.batch.engines.inline import failure
from pipeline.batch.identity import Copy, content_of, filled, stamp_of
from pipeline.batch.layouts import Layouts
from pipeline.batch.repeats import tell_anew
from pipeline.errors import RecordingError
from pipeline.io import files
from pipeline.judgement import provenance
from pipeline.rubric import Rubrics
from pipeline.schema import CallResult, Failure, Provenance, Recording, Seconds
from pipeline.settings import Settings
from pipeline.speech.models import weights_used
from pipeline.speech.roles import roles_hold
from pipeline.store import Identity, Known, Store

KEPT_WARNINGS = 20
AT_ONCE = 500  # recordings asked for in one query
Need = Literal["nothing", "judge", "analyse"]
Outcome = Literal["analysed", "judged again", "unchanged", "a copy", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one recording."""

    recording: Recording
    outcome: Outcome
    audio_s: Seconds = 0.0
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()
    stage_seconds: dict[str, Seconds] = field(default_factory=dict)


@dataclass
class Tally:
    """How many recordings came to what; keeps the failures and, of many warnings, the first."""

    counts: Counter[str] = field(default_factory=Counter)
    audio_s: Seconds = 0.0
    new_audio_s: Seconds = 0.0  # of what was analysed now
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    warned: int = 0

    def count(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Pass steps on and count each."""
        for step in steps:
            self.add(step)
            yield step

    def add(self, step: Step) -> None:
        """Count one step."""
        self.counts[step.outcome] += 1
        self.audio_s = round(self.audio_s + step.audio_s, 3)
        if step.outcome == "analysed":
            self.new_audio_s = round(self.new_audio_s + step.audio_s, 3)
        if step.failure is not None:
            self.failures.append(step.failure)
        self.warned += len(step.warnings)
        room = max(0, KEPT_WARNINGS - len(self.warnings))
        self.warnings += [f"{step.recording.call_id}: {w}" for w in step.warnings[:room]]

    @property
    def failed(self) -> int:
        """Recordings that could not be analysed."""
        return self.counts["failed"]

    @property
    def unchanged(self) -> int:
        """Recordings whose stored result still holds."""
        return self.counts["unchanged"]

    @property
    def changed(self) -> int:
        """Recordings with a new result."""
        return self.counts["analysed"] + self.counts["judged again"]

    @property
    def steps(self) -> int:
        """All recordings so far."""
        return sum(self.counts.values())


def analyse(
    recordings: Iterable[Recording],
    settings: Settings,
    store: Store,
    engine: Engine,
    rubrics: Rubrics,
    *,
    copies: Sequence[Copy] = (),
    force: bool = False,
) -> Iterator[Step]:
    """Analyse what is new or changed and save each call as soon as it is done.

    Parameters
    ----------
    recordings : iterable of Recording
    settings : Settings
    store : Store
    engine : Engine
    rubrics : Rubrics
    copies : sequence of Copy
        Recordings that hold what another one holds; they are analysed only if that one fails.
    force : bool
        Analyse again what is unchanged.

    Yields
    ------
    Step
        One a recording: first what needs no work, then the rest as it is done. Errors of one
        recording are steps, not exceptions.

    Raises
    ------
    UsageError
        What would fail for every recording (weights, rubric, store) ends the run.
    """
    for rubric in rubrics.all():
        store.keep_document("rubrics", rubric.sha256, rubric.outline())
    store.keep_document("settings", settings.digest(), settings.model_dump_json())
    weights = weights_used(settings)
    made = {rubric.sha256: provenance(settings, weights, rubric) for rubric in rubrics.all()}
    failed = store.failed_places()
    todo: list[tuple[Recording, bool]] = []
    waiting = iter(recordings)
    while some := list(itertools.islice(waiting, AT_ONCE)):
        known = store.known([r.call_id for r in some])
        for recording in some:
            before = known.get(recording.call_id)
            if before is None:
                todo.append((recording, False))
                continue
            recording = filled(recording, before.recording, settings.time.zone)
            wanted = made[rubrics.of(recording).sha256]
            try:
                need: Need = "analyse" if force else _need(recording, before, wanted)
            except RecordingError as error:
                yield _failed(recording, failure(recording, error), store)
                continue
            if need != "nothing":
                todo.append((recording, need == "judge"))
                continue
            if files.shown(recording.path) in failed:
                store.resolve(recording.path)
            if before.stamp != (stamp := stamp_of(recording.path, recording.path_2)):
                store.stamp(recording.call_id, recording, stamp)
            yield Step(recording, "unchanged", before.duration, warnings=before.warnings)
    heard: set[str] = set()
    for step in _worked(todo, store, engine):
        heard |= {step.recording.call_id} if step.outcome == "analysed" else set()
        yield step
    alone: list[tuple[Recording, bool]] = []
    for copy in copies:
        same = store.of_contents([copy.sha256]).get(copy.sha256)
        if same is None:  # what it is a copy of could not be analysed
            alone.append((copy.recording, False))
            continue
        note = (
            f"{copy.recording.path} holds the same as {copy.place}: one call, {next(iter(same))}."
        )
        yield Step(copy.recording, "a copy", warnings=(note,))
    for step in _worked(alone, store, engine):
        heard |= {step.recording.call_id} if step.outcome == "analysed" else set()
        yield step
    for _ in tell_anew(store, engine, heard):
        pass


def _need(recording: Recording, before: Known, wanted: Provenance) -> Need:
    """What is left to do of a recording whose call is known."""
    if before.identity is None:
        return "analyse"
    identity = Identity.of(recording.call_id, before.identity.sha256, wanted)
    if not before.identity.alike(identity):
        return "analyse"
    stamp = stamp_of(recording.path, recording.path_2)
    is_unread = not stamp or stamp != before.stamp
    if stamp and int(stamp.partition(":")[0]) > MAX_BYTES:
        return "analyse"  # which refuses it
    if is_unread and content_of(recording) != before.identity.sha256:
        return "analyse"
    shown = replace(recording, path=files.shown(recording.path))
    return "nothing" if before.identity == identity and before.recording == shown else "judge"


def _worked(todo: Sequence[tuple[Recording, bool]], store: Store, engine: Engine) -> Iterator[Step]:
    """Do what is to do: analyse, or only judge again; then those that leave doubt who is the agent."""
    layouts, waiting = Layouts(store), dict[str, Step]()
    tasks = (Task(r, _earlier(r, store) if again else None) for r, again in todo)
    for step, result in _done(tasks, store, engine):
        if step.outcome == "analysed" and result is not None and layouts.add(result):
            waiting[step.recording.call_id] = step
        else:
            yield step
    again = [Task(r, usual=usual) for r, usual in layouts.again()]
    for step, _ in _done(again, store, engine):
        waiting.pop(step.recording.call_id)
        yield step
    yield from waiting.values()


def _earlier(recording: Recording, store: Store) -> CallResult | None:
    """The stored result to judge again; None where other metadata may make another the agent."""
    earlier = store.load(recording.call_id)
    if _speaks_alike(earlier.recording, recording):
        return earlier
    confidence = roles_hold(earlier, recording)
    return None if confidence is None else replace(earlier, role_confidence=confidence)


def _done(
    tasks: Iterable[Task], store: Store, engine: Engine
) -> Iterator[tuple[Step, CallResult | None]]:
    """Let the engine work on tasks, and save what comes back."""
    stamps: dict[str, str] = {}

    def stamped() -> Iterator[Task]:
        for task in tasks:
            stamps[task.recording.call_id] = stamp_of(task.recording.path, task.recording.path_2)
            yield task

    for done in engine.run(stamped()):
        outcome, recording = done.outcome, done.task.recording
        stamp = stamps.pop(recording.call_id)
        if isinstance(outcome, Failure):
            yield _failed(recording, outcome, store), None
            continue
        store.save(outcome, stamp=stamp)
        step = Step(
            recording,
            "analysed" if done.task.earlier is None else "judged again",
            outcome.duration,
            warnings=outcome.warnings,
            stage_seconds=dict(outcome.stage_seconds),
        )
        yield step, outcome


def _failed(recording: Recording, failed: Failure, store: Store) -> Step:
    store.save_failure(failed, recording)
    return Step(recording, "failed", failure=failed)


def _speaks_alike(one: Recording, other: Recording) -> bool:
    """Whether the metadata that decides who is the agent is the same."""
    return (one.agent_channel, one.direction) == (other.agent_channel, other.direction)
