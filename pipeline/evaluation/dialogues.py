"""Labelled dialogues: how often a rubric says what a supervisor would say.

A folder of YAML files, each one list of dialogues with the verdicts expected of some items; the
format is described in ``tests/dialogues/README.md``. Where no times are given, turns are laid out at
four characters per second with gaps of 0.4 s. Where they are, what a recording would tell by times
and levels is measured as it is there: overlaps and silences, unless events are given, and the
measures of the call, unless one is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from pipeline.dialogue.overlaps import find_overlaps
from pipeline.dialogue.silences import find_silences
from pipeline.errors import RubricError, nearest
from pipeline.metrics import measure_call, rate_turns
from pipeline.rubric.examples import GAP_S, UNITS_PER_S
from pipeline.rubric.judging import annotated, judge
from pipeline.rubric.load import Rubric
from pipeline.rubric.located import Located, load_located
from pipeline.schema import (
    SPEAKERS,
    Dialogue,
    Event,
    EventKind,
    Recording,
    Turn,
    Verdict,
    VerdictName,
    Voice,
    Word,
)
from pipeline.text import count_units, simplify

_WELL_HEARD = 0.93  # confidence of a turn whose recognition is not described
_KEYS = (
    "id", "why", "meta", "turns", "turn_levels_dbfs", "events", "measures", "expect",
)  # fmt: skip
_META = ("direction", "started_at", "customer_name", "agent_id", "rings", "wait_s")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One dialogue and the verdicts a supervisor gave; ``file`` is where it stands."""

    file: str
    dialogue: Dialogue
    expected: Mapping[str, VerdictName]


@dataclass(frozen=True, slots=True)
class Label:
    """One expected verdict beside the one that a rubric gives."""

    file: str
    dialogue_id: str
    item_id: str
    expected: VerdictName
    got: Verdict

    @property
    def right(self) -> bool:
        """Whether both are the same."""
        return self.expected == self.got.verdict


@dataclass(frozen=True, slots=True)
class Agreement:
    """How labels and verdicts agree.

    ``fail_precision`` is the share of given fails that are right, ``fail_recall`` the share of
    expected fails that were given; None where there is none to count.
    """

    labels: tuple[Label, ...]

    @property
    def right(self) -> int:
        """How many labels have the verdict expected."""
        return sum(x.right for x in self.labels)

    @property
    def accuracy(self) -> float | None:
        """Share of labels that have the verdict expected, 0-1."""
        return self.right / len(self.labels) if self.labels else None

    @property
    def fail_precision(self) -> float | None:
        """Share of the given fails that a supervisor gave as well, 0-1."""
        given = [x for x in self.labels if x.got.verdict == "fail"]
        return sum(x.right for x in given) / len(given) if given else None

    @property
    def fail_recall(self) -> float | None:
        """Share of the supervisor's fails that were given, 0-1."""
        wanted = [x for x in self.labels if x.expected == "fail"]
        return sum(x.right for x in wanted) / len(wanted) if wanted else None

    @property
    def fail_f1(self) -> float | None:
        """Harmonic mean of precision and recall of fails, 0-1."""
        precision, recall = self.fail_precision, self.fail_recall
        if not precision or not recall:
            return None if precision is None or recall is None else 0.0
        return 2 * precision * recall / (precision + recall)

    def of_item(self, item_id: str) -> Agreement:
        """The same for one item."""
        return Agreement(tuple(x for x in self.labels if x.item_id == item_id))

    def as_json(self) -> dict[str, object]:
        """Everything as plain values."""
        items = sorted({x.item_id for x in self.labels})
        return {
            "dialogues": len({(x.file, x.dialogue_id) for x in self.labels}),
            "labels": len(self.labels),
            "right": self.right,
            "accuracy": self.accuracy,
            "fail_precision": self.fail_precision,
            "fail_recall": self.fail_recall,
            "fail_f1": self.fail_f1,
            "cannot_tell_given": sum(x.got.verdict == "cannot_tell" for x in self.labels),
            "cannot_tell_expected": sum(x.expected == "cannot_tell" for x in self.labels),
            "items": {
                i: {"labels": len(one.labels), "right": one.right}
                for i in items
                for one in [self.of_item(i)]
            },
            "mismatches": [
                {
                    "file": x.file,
                    "dialogue": x.dialogue_id,
                    "item": x.item_id,
                    "expected": x.expected,
                    "got": x.got.verdict,
                    "quote": x.got.quote,
                    "matched": x.got.matched,
                    "note": x.got.note,
                    "confidence": x.got.confidence,
                }
                for x in self.labels
                if not x.right
            ],
        }

    def lines(self) -> Iterator[str]:
        """The same as text: totals, items with a mismatch first, mismatches with their quotes."""
        dialogues = len({(x.file, x.dialogue_id) for x in self.labels})
        yield (
            f"{self.right} of {len(self.labels)} labels right ({_percent(self.accuracy)}), "
            f"{dialogues} dialogues"
        )
        given = sum(x.got.verdict == "fail" for x in self.labels)
        yield (
            f"fails: precision {_percent(self.fail_precision)} of {given} given, "
            f"recall {_percent(self.fail_recall)}, F1 {_percent(self.fail_f1)}"
        )
        doubt = [x for x in self.labels if x.got.verdict == "cannot_tell"]
        yield f"cannot_tell: {len(doubt)} given, {sum(x.right for x in doubt)} of them expected"
        wrong = Counter(x.item_id for x in self.labels if not x.right)
        for item, count in wrong.most_common():
            total = len(self.of_item(item).labels)
            yield f"  {item}: {total - count} of {total}"
        for x in self.labels:
            if not x.right:
                quote = f"“{x.got.quote}”" if x.got.quote else x.got.note or ""
                yield (
                    f"{x.file} {x.dialogue_id} {x.item_id}: "
                    f"{x.got.verdict}, not {x.expected}  {quote}"
                )


