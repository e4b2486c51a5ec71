"""What is heard identically in several calls: found after a batch, and put right where it matters.

A prompt is known by its repetition only when another call with it has been heard. So the fingerprints of
new calls are compared with each other and with those of all other calls of the store, and a call in which a
stretch turns out to be repeated is told anew from what was recognised. Whether two calls share a sound
does not depend on which came first, so neither do results.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.batch.engines import Engine, Task
from pipeline.schema import CallResult, Span
from pipeline.signal.prints import MIN_ALIGNED, Marks, is_same_sound
from pipeline.store import Store

CALLS_AT_ONCE = 5000
MOST_LIKELY = 20  # sounds that share most pairs are looked at closely

Key = tuple[str, int]


@dataclass
class _Sounds:
    """Different sounds of new calls, with the prints that are of each."""

    marks: list[Marks] = field(default_factory=list)
    keys: list[list[Key]] = field(default_factory=list)
    repeated: list[bool] = field(default_factory=list)
    at: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def find(self, marks: Marks) -> int | None:
        """The sound that a print is of."""
        votes: dict[int, int] = defaultdict(int)
        for pair in dict.fromkeys(marks.pairs.tolist()):
            for sound in self.at.get(pair, ()):
                votes[sound] += 1
        likely = sorted((s for s, n in votes.items() if n >= MIN_ALIGNED), key=lambda s: -votes[s])
        return next((s for s in likely[:MOST_LIKELY] if is_same_sound(marks, self.marks[s])), None)

    def add(self, key: Key, marks: Marks) -> None:
        """Count a new print with the sound that it is of."""
        sound = self.find(marks)
        if sound is None:
            self.marks.append(marks)
            self.keys.append([key])
            self.repeated.append(False)
            for pair in dict.fromkeys(marks.pairs.tolist()):
                self.at[pair].append(len(self.marks) - 1)
            return
        self.keys[sound].append(key)
        self.repeated[sound] |= any(k[0] != key[0] for k in self.keys[sound])


def find_repeated(store: Store, calls: Collection[str]) -> set[Key]:
    """Find the prints, of these calls and of those that share a sound with them, that are repeated.

    Parameters
    ----------
    store : Store
    calls : collection of str
        New calls; those of one another and of all others in the store are compared with theirs.

    Returns
    -------
    set of (call_id, position)
        Only those that are not kept as repeated yet.
    """
    chosen, found = sorted(calls), set[Key]()
    for first in range(0, len(chosen), CALLS_AT_ONCE):
        found |= _repeated_of(store, frozenset(chosen[first : first + CALLS_AT_ONCE]))
    return found


def _repeated_of(store: Store, calls: frozenset[str]) -> set[Key]:
    sounds = _Sounds()
    known: set[Key] = set()
    for rows in store.prints(sorted(calls)):
        for row in rows:
            if row.repeated:
                known.add((row.call_id, row.position))
            sounds.add((row.call_id, row.position), Marks.from_bytes(row.marks))
    found: set[Key] = set()
    if sounds.marks:
        wanted = np.fromiter(sounds.at, np.uint32, len(sounds.at))
        wanted.sort()
        for rows in store.prints():
            for row in _alike([r for r in rows if r.call_id not in calls], wanted):
                sound = sounds.find(Marks.from_bytes(row.marks))
                if sound is not None:
                    sounds.repeated[sound] = True
                    if not row.repeated:
                        found.add((row.call_id, row.position))
    for keys, is_repeated in zip(sounds.keys, sounds.repeated, strict=True):
        found |= set(keys) if is_repeated else set()
    return found - known


def _alike(rows: Sequence[Any], wanted: np.ndarray[Any, np.dtype[np.uint32]]) -> Iterator[Any]:
    """Rows that share enough pairs with any new print to be worth a look."""
    if not rows:
        return
    bodies = [Marks.pairs_in(row.marks) for row in rows]
    pairs = np.concatenate(bodies)
    at = np.minimum(np.searchsorted(wanted, pairs), wanted.size - 1)
    hits = np.concatenate(([0], np.cumsum(wanted[at] == pairs)))
    ends = np.cumsum([body.size for body in bodies])
    shared = hits[ends] - hits[np.concatenate(([0], ends[:-1]))]
    for row, count in zip(rows, shared.tolist(), strict=True):
        if count >= MIN_ALIGNED:
            yield row


def tell_anew(store: Store, engine: Engine, calls: Collection[str]) -> Iterator[CallResult]:
    """Tell calls anew in which something is heard that other calls hold as well, and save them.

    A call whose recording is gone stays as it is.
    """
    found = find_repeated(store, calls)
    if not found:
        return
    store.mark_repeated(sorted(found))
    told = sorted({call_id for call_id, _ in found})
    tasks = []
    for rows in store.prints(told):
        spans: dict[str, dict[int, list[Span]]] = defaultdict(lambda: defaultdict(list))
        is_open = set()
        for row in rows:
            if row.repeated:
                spans[row.call_id][row.channel].append((row.start, row.end))
                is_open |= {row.call_id} if row.is_open else set()
        tasks += [(call_id, dict(spans[call_id])) for call_id in sorted(is_open)]

    def loaded() -> Iterator[Task]:
        for call_id, repeated in tasks:
            earlier = store.load(call_id)
            yield Task(earlier.recording, earlier=earlier, repeated=repeated)

    for done in engine.run(loaded()):
        if isinstance(done.outcome, CallResult):
            stamp = store.known([done.task.recording.call_id])[done.task.recording.call_id].stamp
            store.save(done.outcome, stamp=stamp)
            yield done.outcome
