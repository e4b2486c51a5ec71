"""The values that the rooms hand to each other: small, frozen, typed, and written to JSON as they are.

Conventions
-----------
Times are seconds from the start of the recording, levels dBFS, pitch Hz or semitones, ratios 0-1.
``None`` means "not known" or "not measurable", never zero. Speakers are ``"agent"`` and ``"customer"``
once roles are known; before that they are channel or cluster labels such as ``"0"`` and ``"1"``.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Seconds = float
Span = tuple[Seconds, Seconds]
Speaker = str
Audio = NDArray[np.float32]


class Sound(Protocol):
    """One channel that is read in stretches: an array, or one that is made where it is read."""

    @property
    def size(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, part: slice, /) -> Audio:
        """The samples of a stretch, shape (n,)."""
        ...


SAMPLE_RATE = 16_000  # Hz; what is recognised and whose voice it is, is heard at this rate

UNWRITTEN: Mapping[str, Any] = types.MappingProxyType({"written": False})
"""Metadata of a field that :func:`to_json` leaves out."""

CURVES_VERSION = 1
"""Of the curves in :class:`CallResult`; others are made anew."""

UNHEARD = "…"
"""Stands in texts for speech that was not understood."""

AGENT = "agent"
CUSTOMER = "customer"
SPEAKERS = (AGENT, CUSTOMER)

EventKind = Literal[
    "interruption", "backchannel", "overlap", "hold", "dead_air", "silence", "ringing",
    "response_delay", "raised_voice", "fast_speech", "recorder_pause", "machine_speech",
    "transfer", "agent_join", "agent_leave",
]  # fmt: skip
SwitchKind = Literal["hold", "transfer", "agent_join", "agent_leave", "ivr", "pause"]
VerdictName = Literal["pass", "fail", "not_applicable", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class SwitchEvent:
    """What a switch (PBX) knows of a call, in seconds of the recording."""

    kind: SwitchKind
    start: Seconds
    end: Seconds
    agent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording to analyse and what the metadata and the switch say of it."""

    path: str
    call_id: str
    agent_id: str | None = None
    agent_name: str | None = None
    team: str | None = None
    direction: Literal["inbound", "outbound"] | None = None
    started_at: str | None = None  # ISO 8601 in business time, with offset where known
    customer_name: str | None = None
    agent_channel: int | None = None
    rings: int | None = None
    wait_s: Seconds | None = None
    queue: str | None = None
    switch: tuple[SwitchEvent, ...] | None = None
    agent_id_2: str | None = None  # who took over after a transfer
    path_2: str | None = None  # the other leg, where each is in a file of its own


@dataclass(frozen=True, slots=True)
class Waveform:
    """Decoded audio: ``samples`` has shape (channels, n), float32, full scale 1.0."""

    samples: Audio
    sample_rate: int
    source_sample_rate: int
    codec: str
    sha256: str
    warnings: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def duration(self) -> Seconds:
        """Length in seconds."""
        return float(self.samples.shape[1] / self.sample_rate)


