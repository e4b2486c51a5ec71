"""The store: round trips, replacing, transactions, several writers, clear errors."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import qa_scores as outside
from pipeline.errors import OutputError, ParameterError, SlowQuery
from pipeline.measures import KINDS
from pipeline.schema import (
    CallResult,
    ChannelQuality,
    Event,
    Failure,
    Provenance,
    Recording,
    Turn,
    Utterance,
    Verdict,
    Word,
)
from pipeline.store import TABLES, Identity, Store, database, frame_of, schema_of, slug_of
from pipeline.store import store as store_module
from pipeline.store.migrations import SQL
from pipeline.store.rows import clean

LAST_TURN_TEXT = "你好请问有什么可以帮您"


def make_result(call_id: str = "c1", turns: int = 4, **changes: object) -> CallResult:
    """A small result in which every field is filled."""
    words = tuple(Word(i * 0.2, i * 0.2 + 0.15, c, 0.9) for i, c in enumerate(LAST_TURN_TEXT))
    result = CallResult(
        recording=Recording(
            path=f"/calls/{call_id}.wav",
            call_id=call_id,
            agent_id="A1",
            agent_name="小李",
            team="一组",
            direction="inbound",
            started_at="2026-03-12T10:05:00+08:00",
            rings=2,
        ),
        sha256="ab" * 32,
        duration=61.25,
        channels=2,
        sample_rate=8000,
        codec="pcm_mulaw",
        language="zh",
        speaker_source="channel",
        role_confidence=0.97,
        warnings=("left channel clipped", "short"),
        quality=(ChannelQuality(0, 31.0, 0.001, 3400.0, 30.0, -23.5, ("clipping",)),),
        utterances=(Utterance("agent", 0.0, 2.2, LAST_TURN_TEXT, words, 0.9),),
        turns=tuple(
            Turn(
                turn=i,
                speaker="agent" if i % 2 == 0 else "customer",
                start=i * 3.0,
                end=i * 3.0 + 2.2,
                spans=((i * 3.0, i * 3.0 + 1.0), (i * 3.0 + 1.3, i * 3.0 + 2.2)),
                text=LAST_TURN_TEXT,
                words=words,
                confidence=0.9,
                is_backchannel=i == 3,
                units=11,
                speaking_rate=300.0,
                level_dbfs=-24.0,
            )
            for i in range(turns)
        ),
        events=(
            Event("hold", 20.0, 40.0, "agent", {"medium": "music", "consent": None}),
            Event("interruption", 50.0, 51.0, "customer", {"yielded": True}, 0.7),
        ),
        measures={
            "agent_talk_s": 20.5,
            "customer_talk_s": 18.0,
            "agent_turns": 2,
            "agent_interruptions": 0,
            "agent_pitch_sd_st": None,
            "holds": 1,
            "compliance_score": 87.5,
        },
        verdicts=(
            Verdict("opening_greeting", "rubric", "pass", 1, 1, 2.0, "agent", 0.0, 1.0, "你好"),
            Verdict("hold_thanks", "rubric", "fail", 0, 1, 1.0),
            Verdict("hold_checkin", "rubric", "cannot_tell"),
        ),
        provenance=Provenance("default", "0.1.0", "s1", {"whisper": "w1"}, "r1"),
        stage_seconds={"audio": 0.5, "asr": 2.25},
    )
    return dataclasses.replace(result, **changes)


def make_failure(call_id: str = "c1", message: str = "not audio") -> Failure:
    return Failure(f"/calls/{call_id}.wav", call_id, "audio", "UnreadableAudio", message, "Check.")


def scores_sheet(tmp_path: Path, text: str, calls: pd.DataFrame) -> outside.Joined:
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return outside.join(outside.read_scores(path).rows, calls)


def counts(store: Store) -> dict[str, int]:
    return {name: len(store.frame(name)) for name in TABLES}


def test_a_result_comes_back_as_it_was(store: Store):
    result = make_result()
    store.save(result)
    assert store.load("c1") == result
    assert list(store.results()) == [result]


def test_rows_follow_the_contract(store: Store):
    store.save(make_result())
    call = store.frame("calls").iloc[0]
    assert call["warnings"] == "left channel clipped; short"
    assert call["processing_seconds"] == 2.75
    assert call["agent_interruptions"] == 0
    assert pd.isna(call["agent_pitch_sd_st"])
    assert pd.isna(call["dead_air"])
    assert call["rings"] == 2
    turns = store.frame("turns")
    assert turns["is_backchannel"].tolist() == [False, False, False, True]
    assert turns["text_masked"].isna().all()
    events = store.frame("events")
    assert events["detail"].tolist() == [
        '{"medium": "music", "consent": null}',
        '{"yielded": true}',
    ]
    assert events["seconds"].tolist() == [20.0, 1.0]
    assert store.frame("verdicts")["verdict"].tolist() == ["pass", "fail", "cannot_tell"]
    for name, columns in TABLES.items():
        frame = store.frame(name)
        assert list(frame.columns) == [c.name for c in columns]
        assert [str(t) for t in frame.dtypes] == [KINDS[c.kind].dtype for c in columns]


def test_an_empty_store_gives_typed_empty_tables(store: Store):
    for name, columns in TABLES.items():
        frame = store.frame(name)
        assert frame.empty
        assert [str(t) for t in frame.dtypes] == [KINDS[c.kind].dtype for c in columns]
    assert list(store.results()) == []


def test_saving_again_replaces(store: Store):
    store.save(make_result("other"))
    store.save(make_result(turns=6))
    store.save(make_result(turns=2))
    store.save(make_result(turns=3))
    assert counts(store) == {
        "calls": 2, "turns": 7, "events": 4, "verdicts": 6, "failures": 0, "outside_scores": 0,
    }  # fmt: skip
    assert len(store.load("c1").turns) == 3


def test_a_success_replaces_a_failure(store: Store):
    store.save_failure(make_failure(), make_result().recording)
    call = store.frame("calls").iloc[0]
    assert (call["status"], call["error"], call["agent_id"]) == ("failed", "not audio", "A1")
    store.save(make_result())
    assert store.frame("calls")["status"].tolist() == ["ok"]
    assert store.frame("failures").empty


def test_a_failure_keeps_the_earlier_result_and_says_so(store: Store):
    store.save(make_result())
    for message in ("disk unplugged", "still unplugged"):
        store.save_failure(make_failure(message=message))
    call = store.frame("calls").iloc[0]
    assert call["status"] == "ok"
    assert "earlier result is kept" in call["error"]
    assert "still unplugged" in call["error"]
    assert store.frame("failures")["message"].tolist() == ["still unplugged"]
    assert store.load("c1") == make_result()


def test_a_crash_while_saving_leaves_nothing(store: Store):
    store.save(make_result(turns=2))
    before = counts(store)

    def crash(connection, cursor, statement, *_):
        if statement.startswith("INSERT INTO verdicts"):
            raise RuntimeError("power cut")

    sa.event.listen(store._engine, "before_cursor_execute", crash)
    for call_id in ("c1", "new"):
        with pytest.raises(RuntimeError, match="power cut"):
            store.save(make_result(call_id, turns=5))
    sa.event.remove(store._engine, "before_cursor_execute", crash)
    assert counts(store) == before
    assert len(store.load("c1").turns) == 2
    store.save(make_result("new"))
    assert counts(store)["calls"] == 2


def test_known_tells_what_must_be_done_again(store: Store):
    result = make_result()
    assert store.known(["c1"]) == {}
    store.save_failure(make_failure("c1"))
    assert store.known(["c1"])["c1"].identity is None
    store.save(result, stamp="5:6")

    def identity(sha256: str = result.sha256, **changes: object) -> Identity:
        return Identity.of("c1", sha256, dataclasses.replace(result.provenance, **changes))

    found = store.known(["c1", "c2"])
    assert list(found) == ["c1"]
    assert (found["c1"].recording, found["c1"].stamp) == (result.recording, "5:6")
    known = found["c1"].identity
    assert known == identity()
    assert known != identity(rubric="r2")
    assert known.alike(identity(rubric="r2"))
    assert not known.alike(identity(sha256="cd" * 32))
    assert not known.alike(identity(settings_hash="s2"))
    assert not known.alike(identity(weights={"whisper": "w2"}))
    assert not known.alike(identity(rubric="r2", settings_hash="s2"))


def test_unknown_names_are_answered_with_the_nearest(store: Store):
    store.save(make_result("call_17"))
    with pytest.raises(ParameterError, match="call_17"):
        store.load("call_71")
    with pytest.raises(ParameterError, match="verdicts"):
        store.frame("verdict")
    with pytest.raises(ParameterError, match="verdicts"):
        store.count("verdict")
    with pytest.raises(ParameterError, match="speaker"):
        list(store.batches("turns", ["call_id", "speakr"]))


def test_outside_scores_are_merged_and_survive(store: Store, tmp_path: Path):
    store.save(make_result("c1"))
    store.save(make_result("c2"))
    text = (
        "recording,item_id,verdict,score,reviewer\n"
        "c1.wav,,,90,qa1\nc1.wav,,,80,qa2\n"
        "c1.wav,opening_greeting,pass,,qa1\nc1.wav,hold_thanks,pass,,qa1\n"
        "c1.wav,hold_checkin,pass,,qa1\nnobody.wav,,,70,qa1\n"
    )
    joined = scores_sheet(tmp_path, text, store.frame("calls"))
    for _ in range(2):
        store.save_outside(joined.rows)
        store.save(make_result("c1"))
    calls = store.frame("calls").set_index("call_id")
    assert calls["outside_score"].to_dict() == pytest.approx(
        {"c1": 85.0, "c2": np.nan}, nan_ok=True
    )
    assert calls.loc["c1", "outside_agreement"] == 0.5
    assert len(store.frame("outside_scores")) == 6
    loaded = store.load("c1")
    assert [v.source for v in loaded.verdicts] == ["rubric"] * 3 + ["outside"] * 3
    assert loaded.verdicts[3].reviewer == "qa1"
    assert loaded.measures["outside_score"] == 85.0
    assert store.load("c2") == make_result("c2")

    other = scores_sheet(tmp_path, "call_id,score\nc2,60\n", store.frame("calls"))
    store.save_outside(other.rows)  # another month under the same name takes nothing away
    scored = store.frame("calls").set_index("call_id")["outside_score"]
    assert scored.to_dict() == {"c1": 85.0, "c2": 60.0}


def test_a_correction_replaces_whatever_the_file_is_called(store: Store, tmp_path: Path):
    store.save(make_result("c1"))
    header = "call_id,score,reviewer,scored_at\n"
    for text, score in (
        (f"{header}c1,40,qa1,\n", 40.0),
        (f"{header}c1,90,qa1,\n", 90.0),
        (f"{header}c1,80,qa2,2026-03-13\n", 85.0),  # a second opinion stands beside
        (f"{header}c1,60,qa2,2026-03-12\n", 85.0),  # older, so it does not count
        (f"{header}c1,100,qa2,2026-03-14\n", 95.0),
    ):
        store.save_outside(scores_sheet(tmp_path, text, store.frame("calls")).rows)
        assert store.frame("calls")["outside_score"].tolist() == [score], text
    assert store.frame("outside_scores")["score"].tolist() == [90, 80, 60, 100]


def test_full_marks_apply_to_overall_scores(store: Store, tmp_path: Path):
    store.save(make_result("c1"))
    text = "call_id,score,max_score,reviewer\nc1,4.5,5,qa1\nc1,110,120,qa2\n"
    store.save_outside(scores_sheet(tmp_path, text, store.frame("calls")).rows)
    assert store.frame("calls")["outside_score"].tolist() == [pytest.approx((90 + 91.666667) / 2)]


def test_scores_that_came_before_their_call_are_joined_later(store: Store, tmp_path: Path):
    store.save_outside(scores_sheet(tmp_path, "call_id,score\nc1,60\n", store.frame("calls")).rows)
    assert len(store.pending_outside()) == 1
    store.save(make_result("c1"))
    late = outside.join(store.pending_outside(), store.frame("calls"))
    store.save_outside(late.rows)
    assert store.frame("calls")["outside_score"].tolist() == [60.0]
    assert len(store.frame("outside_scores")) == 1
    assert store.pending_outside().empty


def test_a_snapshot_does_not_see_later_writes(store: Store):
    store.save(make_result("c1"))
    with store.snapshot() as view:
        assert len(view.frame("calls")) == 1
        store.save(make_result("c2"))
        assert len(view.frame("turns")) == 4
        assert len(list(view.results())) == 1
        with pytest.raises(ParameterError, match="snapshot"):
            view.save(make_result("c3"))
    assert len(store.frame("turns")) == 8


def test_tables_stream_in_parts(store: Store):
    for i in range(5):
        store.save(make_result(f"c{i}"))
    parts = list(store.batches("turns", rows=7))
    assert [p.num_rows for p in parts] == [7, 7, 6]
    assert store.count("turns") == 20
    pd.testing.assert_frame_equal(frame_of(parts), store.frame("turns"))
    pd.testing.assert_frame_equal(frame_of(parts[:1])[:4], store.frame("turns", "c0"))
    pd.testing.assert_frame_equal(
        store.frame("turns", "c0", columns=["text"]), store.frame("turns", "c0")[["text"]]
    )
    some = frame_of(list(store.batches("turns", ["speaker", "call_id"], ordered=False)))
    assert list(some.columns) == ["call_id", "speaker"]
    whole = store.frame("turns")[["call_id", "speaker"]].sort_values(["call_id", "speaker"])
    some = some.sort_values(["call_id", "speaker"])
    assert some.to_numpy().tolist() == whole.to_numpy().tolist()


def test_results_stream_beyond_one_page(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_module, "RESULT_ROWS", 2)
    for i in range(5):
        store.save(make_result(f"c{i}"))
    assert [r.recording.call_id for r in store.results()] == [f"c{i}" for i in range(5)]


NUMBERS = st.one_of(st.none(), st.floats(), st.integers(-(10**9), 10**9))
COUNTS = st.one_of(st.none(), st.just(float("nan")), st.floats(-1e15, 1e15), st.integers(0, 10**15))


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(st.characters(), max_size=20),
    level=NUMBERS,
    count=COUNTS,
    detail=st.dictionaries(st.text(max_size=5), NUMBERS, max_size=3),
)
def test_any_text_and_number_can_be_stored(any_store, text, level, count, detail):
    base = make_result()
    result = dataclasses.replace(
        base,
        recording=dataclasses.replace(base.recording, agent_name=text),
        measures={"agent_level_dbfs": level, "holds": count},
        events=(Event("hold", 0.0, 1.0, "agent", detail),),
    )
    any_store.save(result)
    call = any_store.frame("calls", "c1").iloc[0]
    assert call["agent_name"] == clean(text)
    for name, value in (("agent_level_dbfs", level), ("holds", count)):
        if value is None or not np.isfinite(value):
            assert pd.isna(call[name])
        else:
            assert call[name] == (value if name == "agent_level_dbfs" else round(value))
    assert any_store.load("c1").recording.agent_name == text


@pytest.fixture(scope="module")
def any_store(tmp_path_factory: pytest.TempPathFactory):
    with Store.open(tmp_path_factory.mktemp("any")) as opened:
        yield opened


def test_undecodable_names_are_stored(store: Store):
    path = os.fsdecode(b"/calls/\xd6\xd0.wav")
    result = make_result(recording=Recording(path=path, call_id=os.fsdecode(b"\xd6\xd0")))
    for _ in range(2):
        store.save(result)
        store.save_failure(make_failure(result.recording.call_id))
    calls = store.frame("calls", result.recording.call_id)
    assert calls["path"].tolist() == ["/calls/\\udcd6\\udcd0.wav"]
    assert calls["call_id"].tolist() == ["\\udcd6\\udcd0"]
    assert store.load(result.recording.call_id) == result
    identity = Identity.of(result.recording.call_id, result.sha256, result.provenance)
    call_id = result.recording.call_id
    assert store.known([call_id])[call_id].identity == identity
    assert store.ids_at([result.recording.path]) == {result.recording.path: clean(call_id)}


def _save_many(address: str, name: str, barrier) -> None:
    barrier.wait()
    with Store.open(address) as store:
        for i in range(15):
            store.save(make_result(f"{name}{i}"))
            store.save(make_result("shared"))


def test_several_processes_open_and_write_at_once(address: str):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    writers = [
        context.Process(target=_save_many, args=(address, n, barrier)) for n in ("a", "b", "c")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [w.exitcode for w in writers] == [0, 0, 0]
    with Store.open(address) as store:
        assert counts(store)["calls"] == 46
        assert counts(store)["turns"] == 46 * 4


def test_numbers_and_texts_keep_their_types_order_and_nulls(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    """The whole table, read in batches, is what the rows of each call are when read alone."""
    monkeypatch.setattr(store_module, "FETCH_ROWS", 2)
    levels = [None, None, None, -0.0, 5, 1e308, 5e-324, 0.1 + 0.2, -1e-300]
    counts_ = [None, None, None, 0, 2**53 + 1, -1, 2**62, 7, None]
    texts = [None, None, None, "", "a,'\"\n\t", "\x00\ud800", "𠮷😀", "null", "NaN"]
    flags = [None, None, None, True, False, True, None, False, True]
    values = list(zip(levels, counts_, texts, flags, strict=True))
    for i in reversed(range(len(values))):
        level, count, text, flag = values[i]
        recording = Recording("x.wav", call_id=f"c{i}", agent_name=text)
        measures = {"agent_level_dbfs": level, "holds": count}
        store.save(make_result(f"c{i}", turns=1, recording=recording, measures=measures))
        with database.writing(store._engine) as connection:
            turns = SQL["turns"]
            connection.execute(
                turns.update().where(turns.c.call_id == f"c{i}").values(is_backchannel=flag)
            )
    calls = pa.Table.from_batches(store.batches("calls", rows=4))
    assert calls["call_id"].to_pylist() == [f"c{i}" for i in range(len(values))]
    assert calls["agent_level_dbfs"].to_pylist() == levels
    assert calls["holds"].to_pylist() == counts_
    assert calls["agent_name"].to_pylist() == [t if t is None else clean(t) for t in texts]
    assert frame_of(list(store.batches("turns", ["is_backchannel"])))["is_backchannel"].equals(
        pd.Series(flags, dtype="boolean")
    )
    for name, columns in TABLES.items():
        if "call_id" in {c.name for c in columns} and name != "outside_scores":
            alone = [store.frame(name, f"c{i}") for i in range(len(values))]
            pd.testing.assert_frame_equal(store.frame(name), pd.concat(alone, ignore_index=True))


@pytest.mark.parametrize("columns", [["text"], ["units"], ["is_backchannel", "start"]])
def test_some_columns_come_with_their_types_also_when_empty(store: Store, columns: list[str]):
    kept = [c for c in TABLES["turns"] if c.name in columns]
    for turns in (0, 3):
        store.save(make_result(turns=turns))
        (batch,) = store.batches("turns", columns)
        assert batch.schema == schema_of(kept)
        assert batch.num_rows == turns


def test_a_number_that_is_none_is_said(tmp_path: Path):
    with Store.open(tmp_path) as store:
        store.save(make_result())
        with database.writing(store._engine) as connection:
            connection.execute(sa.text("UPDATE calls SET duration = 'long'"))
        with pytest.raises(OutputError, match=r"cannot be used.*damaged"):
            store.frame("calls")


def test_a_call_has_an_address_a_week_and_a_queue(store: Store):
    odd = Recording("/a", "客服/1 <b>", started_at="2026-01-01T00:30:00+08:00", queue="VIP")
    store.save(make_result("客服/1 <b>", recording=odd))
    store.save_failure(make_failure("x0123456789abcdef"))
    rows = store.frame("calls").set_index("call_id")
    assert rows.loc["客服/1 <b>", ["slug", "week", "queue"]].tolist() == [
        slug_of("客服/1 <b>"), "2026-W01", "VIP",
    ]  # fmt: skip
    assert len(set(rows["slug"])) == 2
    assert rows["slug"].str.fullmatch("x[0-9a-f]{16}").all()


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "é", "a" * 65, "x0123456789abcdef"])
def test_what_cannot_stand_in_an_address_is_hashed(name: str):
    assert slug_of(name) != name
    assert len(slug_of(name)) == 17


def test_every_change_is_counted(store: Store):
    seen = [store.changes()]
    store.save(make_result())
    seen.append(store.changes())
    store.save_failure(make_failure("c2"))
    seen.append(store.changes())
    assert seen == sorted(set(seen))
    store.note("machine", "play", "c1", "0-3")  # which no page shows
    assert store.changes() == seen[-1]


def test_documents_are_kept_once(store: Store):
    for body in ("{}", "other"):
        store.keep_document("rubrics", "h", body)
    query = sa.select(SQL["rubrics"])
    assert [tuple(r) for r in store.fetch(query)] == [("h", "{}")]


def test_a_query_that_takes_too_long_is_given_up(store: Store):
    numbers = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < 10**9))
    query = sa.select(sa.func.count()).select_from(numbers)
    with pytest.raises(SlowQuery, match=r"0\.1 s"):
        store.fetch(query, 0.1)
    assert store.fetch(sa.select(sa.literal(1))) == [(1,)]
