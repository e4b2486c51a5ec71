"""The labelled dialogues: verdicts of the built-in rubric against those of a supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.rubric import Rubric, judge, load_rubric
from pipeline.schema import Dialogue, Event, Recording, Turn
from pipeline.text import count_units, simplify

FOLDER = Path(__file__).parent / "dialogues"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def rubric() -> Rubric:
    return load_rubric("hotline")


def to_dialogue(row: dict[str, Any]) -> Dialogue:
    meta, now = row.get("meta", {}), 0.5
    levels = row.get("turn_levels_dbfs", [None] * len(row["turns"]))
    turns = []
    for index, (given, level) in enumerate(zip(row["turns"], levels, strict=True)):
        text = simplify(given[1])
        units = count_units(text)
        start, end = now, now + max(sum(c.isalnum() for c in text), 1) / 4
        if len(given) >= 4:
            start, end = given[2:4]
        now = end + 0.4
        turns.append(
            Turn(
                index, given[0], start, end, ((start, end),), text, (),
                given[4] if len(given) > 4 else 0.93,
                units=units, speaking_rate=60 * units / (end - start), level_dbfs=level,
            )
        )  # fmt: skip
    events = tuple(
        Event(e["kind"], e["start"], e["end"], e.get("by"), e.get("detail", {}))
        for e in row.get("events", [])
    )
    measures = dict(row.get("measures", {}))
    last = max([t.end for t in turns] + [e.end for e in events])
    recording = Recording(
        row["id"], row["id"],
        direction=meta.get("direction"),
        started_at=meta.get("started_at"),
        customer_name=meta.get("customer_name"),
        rings=meta.get("rings"),
        wait_s=meta.get("wait_s"),
    )  # fmt: skip
    duration = measures.pop("duration", last)
    return Dialogue(recording, duration, tuple(turns), events, measures)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_verdicts_of_labelled_dialogues(file: Path, rubric: Rubric) -> None:
    rows = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    wrong = []
    for row in rows:
        given = {v.item_id: v for v in judge(to_dialogue(row), rubric)}
        wrong += [
            f"{row['id']} {item}: {given[item].verdict}, not {label} ({given[item].quote})"
            for item, label in row["expect"].items()
            if given[item].verdict != label
        ]
    assert rows
    assert not wrong, "\n".join(wrong)


def test_every_item_that_is_scored_has_a_label(rubric: Rubric) -> None:
    loader = YAML(typ="safe", pure=True)
    labelled = {
        item
        for file in FILES
        for row in loader.load(file.read_text(encoding="utf-8"))
        for item in row["expect"]
    }
    assert {i.id for i in rubric.items if i.scored} <= labelled