@dataclass(frozen=True, slots=True)
class SpeakerSegment:
    """A stretch in which one speaker is heard; edges are those of the voice activity.

    Not ``sure``: all the voices may be one.
    """

    start: Seconds
    end: Seconds
    speaker: Speaker
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised character or Latin word with its time and confidence (0-1)."""

    start: Seconds
    end: Seconds
    text: str
    confidence: float

    @property
    def middle(self) -> Seconds:
        """Where it is, as a moment."""
        return (self.start + self.end) / 2


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one speaker was heard to say in one stretch of speech.

    ``rejected`` names the reason when the text was judged not to be speech
    (``"silence"``, ``"music"``, ``"loop"``, ``"hallucination"``), or not to be understood
    (``"unsure"``, ``"language"``); it then carries no words.
    """

    speaker: Speaker
    start: Seconds
    end: Seconds
    text: str
    words: tuple[Word, ...]
    confidence: float
    rejected: str | None = None

    def of_words(self, words: Sequence[Word], speaker: Speaker) -> Utterance:
        """A part of it, that is one word and more, as what somebody said."""
        return dataclasses.replace(
            self,
            speaker=speaker,
            start=words[0].start,
            end=words[-1].end,
            text="".join(w.text for w in words),
            words=tuple(words),
            confidence=sum(w.confidence for w in words) / len(words),
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker's turn: speech runs joined while nobody else takes the floor.

    ``spans`` are the stretches of speech inside the turn (pauses of the speaker are the holes),
    ``unheard`` those of them in which no words were understood; there the text has ``…``.
    ``aside`` says why it is neither the agent's nor the customer's, where it is not: by the switch it
    lies in an ``ivr`` or a ``hold``, or the agent is ``away`` (has left, or another one is on).
    """

    turn: int
    speaker: Speaker
    start: Seconds
    end: Seconds
    spans: tuple[Span, ...]
    text: str
    words: tuple[Word, ...]
    confidence: float
    is_backchannel: bool = False
    phase: Literal["opening", "body", "closing"] = "body"
    units: int = 0
    speaking_rate: float | None = None
    articulation_rate: float | None = None
    level_dbfs: float | None = None
    f0_median_hz: float | None = None
    pitch_sd_st: float | None = None
    unheard: tuple[Span, ...] = ()
    aside: str | None = None
    leg: int = 1
    heard_leg: int | None = None  # where the switch tells another one

    @property
    def duration(self) -> Seconds:
        """Length in seconds, own pauses included."""
        return self.end - self.start

    @property
    def unheard_s(self) -> Seconds:
        """Seconds of speech in which no words were understood."""
        return sum(end - start for start, end in self.unheard)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the dialogue, with the seconds that prove it.

    ``source`` is ``heard``, or ``switch`` for what the switch (PBX) knows.
    """

    kind: EventKind
    start: Seconds
    end: Seconds
    by: Speaker | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    confidence: float = 1.0
    source: Literal["heard", "switch"] = "heard"

    @property
    def seconds(self) -> Seconds:
        """Length in seconds, to the millisecond."""
        return round(self.end - self.start, 3)


EvidenceKind = Literal["said", "omitted", "trigger", "measure", "event", "seen"]


BY_ANOTHER = "by the agent who took over"  # how the note of such a pass begins


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rubric item (or one outside judge) says of one call, with its evidence.

    ``evidence`` says what the evidence is: words that were said, an omission, the trigger alone, a
    measure, an event, or words ``seen`` without the trigger (``not_applicable``, no points).
    An omission has no moment: ``start`` and ``end`` are None, ``place`` says where in the call it
    was looked for, and the words and seconds of the trigger stand in ``quote`` and ``trigger_*``.
    ``probability`` is how likely the verdict is right (0-1), None where nothing was judged.
    """

    item_id: str
    source: Literal["rubric", "outside"]
    verdict: VerdictName
    score: float | None = None
    max_score: float | None = None
    weight: float | None = None
    speaker: Speaker | None = None
    start: Seconds | None = None
    end: Seconds | None = None
    quote: str | None = None
    matched: str | None = None
    confidence: float | None = None
    reviewer: str | None = None
    note: str | None = None
    item_zh: str | None = None
    section: str | None = None
    evidence: EvidenceKind | None = None
    place: str | None = None
    trigger_start: Seconds | None = None
    trigger_end: Seconds | None = None
    probability: float | None = None

    @property
    def by_another(self) -> bool:
        """Whether it is a pass that the agent earned who took over after a transfer."""
        return (self.note or "").startswith(BY_ANOTHER)


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker's voice over the call."""

    level_dbfs: float | None = None
    level_sd_db: float | None = None
    f0_median_hz: float | None = None
    pitch_sd_st: float | None = None
    pitch_range_st: float | None = None
    voiced_s: Seconds = 0.0
    active_level_dbfs: float | None = None  # ITU-T P.56
    loudness_lufs: float | None = None  # BS.1770


@dataclass(frozen=True, slots=True)
class ChannelQuality:
    """What can be said of one channel before anything is judged on it."""

    channel: int
    snr_db: float | None
    clipping_ratio: float
    bandwidth_hz: float | None
    speech_s: Seconds
    level_dbfs: float | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a call: the channel it is heard in, and whether that channel carries a signal.

    On a mono recording both parties are heard in one channel. ``language`` is known where what was
    heard gave doubt; words of a party who is not ``understood`` count for nothing.
    """

    role: Speaker
    channel: int
    live: bool = True
    language: str | None = None
    language_probability: float | None = None
    understood: bool = True


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One call as a rubric sees it: who said what when, what happened, what was measured.

    ``role_confidence`` is how sure it is which party is the agent (0-1).
    """

    recording: Recording
    duration: Seconds
    turns: tuple[Turn, ...]
    events: tuple[Event, ...]
    measures: Mapping[str, float | None] = field(default_factory=dict)
    quality: tuple[ChannelQuality, ...] = ()
    parties: tuple[Party, ...] = ()
    role_confidence: float = 1.0

    def heard_in(self, role: Speaker) -> ChannelQuality | None:
        """The channel that a party is heard in; None when nothing is known of it."""
        channel = next((p.channel for p in self.parties if p.role == role), None)
        return next((q for q in self.quality if q.channel == channel), None)

    def first_leg(self) -> Dialogue:
        """The part that its measures and verdicts are of: up to where another agent takes over."""
        own = tuple(t for t in self.turns if t.leg == 1)
        if len(own) == len(self.turns):
            return self
        end = max((t.end for t in own), default=0.0)
        events = tuple(e for e in self.events if e.start < end)
        return dataclasses.replace(self, turns=own, events=events, duration=end)


@dataclass(frozen=True, slots=True)
class Print:
    """The fingerprint of a stretch of speech that may be a machine's.

    ``is_open`` says that it counts as one when it is heard in another call as well.
    """

    channel: int
    start: Seconds
    end: Seconds
    is_open: bool
    marks: bytes


@dataclass(frozen=True, slots=True)
class Provenance:
    """What produced a result: enough to repeat it and to know when it is out of date."""

    preset: str
    program_version: str
    settings_hash: str
    weights: Mapping[str, str]  # name -> SHA-256 of the weights that heard this call
    rubric: str | None = None
    instructions: str = ""  # of the processor that heard it; no part of its identity


@dataclass(frozen=True, slots=True)
class Failure:
    """One recording that could not be (fully) analysed."""

    path: str
    call_id: str
    stage: str
    error_type: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class CallResult:
    """Everything known of one call. ``measures`` are the columns of the calls table by name.

    ``aside`` are turns that nobody is judged by, ``superseded`` events that were heard and whose place
    what the switch knows has taken; neither counts. ``curves`` is what pages draw of a new call
    (``pipeline.signal.curves``), ``prints`` what is compared with other calls
    (``pipeline.signal.prints``); both are kept apart from the rest.
    """

    recording: Recording
    sha256: str
    duration: Seconds
    channels: int
    sample_rate: int
    codec: str
    language: str
    speaker_source: Literal["channel", "diarization"]
    role_confidence: float
    warnings: tuple[str, ...]
    quality: tuple[ChannelQuality, ...]
    utterances: tuple[Utterance, ...]
    turns: tuple[Turn, ...]
    events: tuple[Event, ...]
    measures: Mapping[str, float | None]
    verdicts: tuple[Verdict, ...]
    provenance: Provenance
    stage_seconds: Mapping[str, Seconds]
    voices: Mapping[Speaker, Voice] = field(default_factory=dict)
    parties: tuple[Party, ...] = ()
    aside: tuple[Turn, ...] = ()
    superseded: tuple[Event, ...] = ()
    curves: bytes | None = field(default=None, compare=False, repr=False, metadata=UNWRITTEN)
    prints: tuple[Print, ...] | None = field(
        default=None, compare=False, repr=False, metadata=UNWRITTEN
    )

    def dialogue(self) -> Dialogue:
        """The call as a rubric sees it."""
        return Dialogue(
            self.recording,
            self.duration,
            self.turns,
            self.events,
            self.measures,
            self.quality,
            self.parties,
            self.role_confidence,
        )


T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Turn a value of this module into plain JSON types (dict, list, str, number, None)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        written = (f for f in dataclasses.fields(value) if f.metadata != UNWRITTEN)
        return {f.name: to_json(getattr(value, f.name)) for f in written}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def from_json(kind: type[T], data: Any) -> T:
    """Rebuild a value of this module from what :func:`to_json` gave.

    Raises
    ------
    KeyError
        If a field without default is missing. Unknown keys are ignored, so that results
        of a newer minor version can still be read.
    """
    build = _builder(typing.cast(Any, kind))
    return typing.cast(T, data if build is None else build(data))


Builder = Callable[[Any], Any]


@cache
def _builder(kind: Any) -> Builder | None:
    """What makes a value of a kind from JSON; None where JSON's value is the value.

    It is put together once for each kind, as a long call has 50,000 values.
    """
    origin = typing.get_origin(kind)
    args = typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return next(_builder(a) for a in args if a is not type(None))
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        each = _builder(args[0])
        return _where_given(lambda data: tuple(map(each, data) if each else data))
    if origin is tuple:
        parts = [_builder(a) or _as_it_is for a in args]
        return _where_given(
            lambda data: tuple(build(v) for build, v in zip(parts, data, strict=True))
        )
    if origin is Mapping and (value := _builder(args[1])):
        return _where_given(lambda data: {k: value(v) for k, v in data.items()})
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        fields = [(f.name, _builder(hints[f.name])) for f in dataclasses.fields(kind)]
        return _where_given(
            lambda data: kind(
                **{n: build(data[n]) if build else data[n] for n, build in fields if n in data}
            )
        )
    return None


def _where_given(build: Builder) -> Builder:
    return lambda data: None if data is None else build(data)


def _as_it_is(data: Any) -> Any:
    return data
