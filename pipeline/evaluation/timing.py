"""Who spoke when: diarization and Jaccard error, roles, and the edges of turns.

Diarization error (DER) is missed + false + confused speech / true speech, Jaccard error (JER) the
mean over speakers of 1 - intersection / union, both with overlapped speech; neither asks who is the
agent. Role accuracy does: of the speech of one speaker alone in which anybody was heard, the share
that was given to the right role (where both speak, both roles are right). All are computed by
pyannote.metrics without a collar. Truth knows turns, not the pauses in them, so own pauses under
:data:`BRIDGED_S` count as speech on both sides.

References
----------
H. Bredin, "pyannote.metrics: a toolkit for reproducible evaluation, diagnostic, and error analysis
of speaker diarization systems", Interspeech 2017.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.evaluation.pairing import intersection_over_union, pair
from pipeline.evaluation.truth import TrueTurn, Truth
from pipeline.schema import SPEAKERS, CallResult, Seconds, Span, Speaker, Turn
from pipeline.spans import join, overlap_s

COLLAR_S = 0.0
BRIDGED_S = 1.0
MIN_TURN_IOU = 0.2
"""Intersection / union from which two turns of one speaker may be the same turn."""


@dataclass(frozen=True, slots=True)
class SpeakerTimes:
    """Seconds of speech by what became of them; those of several calls add up."""

    speech_s: Seconds = 0.0
    missed_s: Seconds = 0.0
    false_alarm_s: Seconds = 0.0
    confused_s: Seconds = 0.0
    speakers: int = 0
    jaccard_errors: float = 0.0  # summed over the speakers
    right_role_s: Seconds = 0.0
    wrong_role_s: Seconds = 0.0

    def __add__(self, other: SpeakerTimes) -> SpeakerTimes:
        return SpeakerTimes(
            self.speech_s + other.speech_s,
            self.missed_s + other.missed_s,
            self.false_alarm_s + other.false_alarm_s,
            self.confused_s + other.confused_s,
            self.speakers + other.speakers,
            self.jaccard_errors + other.jaccard_errors,
            self.right_role_s + other.right_role_s,
            self.wrong_role_s + other.wrong_role_s,
        )

    @property
    def der(self) -> float | None:
        """Diarization error rate; above 1 when more was invented than said."""
        wrong = self.missed_s + self.false_alarm_s + self.confused_s
        return wrong / self.speech_s if self.speech_s else None

    @property
    def jer(self) -> float | None:
        """Jaccard error rate, 0-1, every speaker of every call counting alike."""
        return self.jaccard_errors / self.speakers if self.speakers else None

    @property
    def role_accuracy(self) -> float | None:
        """Share of the heard speech that was given to the right role, 0-1."""
        both = self.right_role_s + self.wrong_role_s
        return self.right_role_s / both if both else None


@dataclass(frozen=True, slots=True)
class TurnPair:
    """A turn and the turn of the same speaker that was found for it; None when there is none."""

    truth: TrueTurn
    found: Turn | None


def speaker_times(result: CallResult, truth: Truth) -> SpeakerTimes:
    """Compare who spoke when, in one call."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate
    from pyannote.metrics.identification import IdentificationErrorRate

    true_spans = _speech((t.speaker, t.span) for t in truth.turns)
    found_spans = _speech((t.speaker, s) for t in result.turns for s in t.spans)
    annotations = []
    for spans in (true_spans, found_spans):
        annotation = Annotation()
        for speaker, own in spans.items():
            for start, end in own:
                annotation[Segment(start, end), speaker] = speaker
        annotations.append(annotation)
    ends = [end for own in (*true_spans.values(), *found_spans.values()) for _, end in own]
    whole = Timeline([Segment(0.0, max([truth.duration, *ends]))])
    der, jer, role = (
        metric(collar=COLLAR_S, skip_overlap=alone)(*annotations, uem=whole, detailed=True)
        for metric, alone in (
            (DiarizationErrorRate, False),
            (JaccardErrorRate, False),
            (IdentificationErrorRate, True),
        )
    )
    return SpeakerTimes(
        speech_s=float(der["total"]),
        missed_s=float(der["missed detection"]),
        false_alarm_s=float(der["false alarm"]),
        confused_s=float(der["confusion"]),
        speakers=int(jer["speaker count"]),
        jaccard_errors=float(jer["speaker error"]),
        right_role_s=float(role["correct"]),
        wrong_role_s=float(role["confusion"]),
    )


def pair_turns(result: CallResult, turns: Sequence[TrueTurn]) -> tuple[TurnPair, ...]:
    """Find for every true turn the turn of the same speaker that shares most time with it."""

    def shared(true: TrueTurn, found: Turn) -> Seconds:
        span = found.start, found.end
        if true.speaker != found.speaker or intersection_over_union(true.span, span) < MIN_TURN_IOU:
            return 0.0
        return overlap_s(true.span, span)

    found = dict(pair(turns, result.turns, shared))
    return tuple(
        TurnPair(t, result.turns[found[i]] if i in found else None) for i, t in enumerate(turns)
    )


def _speech(spans: Iterable[tuple[Speaker, Span]]) -> Mapping[Speaker, list[Span]]:
    listed = [(who, s) for who, s in spans if s[1] > s[0]]
    return {s: join([x for who, x in listed if who == s], BRIDGED_S) for s in SPEAKERS}
