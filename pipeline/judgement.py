"""Judge a call: a new one, a stored one, or one that a rubric is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline import __version__
from pipeline.dialogue.switch import part_turns, take_events
from pipeline.metrics import measured
from pipeline.rubric import Rubric, annotated, judge, score
from pipeline.schema import AGENT, CallResult, Dialogue, Event, Provenance, Recording, Verdict
from pipeline.settings import Settings
from pipeline.speech.asr.whisper import instruction_set


def judge_call(
    call: Dialogue, rubric: Rubric
) -> tuple[tuple[Event, ...], tuple[Verdict, ...], dict[str, float | None]]:
    """Judge one call: its events with what the rubric found of them, its verdicts, its scores.

    The one door to a judgement: of a new call, of a stored one, and of one that a rubric is tried on.
    """
    call = annotated(call, rubric)
    verdicts = judge(call, rubric)
    card = score(verdicts, rubric)
    scores: dict[str, float | None] = {
        "compliance_score": card.compliance_score,
        "compliance_passed": card.passed,
        "compliance_failed": card.failed,
        "compliance_unjudged": card.unjudged,
        "compliance_low": card.low,
        "compliance_high": card.high,
        "judged_share": card.judged_share,
    }
    return call.events, verdicts, scores


def judge_again(
    earlier: CallResult, recording: Recording, settings: Settings, rubric: Rubric
) -> CallResult:
    """Judge a stored call by another rubric, or with other metadata or events of the switch.

    Nothing is recognised again. Turns and events are parted anew by what the switch knows; the voice
    of a party of whom turns are set aside that were measured with the others is not known.
    """
    if recording.switch or earlier.recording.switch:
        earlier = _by_switch(earlier, recording, settings)
    measures = {k: v for k, v in earlier.measures.items() if not k.startswith("compliance_")}
    call = replace(earlier.dialogue(), recording=recording, measures=measures)
    events, verdicts, scores = judge_call(call, rubric)
    return replace(
        earlier,
        recording=recording,
        events=events,
        verdicts=verdicts,
        measures=measures | scores,
        provenance=replace(earlier.provenance, rubric=rubric.sha256),
    )


def _by_switch(earlier: CallResult, recording: Recording, settings: Settings) -> CallResult:
    """The turns, events and measures of a stored call with what the switch knows of it now."""
    turns = sorted((*earlier.turns, *earlier.aside), key=lambda t: t.turn)
    counted, aside = part_turns(turns, recording.switch, recording.agent_id)
    events, superseded, told = take_events(
        sorted((*earlier.events, *earlier.superseded), key=lambda e: (e.start, e.end, e.kind)),
        counted, aside, recording.switch, earlier.duration, settings.silences,
    )  # fmt: skip
    later = (t for t in counted if t.speaker == AGENT and t.leg > 1 == t.heard_leg)
    mixed = {t.speaker for t in (*aside, *later) if t.level_dbfs is not None}
    voices = {who: voice for who, voice in earlier.voices.items() if who not in mixed}
    call, _ = measured(
        replace(earlier.dialogue(), turns=counted, events=events), voices, settings.voice
    )
    if mixed:
        told.append(
            f"The switch: level and pitch of the {' and the '.join(sorted(mixed))} were measured with "
            "turns that do not count, and are left out; analyse with --force for the others."
        )
    kept = [w for w in earlier.warnings if not w.startswith("The switch:")]
    return replace(
        earlier,
        turns=counted,
        aside=aside,
        events=call.events,
        superseded=superseded,
        measures=call.measures,
        warnings=(*kept, *told),
    )


def provenance(settings: Settings, weights: Mapping[str, str], rubric: Rubric) -> Provenance:
    """What a result of these settings, weights and rubric is made of."""
    return Provenance(
        preset=settings.preset,
        program_version=__version__,
        settings_hash=settings.digest(),
        weights=dict(weights),
        rubric=rubric.sha256,
        instructions=instruction_set(),
    )
