"""One call against its truth: everything that can be said of it, as counts that add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.evaluation.event_matches import EventMatches, RingCount, count_rings, match_events
from pipeline.evaluation.measure_errors import Comparison, compare_measures
from pipeline.evaluation.texts import TextErrors, text_errors
from pipeline.evaluation.timing import SpeakerTimes, TurnPair, pair_turns, speaker_times
from pipeline.evaluation.truth import parse_truth
from pipeline.evaluation.verdicts import Judged, compare_verdicts
from pipeline.schema import CallResult, Provenance, Seconds, Speaker


@dataclass(frozen=True, slots=True)
class TurnEdges:
    """A true turn and how far the turn found for it is off, found - true; None: none was found."""

    speaker: Speaker
    start: Seconds
    end: Seconds
    text: str
    backchannel: bool
    start_error_s: Seconds | None
    end_error_s: Seconds | None


@dataclass(frozen=True, slots=True)
class CallEvaluation:
    """What one call came out as. Events that the truth does not label are absent."""

    call_id: str
    duration: Seconds
    speaker_source: Literal["channel", "diarization"]
    text: Mapping[Speaker, TextErrors]
    speech: SpeakerTimes
    turns: tuple[TurnEdges, ...]
    found_turns: int
    events: Mapping[str, EventMatches]
    rings: RingCount | None
    measures: tuple[Comparison, ...]
    verdicts: tuple[Judged, ...]
    provenance: Provenance


def evaluate_call(result: CallResult, truth: Mapping[str, Any]) -> CallEvaluation:
    """Measure one result against its ground truth.

    Parameters
    ----------
    result : CallResult
    truth : mapping
        As :func:`pipeline.evaluation.truth.find_truths` gives it.

    Returns
    -------
    CallEvaluation

    Raises
    ------
    KeyError, ValueError, TypeError
        If the truth lacks a field or holds one of the wrong kind.
    """
    true = parse_truth(truth)
    pairs = pair_turns(result, true.turns)
    return CallEvaluation(
        call_id=true.call_id,
        duration=true.duration,
        speaker_source=result.speaker_source,
        text=text_errors(result, true.turns),
        speech=speaker_times(result, true),
        turns=tuple(_edges(p) for p in pairs),
        found_turns=len(result.turns),
        events=match_events(result.events, true),
        rings=count_rings(result, true),
        measures=compare_measures(result, true, pairs),
        verdicts=compare_verdicts(result, true),
        provenance=result.provenance,
    )


def _edges(pair: TurnPair) -> TurnEdges:
    true, found = pair.truth, pair.found
    return TurnEdges(
        true.speaker,
        true.start,
        true.end,
        true.text,
        true.backchannel,
        None if found is None else found.start - true.start,
        None if found is None else found.end - true.end,
    )
