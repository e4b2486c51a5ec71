"""The store: every result in one database, and the only SQL of the program.

Conventions
-----------
``TABLES`` is the public contract of the tables: each column with its kind, its Chinese header and
its meaning. The database, the exported files and the documentation are all made from it. Missing
values are null, never 0; times are seconds from the start of the recording.

* One call is one transaction: all of its rows are written, or none. Saving a call again replaces
  its rows. A measure that is no column of ``calls`` is kept in the stored result only.
* ``results`` keeps the whole :class:`CallResult` as compressed JSON with its :class:`Identity`, so
  that later stages can run again without recognising the speech again.
* A failure replaces an earlier failure and is replaced by a later success. It never deletes an
  earlier good result: that stays, and its ``error`` in ``calls`` says that a newer attempt failed.
* Outside scores live in ``outside_scores``, one group of rows per imported file, and survive a new
  analysis; where a call has some, they take the place of outside verdicts within the result.
* A column added later carries ``since=N`` and comes with migration N; old columns never change.

SQLite (a file, write-ahead log) is the default; a ``postgresql://`` address works the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from pipeline.compliance import outside
from pipeline.errors import OutputError, ParameterError, nearest
from pipeline.schema import CallResult, Failure, Provenance, Recording, Verdict, from_json, to_json

STORE_NAME = "callcoach.db"
BUSY_TIMEOUT_S = 30
FRAME_ROWS = 20_000
RESULT_ROWS = 100
LOCK_KEY = 7_316_021  # PostgreSQL advisory lock that orders concurrent migrations
OUTSIDE_POSITION = 1_000_000  # outside verdicts come after those of the rubric
ADDRESS_HINT = "Give a file, a folder, or postgresql://USER:PASSWORD@HOST/DATABASE."
_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+pg8000"}
_ADVICE = (
    ("readonly", "Choose an output folder you may write to."),
    ("unable to open", "Choose an output folder that exists and that you may write to."),
    ("full", "Free some space on the disk and run the command again; finished calls are kept."),
    ("not a database", "Choose another output folder, or move that file away."),
    ("malformed", "The file is damaged: restore a copy, or move it away and analyse again."),
    ("locked", "Another program holds the store: close it and run the command again."),
    ("connection", "Check that the database server runs and that its address is right."),
    ("authentication", "Check the user name and the password in the address."),
    ("permission", "Ask for the right to create and write tables in this database."),
    ("", "Check the address and the rights of the store and run the command again."),
)

Dtype = Literal["str", "Int64", "float64", "boolean"]


class Kind(NamedTuple):
    """What a column holds: its type in frames, its Excel number format and its unit."""

    dtype: Dtype
    number_format: str
    unit_zh: str
    unit_en: str


KINDS: Mapping[str, Kind] = {
    "text": Kind("str", "@", "", ""),
    "json": Kind("str", "@", "JSON", "JSON"),
    "flag": Kind("boolean", "General", "是/否", "true/false"),
    "count": Kind("Int64", "0", "个", "count"),
    "seconds": Kind("float64", "0.0", "秒", "s"),
    "ratio": Kind("float64", "0.0%", "0-1，显示为 %", "0-1"),
    "score": Kind("float64", "0", "分", "points"),
    "rate": Kind("float64", "0", "字/分钟", "units/min"),
    "dbfs": Kind("float64", "0.0", "dBFS", "dBFS"),
    "db": Kind("float64", "0.0", "dB", "dB"),
    "hz": Kind("float64", "0", "Hz", "Hz"),
    "semitones": Kind("float64", "0.0", "半音", "semitones"),
    "number": Kind("float64", "0.00", "", ""),
}


class Column(NamedTuple):
    """One column of the contract. ``zh`` is "header" or "header：meaning"."""

    name: str
    kind: str
    zh: str
    en: str
    since: int = 1

    @property
    def header_zh(self) -> str:
        """The Chinese header."""
        return self.zh.partition("：")[0]

    @property
    def meaning_zh(self) -> str:
        """The Chinese meaning; the header where that says it all."""
        return self.zh.partition("：")[2] or self.header_zh


def _of_both(*columns: Column) -> tuple[Column, ...]:
    people = (("agent", "坐席"), ("customer", "客户"))
    return tuple(
        Column(f"{who}_{c.name}", c.kind, who_zh + c.zh, f"{who}: {c.en}", c.since)
        for who, who_zh in people
        for c in columns
    )


# fmt: off
_C = Column
TABLES: Mapping[str, tuple[Column, ...]] = {
    "calls": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("path", "text", "录音文件", "path of the recording"),
        _C("sha256", "text", "内容哈希：录音文件的 SHA-256", "SHA-256 of the recording"),
        _C("started_at", "text", "开始时间：ISO 8601", "start of the call, ISO 8601"),
        _C("duration", "seconds", "时长", "length of the recording"),
        _C("channels", "count", "声道数", "number of channels"),
        _C("sample_rate", "count", "采样率：每秒采样数 (Hz)", "sample rate of the recording, Hz"),
        _C("codec", "text", "编码格式", "audio codec"),
        _C("language", "text", "语言", "language that was recognised"),
        _C("agent_id", "text", "坐席工号", "identifier of the agent"),
        _C("agent_name", "text", "坐席姓名", "name of the agent"),
        _C("team", "text", "班组", "team of the agent"),
        _C("direction", "text", "呼叫方向：inbound 呼入，outbound 呼出", "inbound or outbound"),
        _C("speaker_source", "text", "说话人依据：channel 声道，diarization 声纹",
           "how speakers were told apart: channel or diarization"),
        _C("role_confidence", "ratio", "角色置信度：坐席与客户判定的把握",
           "confidence in who is the agent"),
        _C("status", "text", "状态：ok 完成，partial 部分，failed 失败", "ok, partial or failed"),
        _C("error", "text", "错误", "why the newest attempt failed or stayed partial"),
        _C("warnings", "text", "提醒：以分号分隔", "what to bear in mind, separated by semicolons"),
        _C("preset", "text", "预设", "name of the preset of settings"),
        _C("program_version", "text", "程序版本", "version of the program"),
        _C("processing_seconds", "seconds", "处理耗时", "time the analysis took"),
        *_of_both(
            _C("talk_s", "seconds", "说话时间", "time spent speaking"),
            _C("talk_ratio", "ratio", "说话占比：占双方说话时间", "share of the speech of both"),
            _C("turns", "count", "话轮数", "number of turns"),
            _C("units", "count", "字数：按读音展开，不计标点", "characters as spoken"),
            _C("speaking_rate", "rate", "语速：含自己的停顿", "units per minute with pauses"),
            _C("articulation_rate", "rate", "净语速：去掉 250 毫秒以上的停顿",
               "units per minute, pauses of 250 ms and more removed"),
            _C("speaking_rate_p10", "rate", "语速P10：各话轮的十分位", "P10 of turn rates"),
            _C("speaking_rate_p50", "rate", "语速P50：各话轮的中位数", "median of turn rates"),
            _C("speaking_rate_p90", "rate", "语速P90：各话轮的九十分位", "P90 of turn rates"),
            _C("level_dbfs", "dbfs", "音量：独自说话时的电平", "level while speaking alone"),
            _C("level_sd_db", "db", "音量起伏：电平的标准差", "spread of the level"),
            _C("f0_median_hz", "hz", "音高：基频中位数", "median fundamental frequency"),
            _C("pitch_sd_st", "semitones", "语调起伏：基频的标准差", "SD of pitch"),
            _C("pitch_range_st", "semitones", "语调范围：基频 P95-P5", "P95 - P5 of pitch"),
            _C("interruptions", "count", "打断次数：对方说话时抢话", "the other was cut off"),
            _C("interruption_s", "seconds", "打断时长", "time of overlap in interruptions"),
            _C("backchannels", "count", "附和次数：嗯、是、对，不算打断", "listening signals"),
            _C("longest_turn_s", "seconds", "最长话轮", "longest turn"),
            _C("response_latency_p50", "seconds", "应答间隔中位数", "median gap to the answer"),
            _C("response_latency_p90", "seconds", "应答间隔P90", "P90 of the gap to the answer"),
        ),
        _C("speaking_rate_vs_norm", "number", "语速/标准：坐席语速除以标准语速",
           "agent's speaking rate / norm"),
        _C("rate_gap", "rate", "语速差：坐席减客户", "speaking rate, agent minus customer"),
        _C("level_gap_db", "db", "音量差：坐席减客户", "level, agent minus customer"),
        _C("holds", "count", "等待次数", "number of holds"),
        _C("hold_s", "seconds", "等待时长", "time on hold"),
        _C("longest_hold_s", "seconds", "最长等待", "longest hold"),
        _C("holds_unannounced", "count", "未告知等待：事先没有说明的等待", "holds not announced"),
        _C("dead_air", "count", "冷场次数：等待以外 5 秒及以上的沉默", "silences of 5 s and more"),
        _C("dead_air_s", "seconds", "冷场时长", "time of dead air"),
        _C("rings", "count", "振铃次数", "rings before the answer"),
        _C("first_speech_s", "seconds", "首次发声：第一句话的时刻", "time of the first speech"),
        _C("overlap_s", "seconds", "重叠时长：双方同时说话", "time both speak"),
        _C("overlap_ratio", "ratio", "重叠占比", "share of time both speak"),
        _C("silence_ratio", "ratio", "沉默占比", "share of time nobody speaks"),
        _C("compliance_score", "score", "合规得分：0-100", "compliance score, 0-100"),
        _C("compliance_passed", "count", "通过项数", "rubric items passed"),
        _C("compliance_failed", "count", "未通过项数", "rubric items failed"),
        _C("compliance_unjudged", "count", "无法判断项数", "rubric items that could not be judged"),
        _C("outside_score", "score", "外部得分：质检团队评分，0-100", "outside score, 0-100"),
        _C("outside_agreement", "ratio", "与外部一致率：双方都评的项目中结论一致的占比",
           "share of the items judged by both on which both agree"),
    ),
    "turns": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("turn", "count", "话轮序号", "number of the turn within the call"),
        _C("speaker", "text", "说话人：agent 坐席，customer 客户", "agent or customer"),
        _C("start", "seconds", "开始", "start"),
        _C("end", "seconds", "结束", "end"),
        _C("text", "text", "文本", "words as recognised"),
        _C("text_masked", "text", "脱敏文本：隐去个人信息", "words with personal data masked"),
        _C("units", "count", "字数", "spoken units"),
        _C("speaking_rate", "rate", "语速：含停顿", "units per minute with pauses"),
        _C("articulation_rate", "rate", "净语速：去掉停顿", "units per minute without pauses"),
        _C("level_dbfs", "dbfs", "音量", "level"),
        _C("f0_median_hz", "hz", "音高：基频中位数", "median fundamental frequency"),
        _C("pitch_sd_st", "semitones", "语调起伏", "SD of pitch"),
        _C("is_backchannel", "flag", "是否附和", "whether it is only a listening signal"),
        _C("confidence", "ratio", "识别置信度", "confidence of the recognition"),
        _C("phase", "text", "阶段：opening 开场，closing 结尾", "opening, body or closing"),
    ),
    "events": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("event", "count", "事件序号", "number of the event within the call"),
        _C("kind", "text", "类型：如 interruption 打断、hold 等待", "kind of the event"),
        _C("by", "text", "谁：agent 坐席，customer 客户", "agent or customer"),
        _C("start", "seconds", "开始", "start"),
        _C("end", "seconds", "结束", "end"),
        _C("seconds", "seconds", "时长", "length"),
        _C("detail", "json", "细节", "details, as JSON"),
        _C("confidence", "ratio", "置信度", "confidence"),
    ),
    "verdicts": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("item_id", "text", "评分项", "identifier of the rubric item"),
        _C("source", "text", "来源：rubric 本程序，outside 外部质检", "rubric or outside"),
        _C("verdict", "text", "结论：pass 通过，fail 未过，not_applicable 不适用，cannot_tell 难判",
           "pass, fail, not_applicable or cannot_tell"),
        _C("score", "score", "得分", "points given"),
        _C("max_score", "score", "满分", "points that can be had"),
        _C("weight", "number", "权重", "weight of the item"),
        _C("speaker", "text", "说话人：证据出自谁", "whose words are the evidence"),
        _C("start", "seconds", "证据开始", "start of the evidence"),
        _C("end", "seconds", "证据结束", "end of the evidence"),
        _C("quote", "text", "原话：识别到的词句", "words that were heard"),
        _C("matched", "text", "匹配：命中的话术或指标", "phrase or measure that matched"),
        _C("confidence", "ratio", "置信度", "confidence"),
        _C("reviewer", "text", "质检员", "reviewer, for outside verdicts"),
        _C("note", "text", "备注", "note"),
    ),
    "failures": (
        _C("path", "text", "录音文件", "path of the recording"),
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("stage", "text", "环节", "stage that failed"),
        _C("error_type", "text", "错误类型", "type of the error"),
        _C("message", "text", "说明", "what went wrong"),
        _C("hint", "text", "建议", "what to do next"),
    ),
    "outside_scores": (
        _C("file", "text", "来源文件", "file the row was imported from"),
        _C("row", "count", "行号", "row in that file"),
        _C("call_id", "text", "通话编号：空表示没有对上", "call it was joined to; null if none"),
        _C("given_call_id", "text", "表中编号", "call_id as given"),
        _C("recording", "text", "表中录音名", "recording as given"),
        _C("item_id", "text", "评分项：空表示总分", "rubric item; null for an overall score"),
        _C("verdict", "text", "结论", "pass, fail, not_applicable or cannot_tell"),
        _C("score", "score", "得分", "score as given"),
        _C("max_score", "score", "满分", "points that can be had"),
        _C("reviewer", "text", "质检员", "reviewer"),
        _C("scored_at", "text", "评分时间", "when it was scored"),
        _C("note", "text", "备注", "note"),
        _C("problem", "text", "问题：为什么没有采用", "why the row was not used"),
    ),
}
# fmt: on
_KEYS: Mapping[str, tuple[str, ...]] = {
    "calls": ("call_id",),
    "turns": ("call_id", "turn"),
    "events": ("call_id", "event"),
    "verdicts": ("call_id", "position"),
    "failures": ("call_id", "position"),
    "outside_scores": ("file", "row"),
}
_INDEXES: Mapping[str, tuple[str, ...]] = {
    "calls": ("agent_id", "started_at"),
    "verdicts": ("item_id",),
    "outside_scores": ("call_id",),
}
_SQL_TYPES: Mapping[Dtype, Callable[[], sa.types.TypeEngine[Any]]] = {
    "str": sa.Text,
    "Int64": sa.BigInteger,
    "float64": sa.Double,
    "boolean": sa.Boolean,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What a stored result was made from; equal identities need not be analysed twice."""

    call_id: str
    sha256: str
    settings_hash: str
    weights_hash: str
    rubric_hash: str

    @classmethod
    def of(cls, call_id: str, sha256: str, provenance: Provenance) -> Identity:
        """Identity of the recording ``call_id`` with this content under this provenance."""
        weights = json.dumps(dict(provenance.weights), sort_keys=True)
        return cls(
            call_id=_clean(call_id),
            sha256=sha256,
            settings_hash=provenance.settings_hash,
            weights_hash=hashlib.sha256(weights.encode()).hexdigest(),
            rubric_hash=provenance.rubric or "",
        )


