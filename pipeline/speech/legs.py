"""Legs of a call: whether somebody else takes over as the agent after an announced transfer.

Only where words announce a transfer are the voices before and after it compared, so other calls cost
nothing. On one channel the speech before and that after the transfer are each told apart into two
voices anew, and the agent of each is told by its words; unless both voices go on after it as they were.

Conventions: times in seconds; audio float32 at 16 kHz; legs are numbered from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.schema import (
    SAMPLE_RATE,
    Audio,
    Seconds,
    Sound,
    Span,
    Speaker,
    Utterance,
)
from pipeline.spans import total_s
from pipeline.speech.diarization.voices import Embedder
from pipeline.speech.roles import LATER
from pipeline.text import sound_line

TRANSFERS = ("转接", "帮您转", "为您转", "给您转", "转给", "转到", "转过去")
GOES_ON_S = 0.8
HEARD_S, LEAST_S = 15.0, 3.0
OTHER_VOICE = 0.6  # two stretches of one voice of 3 s and more are more alike (cosine)

Label = Callable[[Audio, Sequence[Span]], Mapping[Speaker, Sequence[Span]]]


def handovers(speech: Sequence[Span], heard: Sequence[Utterance]) -> list[Seconds]:
    """When one voice announces transfers, each at the end of what it then says.

    Parameters
    ----------
    speech : sequence of (start, end)
        Of the voice; with something of it after each handover.
    heard : sequence of Utterance
        Of the same voice.
    """
    words = sorted((w for u in heard for w in u.words), key=lambda w: w.start)
    text = "".join(w.text for w in words)
    if not any(s in sound_line(text) for s in map(sound_line, TRANSFERS)):
        return []
    found: list[Seconds] = []
    for number, (start, end) in enumerate(speech):
        inside = (w for w in words if start - 0.1 <= w.middle <= end + 0.1)
        said = sound_line("".join(w.text for w in inside))
        if not any(s in said for s in map(sound_line, TRANSFERS)):
            continue
        for first, last in speech[number + 1 :]:
            if first - end > GOES_ON_S:
                break
            end = last
        if end < speech[-1][0]:
            found.append(end)
    return sorted(set(found))


def taken_over(
    speech: Sequence[Span],
    announced: Sequence[Seconds],
    audio: Sound | None,
    embedder: Callable[[], Embedder | None],
    *,
    is_told: bool = False,
    shared_audio: bool = False,
) -> tuple[list[Seconds], list[str]]:
    """When another voice is the agent after an announced transfer: the handovers that are some.

    Parameters
    ----------
    speech : sequence of (start, end)
        Of the agent.
    announced : sequence of float
        See :func:`handovers`.
    audio : Sound, shape (n,), optional
        What the agent is heard in.
    embedder : callable
        Gives what compares voices.
    is_told : bool
        The metadata name a second agent, so alike voices are two all the same.
    shared_audio : bool
        All voices are in one channel.

    Returns
    -------
    handovers, warnings
        A sentence for the first one.
    """
    spans = sorted(speech)
    legs: list[Seconds] = []
    warnings = []
    for at in announced:
        begun = legs[-1] if legs else 0.0
        before = [s for s in spans if begun <= s[0] < at][::-1]
        after = [s for s in spans if s[0] >= at]
        likeness = None
        if audio is not None and (embed := embedder()) is not None:
            likeness = _likeness(audio, before, after, embed)
        if is_told or (likeness is not None and likeness <= OTHER_VOICE):
            legs.append(at)
            warnings.append(
                f"After the transfer announced at {at:.0f} s another agent talks: what was measured "
                "and judged is the first agent's part alone; what the other made good counts."
            )
        elif likeness is None and shared_audio:
            warnings.append(
                f"A transfer is announced at {at:.0f} s; whether another agent talks after it "
                "cannot be told on one channel."
            )
    return legs, warnings[:1]


def split_voices(
    speech: Mapping[Speaker, Sequence[Span]],
    heard: Sequence[Utterance],
    audio: Sound,
    label: Label,
    embedder: Callable[[], Embedder | None],
) -> tuple[dict[Speaker, tuple[Span, ...]], tuple[Utterance, ...], list[Seconds]]:
    """On one channel, tell voices apart anew before and after a transfer that words announce.

    Parameters
    ----------
    speech : mapping of label to spans
    heard : sequence of Utterance
        By label.
    audio : Sound, shape (n,)
    label : callable
        Tells the voices of audio apart, given where its speech is.
    embedder : callable
        Gives what compares voices.

    Returns
    -------
    speech, heard, announced
        As given, and no handover, where no transfer is announced. Else voices after the transfer
        have labels of their own, that end in ``'``, unless two are alike before and after it.
    """
    spans = sorted(s for own in speech.values() for s in own)
    announced = [
        at
        for voice, own in speech.items()
        for at in handovers(own, [u for u in heard if u.speaker == voice])
        if min(total_s(s for s in spans if (s[0] < at) == early) for early in (True, False))
        >= 2 * LEAST_S
    ]
    if not announced:
        return {k: tuple(v) for k, v in speech.items()}, tuple(heard), []
    at = max(announced)
    if (embed := embedder()) is not None and len(speech) > 1:
        alike = [
            _likeness(audio, [s for s in own if s[0] < at], [s for s in own if s[0] >= at], embed)
            for own in speech.values()
        ]
        if all(a is not None and a > OTHER_VOICE for a in alike):
            return {k: tuple(v) for k, v in speech.items()}, tuple(heard), [at]
    told: dict[Speaker, tuple[Span, ...]] = {}
    for mark, part in (
        ("", [s for s in spans if s[0] < at]),
        (LATER, [s for s in spans if s[0] >= at]),
    ):
        first, last = part[0][0], part[-1][1]
        sound = audio[round(first * SAMPLE_RATE) : round(last * SAMPLE_RATE)]
        found = label(sound, [(a - first, b - first) for a, b in part])
        told |= {
            name + mark: tuple((a + first, b + first) for a, b in own)
            for name, own in found.items()
        }
    moved: dict[Speaker, list[Utterance]] = {}
    for one in heard:
        if not one.words:
            name = nearest_voice((one.start + one.end) / 2, told)
            moved.setdefault(name, []).append(replace(one, speaker=name))
        by: dict[Speaker, list[int]] = {}
        for index, word in enumerate(one.words):
            by.setdefault(nearest_voice(word.middle, told), []).append(index)
        for name, indices in by.items():
            own_words = one.of_words([one.words[i] for i in indices], name)
            moved.setdefault(name, []).append(own_words)
    return (
        told,
        tuple(sorted((u for us in moved.values() for u in us), key=lambda u: u.start)),
        [at],
    )


def nearest_voice(at: Seconds, speech: Mapping[Speaker, Sequence[Span]]) -> Speaker:
    """Who speaks at a moment, or nearest to it."""
    return min(
        ((max(a - at, at - b, 0.0), name) for name, own in speech.items() for a, b in own),
    )[1]


def _likeness(
    audio: Sound, before: Sequence[Span], after: Sequence[Span], embed: Embedder
) -> float | None:
    """Cosine of the voices of two lists of spans, the nearest of each; None if little is said."""
    rows = []
    for spans in (before, after):
        parts: list[Audio] = []
        for start, end in spans:
            if sum(p.size for p in parts) < HEARD_S * SAMPLE_RATE:
                parts.append(audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])
        joined = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        seconds = joined.size / SAMPLE_RATE
        if seconds < LEAST_S:
            return None
        rows.append(embed(joined, [(0.0, seconds)])[0])
    lengths = np.linalg.norm(rows[0]) * np.linalg.norm(rows[1])
    return float(rows[0] @ rows[1] / lengths)
