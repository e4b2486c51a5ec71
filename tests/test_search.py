"""Search for what was said: by characters and by sound, exactly what looking through all turns would find."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.desk.pages.search import find
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import Scope
from pipeline.errors import ParameterError
from pipeline.schema import AGENT, CUSTOMER, CallResult, Turn
from pipeline.store import Store
from pipeline.store.said import characters, places, sounds
from tests.desk_client import client, get
from tests.test_store import make_result


def call(call_id: str, *said: tuple[str, str], day: str = "2026-03-10") -> CallResult:
    """A call in which this was said, in turn."""
    base = make_result(call_id)
    turns = tuple(
        Turn(i, who, float(i), i + 0.9, ((float(i), i + 0.9),), text, (), 0.9)
        for i, (who, text) in enumerate(said)
    )
    started = f"{day}T09:00:00+08:00"
    recording = dataclasses.replace(base.recording, started_at=started, path=f"/x/{call_id}.wav")
    return dataclasses.replace(base, recording=recording, turns=turns)


def found(store: Store, text: str, **how: object) -> list[tuple[str, int]]:
    return [(f.call.call_id, f.turn) for f in find(Scope(store), text, **how)]


@pytest.fixture
def small(store: Store):
    store.save(
        call("a", (AGENT, "这个我也没有办法。"), (CUSTOMER, "没有？办法呢！"), day="2026-03-10")
    )
    store.save(
        call("b", (CUSTOMER, "没"), (AGENT, "有 VIP 卡吗"), (AGENT, "梅友办法"), day="2026-03-12")
    )
    store.save(call("c", (AGENT, "您好您好，订单 12345。"), day="2026-03-11"))
    return store


def test_two_characters_are_found_wherever_they_stand_newest_calls_first(small: Store):
    assert found(small, "办法") == [("b", 2), ("a", 0), ("a", 1)]
    assert found(small, "没有办法") == [("a", 0), ("a", 1)]  # what is not said does not count
    assert found(small, "有vip") == [("b", 1)]
    assert found(small, "ＶＩＰ卡") == [("b", 1)]
    assert found(small, "234") == [("c", 0)]
    assert found(small, "您好") == [("c", 0)]
    assert found(small, "没有") == [("a", 0), ("a", 1)]  # never across turns: 没 | 有
    assert found(small, "有没") == []


def test_by_sound_other_characters_of_the_same_syllables_are_found(small: Store):
    assert found(small, "没有办法", by="sound") == [("b", 2), ("a", 0), ("a", 1)]
    assert found(small, "mei you ban fa", by="sound") == [("b", 2), ("a", 0), ("a", 1)]
    assert found(small, "一二三", by="sound") == [("c", 0)]  # digits are spoken


def test_who_dates_and_going_on(small: Store):
    assert found(small, "办法", speaker=CUSTOMER) == [("a", 1)]
    assert found(small, "办法", filters=Filters.of({"to": "2026-03-11"})) == [("a", 0), ("a", 1)]
    assert found(small, "办法", filters=Filters.of({"from": "2026-03-11"})) == [("b", 2)]
    first = list(find(Scope(small), "办法", most=1))
    assert [f.call.call_id for f in first] == ["b"]
    assert found(small, "办法", before=first[-1].doc) == [("a", 0), ("a", 1)]
    for short in ("办", "，办 。", "", "长" * 61):
        with pytest.raises(ParameterError):
            found(small, short)


def test_what_is_heard_anew_is_found_and_what_was_heard_before_is_not(small: Store):
    small.save(call("a", (AGENT, "换了别的话")))
    assert found(small, "没有办法") == []
    assert found(small, "别的话") == [("a", 0)]
    small.save(call("a", (AGENT, "这个我也没有办法。"), (CUSTOMER, "没有？办法呢！")))
    assert found(small, "没有办法") == [("a", 0), ("a", 1)]
    small.rename({"a": "e"})
    assert found(small, "没有办法") == [("e", 0), ("e", 1)]


@given(
    st.lists(st.text("没有办法 ，aA1", max_size=9), min_size=1, max_size=4),
    st.text("没有办法a1", min_size=2, max_size=4),
)
def test_a_place_is_found_where_the_characters_stand(texts: list[str], wanted: str):
    for text in texts:
        said = characters(text).said
        stands = "".join(characters(wanted).said) in "".join(said)
        assert bool(list(places(said, characters(wanted).said))) == stands
        if stands:
            assert list(places(sounds(said), sounds(characters(wanted).said)))


def test_the_page_marks_what_was_heard_by_sound(small: Store, tmp_path: Path):
    page = get(client(small), "/search?q=没有办法&by=sound")
    assert "<mark>梅友办法</mark>" in page
    assert "<mark>没有？办法</mark>" in page
    assert "by=sound" in get(client(small), "/search?q=没有办法")
    get(client(small), "/search?q=没有办法&by=smell", 400)
    get(client(small), "/search?q=没有办法&after=x", 400)