class Store:
    """One database of results, from :meth:`open`; a context manager that closes it."""

    def __init__(self, engine: Engine, pinned: Connection | None = None) -> None:
        self._engine = engine
        self._pinned = pinned

    @classmethod
    def open(cls, target: str | Path, *, create: bool = True) -> Store:
        """Open the store and bring its tables up to date.

        Parameters
        ----------
        target : str or Path
            A file, a folder (its ``callcoach.db``), or a ``postgresql://`` or ``sqlite:///`` URL.
        create : bool
            Whether a file that is not there is made; if not, the store need not be writable.

        Raises
        ------
        OutputError
            If it cannot be created, opened or written, is no store, or is of a newer program.
        """
        url = _address(target, create)
        with _explained(url):
            engine = _engine(url)
        try:
            with _explained(url):
                _migrate(engine, MIGRATIONS)
                if create:
                    _check_writable(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def snapshot(self) -> Iterator[Store]:
        """Give a view of the store in which nothing changes while it is read, whoever writes."""
        with self._reading() as connection:
            yield Store(self._engine, connection)

    def save(self, result: CallResult, failures: Sequence[Failure] = ()) -> None:
        """Write one call and what partly failed in it; earlier rows of the call are replaced.

        Raises
        ------
        OutputError
            If the database cannot be written. Nothing of the call has changed then.
        """
        identity = Identity.of(result.recording.call_id, result.sha256, result.provenance)
        call_id = identity.call_id
        rows = {
            "calls": [_call_row(result, failures)],
            "turns": [_turn_row(call_id, t) for t in result.turns],
            "events": [_event_row(call_id, i, e) for i, e in enumerate(result.events)],
            "verdicts": [_verdict_row(call_id, i, v) for i, v in enumerate(result.verdicts)],
            "failures": [_failure_row(call_id, i, f) for i, f in enumerate(failures)],
            "results": [
                dataclasses.asdict(identity) | {"saved_at": _now(), "payload": _pack(result)}
            ],
        }
        with self._writing(call_id) as connection:
            for name, group in rows.items():
                table = _T[name]
                connection.execute(table.delete().where(table.c.call_id == call_id))
                if group:
                    connection.execute(table.insert(), group)
            if _scored(connection, [call_id]):
                _merge_outside(connection, [call_id])

    def save_failure(self, failure: Failure, recording: Recording | None = None) -> None:
        """Write that a recording could not be analysed; ``recording`` fills in its metadata.

        An earlier good result of the same call is kept, and ``calls.error`` then says so.
        """
        call_id = _clean(failure.call_id)
        known = recording or Recording(path=failure.path, call_id=call_id)
        calls, failures = _T["calls"], _T["failures"]
        with self._writing(call_id) as connection:
            connection.execute(failures.delete().where(failures.c.call_id == call_id))
            connection.execute(failures.insert(), [_failure_row(call_id, 0, failure)])
            results = _T["results"]
            if connection.scalar(sa.select(results.c.call_id).where(results.c.call_id == call_id)):
                error = f"The newest attempt failed, the earlier result is kept: {failure.message}"
                connection.execute(
                    calls.update().where(calls.c.call_id == call_id).values(error=_clean(error))
                )
                return
            row = _metadata_row(known) | {
                "call_id": call_id,
                "status": "failed",
                "error": failure.message,
            }
            connection.execute(calls.delete().where(calls.c.call_id == call_id))
            connection.execute(calls.insert(), [_typed("calls", row)])
            if _scored(connection, [call_id]):
                _merge_outside(connection, [call_id])

    def save_outside(self, file: str, joined: outside.Joined) -> None:
        """Write imported outside scores; rows imported earlier under the same ``file`` go.

        The verdicts with source ``outside``, ``outside_score`` and ``outside_agreement`` of every
        call concerned are brought up to date. Rows that match no call are kept as well.
        """
        table = _T["outside_scores"]
        of_file = table.c.file == _clean(file)
        calls = sa.select(table.c.call_id).where(of_file, table.c.call_id.is_not(None)).distinct()
        rows = [
            _typed("outside_scores", {"file": file, **{str(k): v for k, v in record.items()}})
            for record in joined.rows.astype(object).to_dict("records")
        ]
        with self._writing(f"outside {file}") as connection:
            concerned = set(connection.scalars(calls))
            connection.execute(table.delete().where(of_file))
            if rows:
                connection.execute(table.insert(), rows)
            concerned.update(connection.scalars(calls))
            for some in _chunks(sorted(concerned), RESULT_ROWS):
                _merge_outside(connection, some)

    def has(self, identity: Identity, *, ignore_rubric: bool = False) -> bool:
        """Whether a result with this identity is stored.

        With ``ignore_rubric`` a result judged by another rubric counts too: its recognition,
        dialogue and measures still hold, only the verdicts must be made again.
        """
        table = _T["results"]
        given = dataclasses.asdict(identity)
        if ignore_rubric:
            del given["rubric_hash"]
        query = sa.select(sa.literal(1)).where(*(table.c[k] == v for k, v in given.items()))
        with self._reading() as connection:
            return connection.scalar(query) is not None

    def load(self, call_id: str) -> CallResult:
        """Read one whole result.

        Raises
        ------
        ParameterError
            If the store holds no result of this call.
        """
        table = _T["results"]
        with self._reading() as connection:
            columns = (table.c.call_id, table.c.payload)
            query = sa.select(*columns).where(table.c.call_id == _clean(call_id))
            found = _unpack(connection, connection.execute(query).all())
            if found:
                return found[0]
            ids = list(connection.scalars(sa.select(table.c.call_id).limit(1000)))
        raise ParameterError(f"The store has no result of call {call_id!r}.", nearest(call_id, ids))

    def results(self) -> Iterator[CallResult]:
        """Read all whole results in the order of their call ids, a few at a time."""
        table = _T["results"]
        query = sa.select(table.c.call_id, table.c.payload).order_by(table.c.call_id)
        with self._reading() as connection:
            last = ""
            while rows := connection.execute(
                query.where(table.c.call_id > last).limit(RESULT_ROWS)
            ).all():
                yield from _unpack(connection, rows)
                last = rows[-1].call_id

    def frames(self, table: str, rows: int = FRAME_ROWS) -> Iterator[pd.DataFrame]:
        """Read one table of the contract in frames of at most ``rows`` rows.

        Yields
        ------
        DataFrame
            All columns of the contract in its order and with its types; the first frame is given
            even when the table is empty.

        Raises
        ------
        ParameterError
            If there is no such table.
        """
        columns = _columns(table)
        query = sa.select(*(_T[table].c[c.name] for c in columns)).order_by(
            *(_T[table].c[key] for key in _KEYS[table])
        )
        with self._reading() as connection:
            found = connection.execute(query, execution_options={"yield_per": rows})
            empty = True
            for part in found.partitions():
                empty = False
                yield to_frame(table, part)
            if empty:
                yield to_frame(table, [])

    def frame(self, table: str, call_id: str | None = None) -> pd.DataFrame:
        """Read one table of the contract as a whole, or its rows of one call."""
        if call_id is None:
            return pd.concat(list(self.frames(table)), ignore_index=True)
        columns = [_T[table].c[c.name] for c in _columns(table)]
        query = sa.select(*columns).where(_T[table].c.call_id == _clean(call_id))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(*(_T[table].c[k] for k in _KEYS[table]))).all()
        return to_frame(table, rows)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._pinned is not None:
            yield self._pinned
            return
        with _explained(self._engine.url), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def _writing(self, subject: str) -> Iterator[Connection]:
        if self._pinned is not None:
            raise ParameterError("A snapshot cannot be written.", "Write to the store itself.")
        with _explained(self._engine.url), self._engine.connect() as connection:
            connection = connection.execution_options(writing=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    key = sa.func.hashtextextended(subject, 0)
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
                yield connection


def to_frame(table: str, rows: Iterable[Any]) -> pd.DataFrame:
    """Build a frame with the columns and types of the contract from rows in its order."""
    columns = _columns(table)
    frame = pd.DataFrame.from_records(list(rows), columns=[c.name for c in columns])
    return frame.astype({c.name: KINDS[c.kind].dtype for c in columns})


def _columns(table: str) -> tuple[Column, ...]:
    if table not in TABLES:
        raise ParameterError(f"There is no table {table!r}.", nearest(table, TABLES))
    return TABLES[table]


# --- rows ---------------------------------------------------------------------------------------


def _metadata_row(recording: Recording) -> dict[str, Any]:
    names = {c.name for c in TABLES["calls"]}
    return {k: v for k, v in to_json(recording).items() if k in names}


def _call_row(result: CallResult, failures: Sequence[Failure]) -> dict[str, Any]:
    known = {k: v for k, v in result.measures.items() if v is not None}
    row = _metadata_row(result.recording) | known
    for name in ("sha256", "duration", "channels", "sample_rate", "codec", "language",
                 "speaker_source", "role_confidence", "status"):  # fmt: skip
        row[name] = getattr(result, name)
    row["error"] = "; ".join(f.message for f in failures) or None
    row["warnings"] = "; ".join(result.warnings) or None
    row["preset"] = result.provenance.preset
    row["program_version"] = result.provenance.program_version
    row["processing_seconds"] = sum(result.stage_seconds.values())
    return _typed("calls", row)


def _turn_row(call_id: str, turn: Any) -> dict[str, Any]:
    values = {f.name: getattr(turn, f.name) for f in dataclasses.fields(turn)}
    return _typed("turns", values | {"call_id": call_id})


def _event_row(call_id: str, event: int, value: Any) -> dict[str, Any]:
    values = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    detail = json.dumps(_finite(to_json(value.detail)), ensure_ascii=False)
    more = {"call_id": call_id, "event": event, "seconds": value.seconds, "detail": detail}
    return _typed("events", values | more)


def _verdict_row(call_id: str, position: int, verdict: Verdict) -> dict[str, Any]:
    row = _typed("verdicts", dataclasses.asdict(verdict) | {"call_id": call_id})
    return row | {"position": position}


def _failure_row(call_id: str, position: int, failure: Failure) -> dict[str, Any]:
    row = dataclasses.asdict(failure) | {"call_id": call_id}
    return _typed("failures", row) | {"position": position}


def _typed(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the columns of the contract, as plain Python values that every database takes."""
    return {c.name: _plain(row.get(c.name), KINDS[c.kind].dtype) for c in TABLES[table]}


def _plain(value: Any, dtype: Dtype) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if dtype == "str":
        return _clean(str(value))
    if dtype == "float64":
        number = float(value)
        return number if math.isfinite(number) else None
    return bool(value) if dtype == "boolean" else round(value)


def _clean(text: str) -> str:
    """Escape what no database takes as text: lone surrogates (of undecodable paths) and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pack(result: CallResult) -> bytes:
    data = to_json(result)
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def _unpack(connection: Connection, rows: Sequence[Any]) -> list[CallResult]:
    """Rebuild results, with what the outside scores have changed since they were saved."""
    ids = [row.call_id for row in rows]
    calls, verdicts = _T["calls"], _T["verdicts"]
    scored = _scored(connection, ids)
    judged: dict[str, list[Verdict]] = {call_id: [] for call_id in scored}
    measures: dict[str, dict[str, float | None]] = {}
    if scored:
        query = sa.select(verdicts).where(
            verdicts.c.call_id.in_(scored), verdicts.c.source == "outside"
        )
        for row in connection.execute(query.order_by(verdicts.c.call_id, verdicts.c.position)):
            judged[row.call_id].append(from_json(Verdict, row._mapping))
        kept = sa.select(calls.c.call_id, calls.c.outside_score, calls.c.outside_agreement)
        for call_id, score, agreement in connection.execute(
            kept.where(calls.c.call_id.in_(scored))
        ):
            measures[call_id] = {"outside_score": score, "outside_agreement": agreement}
    results = []
    for row in rows:
        text = zlib.decompress(row.payload).decode("utf-8", "surrogatepass")
        result = from_json(CallResult, json.loads(text))
        if row.call_id in scored:
            own = tuple(v for v in result.verdicts if v.source == "rubric")
            result = dataclasses.replace(
                result,
                verdicts=own + tuple(judged[row.call_id]),
                measures={**result.measures, **measures[row.call_id]},
            )
        results.append(result)
    return results


def _scored(connection: Connection, call_ids: Sequence[str]) -> set[str]:
    column = _T["outside_scores"].c.call_id
    return set(connection.scalars(sa.select(column).where(column.in_(call_ids)).distinct()))


def _merge_outside(connection: Connection, call_ids: Sequence[str]) -> None:
    """Bring the outside verdicts, score and agreement of these calls up to date."""
    scores, calls, verdicts = _T["outside_scores"], _T["calls"], _T["verdicts"]
    of_these = verdicts.c.call_id.in_(call_ids)
    connection.execute(verdicts.delete().where(of_these, verdicts.c.source == "outside"))
    usable = sa.select(scores).where(scores.c.call_id.in_(call_ids), scores.c.problem.is_(None))
    found = connection.execute(usable.order_by(scores.c.file, scores.c.row)).mappings().all()
    rows = [
        _typed("verdicts", {**row, "source": "outside"}) | {"position": OUTSIDE_POSITION + i}
        for i, row in enumerate(r for r in found if r["item_id"] is not None)
    ]
    if rows:
        connection.execute(verdicts.insert(), rows)
    columns = ("call_id", "item_id", "source", "verdict")
    judged = connection.execute(sa.select(*(verdicts.c[c] for c in columns)).where(of_these)).all()
    agreement = outside.call_agreement(pd.DataFrame.from_records(judged, columns=columns))
    overall: dict[str, list[float]] = {}
    for row in found:
        if row["item_id"] is None and row["score"] is not None:
            overall.setdefault(row["call_id"], []).append(row["score"])
    update = calls.update().where(calls.c.call_id == sa.bindparam("of_call"))
    connection.execute(
        update,
        [
            {
                "of_call": call_id,
                "outside_score": fmean(overall[call_id]) if call_id in overall else None,
                "outside_agreement": agreement.get(call_id),
            }
            for call_id in call_ids
        ],
    )


# --- the database -------------------------------------------------------------------------------


def _first_tables(connection: Connection) -> None:
    _database(1)[0].create_all(connection)


Migration = Callable[[Connection], None]
MIGRATIONS: tuple[Migration, ...] = (_first_tables,)


def _database(version: int) -> tuple[sa.MetaData, dict[str, sa.Table]]:
    """Tables of the contract as they are in one version of the schema."""
    metadata = sa.MetaData()
    tables = {}
    for name, contract in TABLES.items():
        keys = _KEYS[name]
        columns = [sa.Column("position", sa.BigInteger)] if "position" in keys else []
        columns += [
            sa.Column(c.name, _SQL_TYPES[KINDS[c.kind].dtype]())
            for c in contract
            if c.since <= version
        ]
        indexes = [sa.Index(f"{name}_{c}", c) for c in _INDEXES.get(name, ())]
        tables[name] = sa.Table(name, metadata, *columns, sa.PrimaryKeyConstraint(*keys), *indexes)
    identity = [sa.Column(f.name, sa.Text, nullable=False) for f in dataclasses.fields(Identity)]
    tables["results"] = sa.Table(
        "results",
        metadata,
        *identity,
        sa.Column("saved_at", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("call_id"),
    )
    return metadata, tables


_T = _database(len(MIGRATIONS))[1]
_APPLIED = sa.Table(
    "migrations",
    sa.MetaData(),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("applied_at", sa.Text, nullable=False),
)


def _migrate(engine: Engine, migrations: Sequence[Migration]) -> None:
    """Apply what is missing, each in one transaction together with its record."""
    done = _applied(engine)
    if done > len(migrations):
        raise OutputError(
            f"{_shown(engine.url)} was written by a newer program (schema {done}, "
            f"this one knows up to {len(migrations)}).",
            "Update callcoach, or choose another output folder.",
        )
    for version, migration in enumerate(migrations[done:], start=done + 1):
        with _migrating(engine) as connection:
            if connection.scalar(sa.select(sa.func.max(_APPLIED.c.version))) == version - 1 or (
                version == 1 and connection.scalar(sa.select(_APPLIED.c.version)) is None
            ):
                migration(connection)
                record = {"version": version, "name": migration.__name__.strip("_")}
                connection.execute(_APPLIED.insert(), [record | {"applied_at": _now()}])


def _applied(engine: Engine) -> int:
    """Number of migrations applied so far; makes the table that counts them."""
    with _migrating(engine) as connection:
        names = sa.inspect(connection).get_table_names()
        if connection.dialect.name == "sqlite" and names and "migrations" not in names:
            raise OutputError(
                f"{_shown(engine.url)} is a database of another program.",
                "Choose another output folder, or move that file away.",
            )
        _APPLIED.create(connection, checkfirst=True)
        return connection.scalar(sa.select(sa.func.max(_APPLIED.c.version))) or 0


def _check_writable(engine: Engine) -> None:
    with _migrating(engine) as connection:  # a statement that writes, and changes nothing
        connection.execute(_APPLIED.delete().where(_APPLIED.c.version < 0))


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        connection = connection.execution_options(writing=True)
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_KEY)))
            yield connection


