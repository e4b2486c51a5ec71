"""A made-up store of some agents over half a year, for looking at pages and for their tests.

Nothing in it was recorded or heard. ``python -m tests.desk_store out/made`` writes one to look at.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa

from pipeline.rubric import load_rubric
from pipeline.schema import CallResult, Event, Provenance, Recording, Turn, Verdict, Word
from pipeline.settings import load_settings
from pipeline.store import Store

FIRST_MONDAY = datetime.fromisoformat("2025-09-29T09:00:00+08:00")  # 2025-W40
CHANGED_IN_WEEK = 14  # counted from 0: from then on N108 speaks more slowly
GREETING = "您好，客服中心，我姓{name}，请问有什么可以帮您？"
SAID = {
    "opening_greeting": GREETING,
    "opening_self_introduction": GREETING,
    "further_help": "请问还有其他可以帮您的吗？",
    "closing_thanks": "感谢您的来电，再见。",
    "complaint_apology": "非常抱歉给您带来不便。",
    "hold_consent": "我帮您查一下，请您稍等一会儿可以吗？",
    "prohibited_phrases": "这是公司的规定，我也没有办法。",
}
TRIGGERS = {"complaint_apology": "你们这样我要投诉的", "hold_consent": "那你帮我查一下订单吧"}


class Person(NamedTuple):
    """One made-up agent: true values of a few measures and pass rates."""

    agent_id: str
    name: str
    calls: tuple[int, ...]  # in each week, from the first
    rate: float = 205.0
    slower: float = 0.0  # from CHANGED_IN_WEEK on
    interruptions: float = 0.15
    score: float = 78.0
    passes: float = 0.8  # of items
    hold_consent: float = 0.7
    team: str = "售后组"


def people(weeks: int = 26, per_week: int = 12) -> tuple[Person, ...]:
    """Two agents with many calls, three with some, one with 12, one with 3."""
    every = (per_week,) * weeks
    some, few = (per_week // 3,) * weeks, (0,) * max(weeks - 4, 0)
    return (
        Person("N102", "小郭", every, 212, hold_consent=0.1, score=70),
        Person("N108", "小何", every, 216, slower=28, hold_consent=0.75),
        Person("N143", "小张", (*few, 3, 3, 3, 3), 198, passes=0.95, score=84),
        Person("N152", "小孙", (*few, 1, 1, 1), 240),
        Person("N160", "小林", some, 208, score=80),
        Person("N161", "小周", some, 201, score=76),
        Person("N165", "小许", some, 195, score=82, passes=0.85),
    )


def fill(store: Store, known: tuple[Person, ...] | None = None, seed: int = 1) -> int:
    """Save the calls of made-up agents with rubric and settings; returns how many."""
    settings, rubric = load_settings(), load_rubric("hotline")
    store.keep_document("rubrics", rubric.sha256, rubric.outline())
    store.keep_document("settings", settings.digest(), settings.model_dump_json())
    _hasten(store)
    provenance = Provenance("gpu", "0.0.0", settings.digest(), {}, rubric.sha256)
    weights = {item.id: item.weight for item in rubric.items}
    n = 0
    for person in people() if known is None else known:
        rng = np.random.default_rng([seed, *person.agent_id.encode()])
        for week, number in enumerate(person.calls):
            for _ in range(number):
                store.save(call(person, week, n, rng, provenance, weights))
                n += 1
    return n


def _hasten(store: Store) -> None:
    """Do not wait for the disk: what is made up can be made again."""
    engine = store._engine
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous = OFF"))
        engine.dispose()


def call(
    person: Person,
    week: int,
    number: int,
    rng: np.random.Generator,
    provenance: Provenance,
    weights: dict[str, float],
) -> CallResult:
    """One made-up call."""
    day = FIRST_MONDAY + timedelta(weeks=week, days=int(rng.integers(5)))
    started = day + timedelta(minutes=int(rng.integers(480)))
    call_id = f"{person.agent_id.lower()}-{number:05d}"
    rate = person.rate - (person.slower if week >= CHANGED_IN_WEEK else 0)
    rate += 3 * np.sin(week) + rng.normal(0, 18)
    verdicts = tuple(_verdicts(person, rng, weights))
    turns = tuple(_turns(person, verdicts, rate))
    duration = float(rng.uniform(180, 300))
    interruptions = int(rng.poisson(person.interruptions))
    hold_s = float(rng.gamma(3, 6)) if rng.random() < 0.4 else 0.0
    talk, other = duration * rng.uniform(0.4, 0.5), duration * rng.uniform(0.3, 0.4)
    passed = sum(v.verdict == "pass" for v in verdicts)
    failed = sum(v.verdict == "fail" for v in verdicts)
    events = [
        Event("interruption", 12.0 + 6 * i, 12.8 + 6 * i, "agent", {"yielded": True})
        for i in range(min(interruptions, 3))
    ]
    if hold_s:
        events.append(Event("hold", 30.0, 30.0 + hold_s, "agent", {"announced": False}))
    measures: dict[str, float | None] = {
        "agent_speaking_rate": rate,
        "agent_articulation_rate": rate * 1.15,
        "agent_level_dbfs": rng.normal(-26, 1.5),
        "agent_pitch_sd_st": abs(rng.normal(3.6, 0.7)),
        "agent_talk_s": talk,
        "agent_rated_s": talk,
        "agent_articulated_s": talk / 1.15,
        "customer_talk_s": other,
        "agent_talk_ratio": talk / (talk + other),
        "agent_interruptions": interruptions,
        "agent_interruption_rate": 600 * interruptions / other,
        "agent_response_latency_p50": abs(rng.normal(0.6, 0.2)),
        "customer_speaking_rate": rng.normal(220, 20),
        "customer_level_dbfs": rng.normal(-27, 2),
        "holds": int(hold_s > 0),
        "hold_s": hold_s,
        "dead_air": int(rng.poisson(0.2)),
        "dead_air_s": 0.0,
        "silence_ratio": 0.2,
        "overlap_s": 0.5 * interruptions,
        "compliance_score": float(np.clip(rng.normal(person.score, 9), 0, 100)),
        "compliance_passed": passed,
        "compliance_failed": failed,
        "compliance_unjudged": 0,
    }
    return CallResult(
        recording=Recording(
            path=f"/made/{call_id}.wav",
            call_id=call_id,
            agent_id=person.agent_id,
            agent_name=person.name,
            team=person.team,
            direction="inbound" if rng.random() < 0.8 else "outbound",
            started_at=started.isoformat(),
            queue="退款" if rng.random() < 0.5 else "物流",
        ),
        sha256=f"{number:064x}",
        duration=duration,
        channels=2,
        sample_rate=8000,
        codec="pcm_mulaw",
        language="zh",
        speaker_source="channel",
        role_confidence=1.0,
        warnings=(),
        quality=(),
        utterances=(),
        turns=turns,
        events=tuple(sorted(events, key=lambda e: e.start)),
        measures=measures,
        verdicts=verdicts,
        provenance=provenance,
        stage_seconds={},
    )


def _verdicts(
    person: Person, rng: np.random.Generator, weights: dict[str, float]
) -> Iterator[Verdict]:
    at = 1.0
    for item, said in SAID.items():
        at += 7.0
        weight = weights[item]
        if item in TRIGGERS and rng.random() > 0.35:
            yield Verdict(item, "rubric", "not_applicable", weight=weight, confidence=0.9)
            continue
        rate = person.hold_consent if item == "hold_consent" else person.passes
        passed = rng.random() < (0.97 if item == "prohibited_phrases" else rate)
        quote = said.format(name=person.name[-1])
        heard = {"start": at, "end": at + 3.0, "confidence": 0.9, "weight": weight}
        if item == "prohibited_phrases":  # what must not be said
            if passed:
                yield Verdict(item, "rubric", "pass", weight=weight, confidence=0.9)
            else:
                yield Verdict(item, "rubric", "fail", speaker="agent", quote=quote, **heard)
        elif passed:
            yield Verdict(item, "rubric", "pass", speaker="agent", quote=quote, **heard)
        elif item in TRIGGERS:
            quote = TRIGGERS[item]
            yield Verdict(item, "rubric", "fail", speaker="customer", quote=quote, **heard)
        else:
            yield Verdict(
                item, "rubric", "fail", weight=weight, confidence=0.9, note="not found: " + item
            )


def _turns(person: Person, verdicts: tuple[Verdict, ...], rate: float) -> Iterator[Turn]:
    lines = [(v.start, v.speaker, v.quote) for v in verdicts if v.start is not None and v.quote]
    lines.append((55.0, "customer", "好的，谢谢你，没有别的问题了。"))
    for i, (start, speaker, text) in enumerate(sorted(lines)):
        spoken = [c for c in text if c.isalnum()]
        step = 3.0 / len(spoken)
        words = tuple(
            Word(start + k * step, start + (k + 1) * step, c, 0.9) for k, c in enumerate(spoken)
        )
        yield Turn(
            i, speaker or "agent", start, start + 3.0, ((start, start + 3.0),), text, words, 0.9,
            units=len(spoken), speaking_rate=rate,
        )  # fmt: skip


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with Store.open(folder / "callcoach.db") as made:
        sys.stdout.write(f"{fill(made)} calls in {folder}\n")