def agreement_with(rubric: Rubric, dialogues: Iterable[Labelled]) -> Agreement:
    """Judge labelled dialogues by a rubric.

    Parameters
    ----------
    rubric : Rubric
        A loaded rubric.
    dialogues : iterable of Labelled
        As read by :func:`labelled_dialogues`; labels of items that the rubric does not have are
        errors.

    Raises
    ------
    RubricError
        If a label names an item that the rubric does not have.
    """
    labels = []
    known = {i.id for i in rubric.items}
    for row in dialogues:
        given = {v.item_id: v for v in judge(annotated(row.dialogue, rubric), rubric)}
        for item, expected in row.expected.items():
            if item not in known:
                raise RubricError(
                    f'{row.file}: {row.dialogue.recording.call_id}: no item "{item}" in {rubric.id}.',
                    nearest(item, known),
                )
            name = row.dialogue.recording.call_id
            labels.append(Label(row.file, name, item, expected, given[item]))
    return Agreement(tuple(labels))


def labelled_dialogues(folder: Path) -> Iterator[Labelled]:
    """Read every ``*.yaml`` of a folder (or one file), in the order of names.

    Raises
    ------
    RubricError
        If there is none, or one is not in the format, with file and line.
    """
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else [folder]
    if not files:
        raise RubricError(
            f"{folder} holds no dialogues (*.yaml).",
            "Their format is described in tests/dialogues/README.md.",
        )
    for file in files:
        for row in load_located(file).items():
            yield _labelled(file, row)