def _address(target: str | Path, create: bool) -> URL:
    if isinstance(target, str) and "://" in target:
        try:
            url = make_url(target)
        except ArgumentError as error:
            raise OutputError(f"Not a database address: {error}.", ADDRESS_HINT) from error
        backend = url.get_backend_name()
        if backend not in _DRIVERS:
            raise OutputError(f"Databases of type {backend!r} are not supported.", ADDRESS_HINT)
        return url.set(drivername=_DRIVERS[backend])
    path = Path(target)
    path = path / STORE_NAME if path.is_dir() else path
    if not path.exists():
        if not create:
            raise OutputError(
                f"There is no store at {path}.", "Run callcoach analyze first, or check --out."
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The folder {path.parent} cannot be made: {error.strerror}.",
                "Choose an output folder you may write to.",
            ) from error
    return URL.create("sqlite+pysqlite", database=str(path))


def _engine(url: URL) -> Engine:
    try:
        engine = sa.create_engine(url)
    except ModuleNotFoundError as error:
        raise OutputError(
            f"The driver for {_shown(url)} is not installed ({error.name}).",
            'Install it with: pip install "callcoach[postgresql]"',
        ) from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, so that DDL is transactional too
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def _explained(url: URL) -> Iterator[None]:
    """Turn errors of the database into an :class:`OutputError` that says what to do."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        first = cause.args[0] if cause is not None and cause.args else cause
        text = first.get("M", str(first)) if isinstance(first, dict) else str(first)
        hint = next((hint for sign, hint in _ADVICE if sign in text.lower()), _ADVICE[-1][1])
        raise OutputError(f"The store {_shown(url)} cannot be used: {text}.", hint) from error


def _shown(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.render_as_string(hide_password=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _chunks(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (values[i : i + size] for i in range(0, len(values), size))
