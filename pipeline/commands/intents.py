"""Tools over intents: how well each is told from its near misses, and which stored turns are in doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.commands.console import clock
from pipeline.settings import Settings
from pipeline.store import Store
from pipeline.text.intents import IntentReader, Judged, train

SHOWN = 12  # examples of each kind of confusion


def test(
    names: Sequence[str],
    settings: Settings,
    folder: Path | None,
) -> Iterator[str]:
    """Cross-validated figures of intents, one line each; confusions too where some are named.

    Every example is judged by a head that has not seen its group.
    """
    reader = _reader(settings, folder)
    known = reader.definitions
    for name in names:
        known.find(name)
    yield (
        f"{'intent':<30}{'like':>6}{'others':>8}{'AUC':>7}{'precision':>11}{'found':>7}"
        f"{'in doubt':>10}"
    )
    for name in names or known.intents:
        _, judged = train(name, known, reader.embedder)
        low, high = known.find(name).doubt
        chance = np.array([j.probability for j in judged])
        shows = np.array([j.shows for j in judged])
        yes, doubt = chance >= high, (chance >= low) & (chance < high)
        precision = shows[yes].mean() if yes.any() else float("nan")
        yield (
            f"{name:<30}{shows.sum():>6}{(~shows).sum():>8}{area_under_curve(chance, shows):>7.3f}"
            f"{precision:>11.2f}{yes[shows].mean():>7.2f}{doubt.mean():>10.1%}"
        )
        if names:
            yield from _confusions(judged, high, low)


def suggest(
    name: str,
    target: str,
    settings: Settings,
    folder: Path | None = None,
    calls: int = 200,
    limit: int = 20,
) -> Iterator[str]:
    """Sentences of stored calls in which an intent is in doubt, nearest the middle first.

    They are written as lines of a YAML list, to be put under ``like`` or ``not_like``.
    """
    reader = _reader(settings, folder)
    one = reader.definition(name)
    low, high = one.doubt
    examples = {text for _, text in (*one.like, *one.not_like)}
    found: dict[str, tuple[float, str]] = {}
    seen = 0
    with Store.open(target, create=False) as store:
        for result in islice(store.results(), calls):
            seen += 1
            turns = [
                t
                for t in result.turns
                if t.text and not t.is_backchannel and one.by in (t.speaker, "any")
            ]
            reader.prepare((t.text for t in turns), [name])
            for turn in turns:
                for part in reader.spans(turn.text, name):
                    if low <= part.probability < high and part.text not in examples:
                        place = f"{result.recording.call_id} {clock(turn.start)}"
                        found.setdefault(part.text, (part.probability, place))
    middle = (low + high) / 2
    nearest = sorted(found.items(), key=lambda f: abs(f[1][0] - middle))[:limit]
    yield f"# {len(found)} sentences of {seen} calls are in doubt about {name} ({one.name_zh})."
    yield "# Put each under like: or not_like: of the intent, in your own words where it names somebody."
    for text, (chance, place) in nearest:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        yield f'- "{quoted}"  # {chance:.2f}, {place}'


def area_under_curve(score: np.ndarray, shows: np.ndarray) -> float:
    """Chance that an example with the intent scores higher than one without; ties count half."""
    with_it, without = score[shows], np.sort(score[~shows])
    below = np.searchsorted(without, with_it, side="left")
    not_above = np.searchsorted(without, with_it, side="right")
    pairs = max(len(with_it) * len(without), 1)
    return float((below + not_above).sum() / 2 / pairs)


def _reader(settings: Settings, folder: Path | None) -> IntentReader:
    reader = IntentReader.from_settings(settings.intents)
    return reader.with_folder(folder) if folder is not None else reader


def _confusions(judged: Sequence[Judged], high: float, low: float) -> Iterator[str]:
    """The examples that were judged wrong, the surest first."""
    taken = [j for j in judged if not j.shows and j.probability >= high]
    missed = [j for j in judged if j.shows and j.probability < low]
    for title, rows in (
        ("taken for it", sorted(taken, key=lambda j: -j.probability)),
        ("missed", sorted(missed, key=lambda j: j.probability)),
    ):
        yield f"  {title}: {len(rows)}"
        yield from (f"    {j.probability:.2f}  {j.text}  ({j.place})" for j in rows[:SHOWN])
