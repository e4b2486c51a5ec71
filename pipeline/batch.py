"""Many recordings: skip what is done, re-judge where only the rubric changed, one row per failure.

A stored result is as good as a new one when content, settings and weights are the same. When only
the rubric differs, the stored turns, events and measures are judged again without recognising.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pipeline.compliance import Rubric, load_rubric
from pipeline.errors import RecordingError, UnreadableAudio
from pipeline.run import judge_call, provenance, run_call
from pipeline.schema import CallResult, Dialogue, Failure, Recording, Seconds
from pipeline.settings import Settings, config_path
from pipeline.speech.models import Models, weights_used
from pipeline.store import Identity, Store
from pipeline.weights import file_sha256

Outcome = Literal["analysed", "judged again", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one recording."""

    recording: Recording
    outcome: Outcome
    audio_s: Seconds = 0.0
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()


@dataclass
class Rubrics:
    """The rubric of each call by queue, team and direction, each file loaded once."""

    settings: Settings
    _loaded: dict[str, Rubric] = field(default_factory=dict)

    def of(self, recording: Recording) -> Rubric:
        """The rubric that judges this recording."""
        rules = self.settings.compliance
        name = (
            rules.rubric_by_queue.get(recording.queue or "")
            or rules.rubric_by_team.get(recording.team or "")
            or (rules.rubric_outbound if recording.direction == "outbound" else None)
            or rules.rubric
        )
        return self.load(name)

    def load(self, name: str) -> Rubric:
        """Load one rubric file, once."""
        if name not in self._loaded:
            self._loaded[name] = load_rubric(config_path(name))
        return self._loaded[name]

    def check(self) -> None:
        """Load every rubric the settings name, so that a mistake is known before the night."""
        rules = self.settings.compliance
        names = [rules.rubric, *rules.rubric_by_queue.values(), *rules.rubric_by_team.values()]
        for name in [*names, *([rules.rubric_outbound] if rules.rubric_outbound else [])]:
            self.load(name)


def analyse(
    recordings: Iterable[Recording],
    settings: Settings,
    store: Store,
    load: Callable[[Settings], Models],
    *,
    force: bool = False,
) -> Iterator[Step]:
    """Analyse recordings one after the other and save each as soon as it is done.

    Parameters
    ----------
    recordings : iterable of Recording
    settings : Settings
    store : Store
    load : callable
        Loads the models; called with the first recording that needs them.
    force : bool
        Analyse again what is unchanged.

    Yields
    ------
    Step
        One a recording, in order. Errors of one recording are steps, not exceptions.

    Raises
    ------
    WeightsError, RubricError, OutputError
        What would fail for every recording ends the run.
    """
    rubrics = Rubrics(settings)
    rubrics.check()
    weights = weights_used(settings)
    models: Models | None = None
    for recording in recordings:
        rubric = rubrics.of(recording)
        try:
            done = None if force else _stored(recording, settings, weights, rubric, store)
            if done is not None:
                yield done
                continue
            models = models or load(settings)
            result = run_call(recording, settings, models, rubric)
        except RecordingError as error:
            failure = _failure(recording, error)
            store.save_failure(failure, recording)
            yield Step(recording, "failed", failure=failure)
            continue
        store.save(result, result.problems)
        yield Step(recording, "analysed", result.duration, warnings=result.warnings)


def judge_again(result: CallResult, rubric: Rubric) -> CallResult:
    """Judge a stored call by another rubric; nothing is recognised or measured again."""
    measures = {k: v for k, v in result.measures.items() if not k.startswith("compliance_")}
    call = Dialogue(
        result.recording, result.duration, result.turns, result.events, measures, result.quality
    )
    events, verdicts, scores = judge_call(call, rubric)
    return replace(
        result,
        events=events,
        verdicts=verdicts,
        measures=measures | scores,
        provenance=replace(result.provenance, rubric=rubric.sha256),
    )


def _stored(
    recording: Recording,
    settings: Settings,
    weights: dict[str, str],
    rubric: Rubric,
    store: Store,
) -> Step | None:
    """Use what is in the store: as it is, or judged again by a changed rubric or metadata."""
    try:
        sha256 = file_sha256(Path(recording.path))
    except OSError as cause:
        raise UnreadableAudio(
            f"{recording.path} cannot be read: {cause.strerror or cause}.",
            "Check that the file is there and that you may read it.",
        ) from cause
    wanted = Identity.of(recording.call_id, sha256, provenance(settings, weights, rubric))
    if not store.has(wanted, ignore_rubric=True):
        return None
    earlier = store.load(recording.call_id)
    if not _speaks_alike(earlier.recording, recording):
        return None
    if store.has(wanted) and earlier.recording == recording:
        return Step(recording, "unchanged", earlier.duration, warnings=earlier.warnings)
    result = judge_again(replace(earlier, recording=recording), rubric)
    store.save(result, result.problems)
    return Step(recording, "judged again", result.duration, warnings=result.warnings)


def _speaks_alike(one: Recording, other: Recording) -> bool:
    """Whether the metadata that decides who is the agent is the same."""
    return (one.agent_channel, one.direction) == (other.agent_channel, other.direction)


def _failure(recording: Recording, error: RecordingError) -> Failure:
    return Failure(
        path=recording.path,
        call_id=recording.call_id,
        stage=error.stage,
        error_type=type(error).__name__,
        message=error.message,
        hint=error.hint,
    )
