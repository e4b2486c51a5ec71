"""Where the agent is heard in the recordings of one source, learnt from the calls that leave no doubt.

A telephone system records all calls of a queue alike: the agent on one channel, the customer on the
other. What the sure calls of a source (folder, queue, codec) show is a prior for the unsure ones,
which are then looked at once more. A channel that the metadata names is never overruled.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath

from pipeline.schema import AGENT, CallResult, Recording
from pipeline.speech.roles import Usual

SURE, UNSURE = 0.98, 0.95  # role confidence
MIN_CALLS = 3

Source = tuple[str, str | None, str]


class Layouts:
    """The channels of the agents of a batch, by source, and the calls that wait for them."""

    def __init__(self) -> None:
        self._channels: dict[Source, Counter[int]] = {}
        self._unsure: list[tuple[Recording, Source]] = []

    def add(self, result: CallResult) -> bool:
        """Learn from a call that is sure; keep one that is not, and say so."""
        if result.speaker_source != "channel" or sum(p.live for p in result.parties) < 2:
            return False
        source = (str(PurePath(result.recording.path).parent), result.recording.queue, result.codec)
        agent = next(p.channel for p in result.parties if p.role == AGENT)
        if result.role_confidence >= SURE:
            self._channels.setdefault(source, Counter())[agent] += 1
        elif result.role_confidence < UNSURE and result.recording.agent_channel is None:
            self._unsure.append((result.recording, source))
            return True
        return False

    def again(self) -> list[tuple[Recording, Usual | None]]:
        """The unsure calls, each with where the agent of its source usually is, where that is known."""
        found: list[tuple[Recording, Usual | None]] = []
        for recording, source in self._unsure:
            seen = self._channels.get(source, Counter())
            calls = seen.total()
            channel, agrees = max(seen.items(), key=lambda item: item[1], default=(0, 0))
            found.append((recording, Usual(channel, agrees, calls) if calls >= MIN_CALLS else None))
        return found
