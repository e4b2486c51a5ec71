"""Where the agent is heard in the recordings of one source, learnt from the calls that leave no doubt.

A telephone system records all calls of a queue alike: the agent on one channel, the customer on the
other. What the sure calls of a source (folder, queue, codec) show is a prior for the unsure ones,
which are then looked at once more. Calls of earlier runs count like those of this one, the newest
first; a call that was decided by a prior never does. A channel that the metadata names is never
overruled.
"""

from __future__ import annotations

from collections import Counter

from pipeline.schema import AGENT, CallResult, Recording
from pipeline.speech.roles import MAX_BY_USUAL, Usual
from pipeline.store import Store

SURE, UNSURE = 0.98, 0.95  # role confidence
MIN_CALLS, MAX_CALLS = 3, 50
assert MAX_BY_USUAL < SURE  # or priors would feed on what they decided


class Layouts:
    """The calls of a batch that leave doubt who is the agent, and where the agents of their sources are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unsure: list[CallResult] = []

    def add(self, result: CallResult) -> bool:
        """Keep a call that is not sure, and say so."""
        is_unsure = (
            result.speaker_source == "channel"
            and sum(p.live for p in result.parties) == 2
            and result.recording.agent_channel is None
            and result.role_confidence < UNSURE
        )
        if is_unsure:
            self._unsure.append(result)
        return is_unsure

    def again(self) -> list[tuple[Recording, Usual]]:
        """The unsure calls of known sources, each with where the agent usually is there."""
        known: dict[tuple[str, ...], Usual | None] = {}
        found: list[tuple[Recording, Usual]] = []
        for result in self._unsure:
            alike = self._store.alike(result, SURE, MAX_CALLS)
            if alike not in known:
                known[alike] = self._usual(alike)
            if (usual := known[alike]) is not None:
                found.append((result.recording, usual))
        return found

    def _usual(self, sure: tuple[str, ...]) -> Usual | None:
        """Where the agent is in most of these calls; None of few calls."""
        seen = Counter(
            p.channel
            for call_id in sure
            for p in self._store.load(call_id).parties
            if p.role == AGENT and p.live
        )
        if seen.total() < MIN_CALLS:
            return None
        channel, agrees = min(seen.items(), key=lambda item: (-item[1], item[0]))
        return Usual(channel, agrees, seen.total())
