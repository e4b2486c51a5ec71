"""Whether somebody else takes over on the agent's channel after an announced transfer.

Only where the agent's words announce a transfer are the voices before and after it compared, by one
embedding of each; so other calls cost nothing.

Conventions: times in seconds; audio float32 at 16 kHz.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pipeline.schema import AGENT, Audio, Seconds, Sound, Span, Turn
from pipeline.speech.diarization.voices import Embedder, TwoVoices
from pipeline.speech.models import Models
from pipeline.text import syllables

TRANSFERS = ("转接", "帮您转", "为您转", "给您转", "转给", "转到", "转过去")
HEARD_S, LEAST_S = 15.0, 3.0
OTHER_VOICE = 0.6  # two stretches of one voice of 3 s and more are more alike (cosine)


def handover(turns: Sequence[Turn]) -> Seconds | None:
    """When the agent last announces a transfer, with agent's speech after it; None if never."""
    agent = [t for t in turns if t.speaker == AGENT and not t.is_backchannel]
    sounds = [" ".join(syllables(p)) for p in TRANSFERS]
    found = None
    for turn, _ in zip(agent, agent[1:], strict=False):
        said = " ".join(syllables(re.sub(r"\W", "", turn.text)))
        if any(f" {s} " in f" {said} " for s in sounds):
            found = turn.end
    return found


def second_agent(
    turns: Sequence[Turn], audio: Sound | None, models: Models, *, shared_audio: bool
) -> tuple[str, ...]:
    """Say that a second agent seems to take over, or that nobody can tell.

    Parameters
    ----------
    turns : sequence of Turn
    audio : Sound, shape (n,), optional
        What the agent is heard in.
    models : Models
        The embedder of its diarizer compares the voices, where it has one.
    shared_audio : bool
        All voices are in one channel, where only two are told apart.
    """
    at = handover(turns)
    if at is None or audio is None:
        return ()
    if shared_audio:
        return (
            f"A transfer is announced at {at:.0f} s. On one channel two voices are told apart: "
            "a second agent after it is taken for the first one or for the customer.",
        )
    spans = sorted(s for t in turns if t.speaker == AGENT for s in t.spans)
    before = [s for s in spans if s[1] <= at + 0.01][::-1]
    after = [s for s in spans if s[0] > at]
    if not isinstance(models.diarizer, TwoVoices):
        return ()
    likeness = _likeness(audio, before, after, models.diarizer.embed)
    if likeness is None or likeness > OTHER_VOICE:
        return ()
    return (
        f"After the transfer announced at {at:.0f} s another voice is on the agent's channel: "
        "what a second agent says is counted for the first.",
    )


def _likeness(
    audio: Sound, before: Sequence[Span], after: Sequence[Span], embed: Embedder
) -> float | None:
    """Cosine of the voices of two lists of spans, the nearest of each; None if little is said."""
    rows = []
    for spans in (before, after):
        parts: list[Audio] = []
        for start, end in spans:
            if sum(p.size for p in parts) < HEARD_S * 16_000:
                parts.append(audio[round(start * 16_000) : round(end * 16_000)])
        joined = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        seconds = joined.size / 16_000
        if seconds < LEAST_S:
            return None
        rows.append(embed(joined, [(0.0, seconds)])[0])
    lengths = np.linalg.norm(rows[0]) * np.linalg.norm(rows[1])
    return float(rows[0] @ rows[1] / lengths)
