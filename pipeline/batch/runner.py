"""Many recordings: skip what is done, re-judge where only the rubric changed, one row per failure.

A stored result is as good as a new one when content, settings and weights are the same. When only
the rubric or the metadata differs, the stored turns, events and measures are judged again without
recognising. What there is to do goes to an engine; what comes back is saved here, one transaction
a call, so that a run that ends at any moment has lost only what was under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from pipeline.batch.engines import Done, Engine, Task
from pipeline.batch.engines.inline import failure
from pipeline.errors import RecordingError
from pipeline.io import files
from pipeline.rubric import Rubric, Rubrics
from pipeline.run import provenance
from pipeline.schema import CallResult, Failure, Recording, Seconds
from pipeline.settings import Settings
from pipeline.speech.models import weights_used
from pipeline.store import Identity, Store

KEPT_WARNINGS = 20
Outcome = Literal["analysed", "judged again", "unchanged", "failed"]


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
    todo: list[tuple[Recording, bool]] = []
    for recording in recordings:
        need: Need = "analyse"
        earlier: CallResult | None = None
        if not force:
            try:
                need, earlier = _need(recording, settings, weights, rubrics.of(recording), store)
            except RecordingError as error:
                yield _failed(recording, failure(recording, error), store)
                continue
        if need == "nothing" and earlier is not None:
            yield Step(recording, "unchanged", earlier.duration, warnings=earlier.warnings)
        else:
            todo.append((recording, need == "judge"))
    tasks = (
        Task(recording, store.load(recording.call_id) if again else None)
        for recording, again in todo
    )
    for done in engine.run(tasks):
        yield _saved(done, store)


Need = Literal["nothing", "judge", "analyse"]


def _need(
    recording: Recording,
    settings: Settings,
    weights: dict[str, str],
    rubric: Rubric,
    store: Store,
) -> tuple[Need, CallResult | None]:
    """What is left to do of a recording, and the stored result if that is of use."""
    known = store.known(recording.call_id)
    made = provenance(settings, weights, rubric)
    if known is None or not known.alike(Identity.of(recording.call_id, known.sha256, made)):
        return "analyse", None  # found without hashing the file
    wanted = Identity.of(recording.call_id, files.sha256(recording.path), made)
    if not known.alike(wanted):
        return "analyse", None
    earlier = store.load(recording.call_id)
    if not _speaks_alike(earlier.recording, recording):
        return "analyse", None
    same = known == wanted and earlier.recording == recording
    return "nothing" if same else "judge", earlier


def _saved(done: Done, store: Store) -> Step:
    outcome, recording = done.outcome, done.task.recording
    if isinstance(outcome, Failure):
        return _failed(recording, outcome, store)
    store.save(outcome)
    return Step(
        recording,
        "analysed" if done.task.earlier is None else "judged again",
        outcome.duration,
        warnings=outcome.warnings,
        stage_seconds=dict(outcome.stage_seconds),
    )


def _failed(recording: Recording, failed: Failure, store: Store) -> Step:
    store.save_failure(failed, recording)
    return Step(recording, "failed", failure=failed)


def _speaks_alike(one: Recording, other: Recording) -> bool:
    """Whether the metadata that decides who is the agent is the same."""
    return (one.agent_channel, one.direction) == (other.agent_channel, other.direction)