def _labelled(file: Path, row: Located) -> Labelled:
    keys = row.mapping(_KEYS)
    for needed in ("id", "turns", "expect"):
        if needed not in keys:
            row.fail(f'the key "{needed}" is missing.')
    meta = keys["meta"].mapping(_META) if "meta" in keys else {}
    levels = (
        [x.value for x in keys["turn_levels_dbfs"].items()] if "turn_levels_dbfs" in keys else []
    )
    turns: list[Turn] = []
    now = 0.5
    for index, node in enumerate(keys["turns"].items()):
        parts = node.items()
        if len(parts) not in (2, 4, 5):
            node.fail("a turn is [speaker, text], with start, end and confidence if known.")
        text = simplify(parts[1].text())
        units = count_units(text)
        start, end = now, now + max(sum(c.isalnum() for c in text), 1) / UNITS_PER_S
        if len(parts) >= 4:
            start, end = parts[2].number(0), parts[3].number(0)
        now = end + GAP_S
        level = levels[index] if index < len(levels) else None
        turns.append(
            Turn(
                index, parts[0].choice(SPEAKERS), start, end, ((start, end),), text, (),
                parts[4].number(0, 1) if len(parts) == 5 else _WELL_HEARD,
                units=units, speaking_rate=60 * units / max(end - start, 0.01),
                level_dbfs=float(level) if isinstance(level, (int, float)) else None,
            )
        )  # fmt: skip
    given = tuple(_event(e) for e in keys["events"].items()) if "events" in keys else None
    events = given or ()
    measures: dict[str, float | None] = {
        k: None if v.value is None else v.number()
        for k, v in (keys["measures"].mapping().items() if "measures" in keys else ())
    }
    last = max([t.end for t in turns] + [e.end for e in events], default=0.0)
    duration = measures.pop("duration", None) or last
    name = keys["id"].text()
    recording = Recording(
        name,
        name,
        direction=meta["direction"].choice(("inbound", "outbound"))
        if "direction" in meta
        else None,  # type: ignore[arg-type]
        started_at=meta["started_at"].text() if "started_at" in meta else None,
        customer_name=meta["customer_name"].text() if "customer_name" in meta else None,
        rings=meta["rings"].integer() if "rings" in meta else None,
        wait_s=meta["wait_s"].number(0) if "wait_s" in meta else None,
    )
    expected = {
        item: label.choice(get_args(VerdictName))
        for item, label in keys["expect"].mapping().items()
    }
    dialogue = Dialogue(recording, duration, tuple(turns), events, measures)
    if all(len(node.items()) >= 4 for node in keys["turns"].items()):
        dialogue = _measured(dialogue, by_ear=given is None)
    return Labelled(file.stem, dialogue, expected)  # type: ignore[arg-type]


def _measured(call: Dialogue, *, by_ear: bool) -> Dialogue:
    """A dialogue with true times as the program measures a call; what is given stands.

    Without any events given, overlaps and silences are found (``by_ear``). An interruption of which
    nobody says whether it took the floor did so where the other stopped first.
    """
    turns = rate_turns(call.turns)
    told = [replace(t, words=(Word(t.start, t.end, t.text, t.confidence),)) for t in turns]
    found = (*find_overlaps(told), *find_silences(told, ())) if by_ear else call.events
    events = tuple(
        replace(e, detail=_detail(e, turns) | dict(e.detail))
        for e in sorted(found, key=lambda e: (e.start, e.end))
    )
    voices = {
        s: Voice(level_dbfs=sum(level * t for level, t in own) / sum(t for _, t in own))
        for s in SPEAKERS
        if (own := [(t.level_dbfs, t.duration) for t in turns if t.speaker == s and t.level_dbfs])
    }
    known = measure_call(turns, events, voices, call.duration)
    measures = {k: v for k, v in known.items() if v is not None} | dict(call.measures)
    return replace(call, turns=turns, events=events, measures=measures)


def _detail(event: Event, turns: tuple[Turn, ...]) -> dict[str, object]:
    """What the detail of an event holds where nobody wrote it down."""
    if event.kind == "hold":
        return {"announced": False}
    if event.kind != "interruption":
        return {}
    last = {s: max((t.end for t in turns if t.speaker == s and t.start <= event.end), default=0.0)
            for s in SPEAKERS}  # fmt: skip
    floor_taken = all(last[s] <= last[event.by] for s in SPEAKERS) if event.by else False
    kind = "successful" if floor_taken else "attempted"
    return {"yielded": floor_taken, "kind": kind, "overlap_s": event.seconds}


def _event(at: Located) -> Event:
    keys = at.mapping(("kind", "start", "end", "by", "detail"))
    detail = {k: v.value for k, v in keys["detail"].mapping().items()} if "detail" in keys else {}
    if "successful" in detail:  # as truth files name it
        detail["yielded"] = detail.pop("successful")
    by = keys["by"].choice(SPEAKERS) if "by" in keys and keys["by"].value is not None else None
    kind = keys["kind"].choice(get_args(EventKind))
    return Event(kind, keys["start"].number(), keys["end"].number(), by, detail)  # type: ignore[arg-type]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
