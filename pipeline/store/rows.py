"""Results as rows of the tables, and rows as results, batches and frames.

Conventions
-----------
A row holds the columns of the contract as plain Python values that every database takes; a measure
that is no column of ``calls`` is kept in the stored result only. Batches and frames have the
columns and types of the contract, also when they are empty.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.io import files
from pipeline.measures import KINDS, Dtype
from pipeline.schema import (
    CURVES_VERSION,
    UNHEARD,
    CallResult,
    Event,
    Failure,
    Provenance,
    Recording,
    Turn,
    Verdict,
    from_json,
    to_json,
)
from pipeline.store.tables import TABLES, Column, columns_of

if TYPE_CHECKING:
    import pandas as pd

ARROW: Mapping[Dtype, pa.DataType] = {
    "str": pa.string(),
    "Int64": pa.int64(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
}
_PLAIN_ID = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9._-]{1,64}")
_HASHED_ID = re.compile(r"x[0-9a-f]{16}")
_HEAD_BYTES = 64 * 1024  # a payload begins with the recording


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
            call_id=clean(call_id),
            sha256=sha256,
            settings_hash=provenance.settings_hash,
            weights_hash=hashlib.sha256(weights.encode()).hexdigest(),
            rubric_hash=provenance.rubric or "",
        )

    def alike(self, other: Identity) -> bool:
        """Whether only the rubric differs, if anything: all but the verdicts still holds then."""
        return dataclasses.replace(self, rubric_hash=other.rubric_hash) == other


def rows_of(result: CallResult, saved_at: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of one call, by table."""
    identity = Identity.of(result.recording.call_id, result.sha256, result.provenance)
    call_id = identity.call_id
    stored = dataclasses.asdict(identity) | {"saved_at": saved_at, "payload": _pack(result)}
    rows = {
        "calls": [_call_row(result)],
        "turns": [_turn_row(call_id, t) for t in (*result.turns, *result.aside)],
        "events": [
            _event_row(call_id, i, e, superseded=i >= len(result.events))
            for i, e in enumerate((*result.events, *result.superseded))
        ],
        "verdicts": [_verdict_row(call_id, i, v) for i, v in enumerate(result.verdicts)],
        "results": [stored],
    }
    if result.curves is not None:  # those of a call that is judged again are kept already
        rows["sound"] = [sound_row(call_id, result.sha256, CURVES_VERSION, result.curves)]
    if result.prints is not None:
        rows["prints"] = [
            {"call_id": call_id, "position": i, "repeated": False, **dataclasses.asdict(one)}
            for i, one in enumerate(result.prints)
        ]
    return rows


def sound_row(call_id: str, sha256: str, version: int, curves: bytes) -> dict[str, Any]:
    """Row of ``sound``."""
    return {"call_id": clean(call_id), "sha256": sha256, "version": version, "curves": curves}


def failed_call_row(recording: Recording, failure: Failure) -> dict[str, Any]:
    """Row of ``calls`` for a recording that could not be analysed."""
    row = _metadata_row(recording) | {"status": "failed", "error": failure.message}
    return typed("calls", row | {"call_id": failure.call_id})


def failure_row(call_id: str, failure: Failure) -> dict[str, Any]:
    """Row of ``failures``."""
    row = dataclasses.asdict(failure) | {"call_id": call_id, "path": files.shown(failure.path)}
    return typed("failures", row) | {"position": 0}


def typed(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the columns of the contract, as plain Python values that every database takes."""
    return {c.name: _plain(row.get(c.name), KINDS[c.kind].dtype) for c in TABLES[table]}


def _plain(value: Any, dtype: Dtype) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if dtype == "str":
        return clean(str(value))
    if dtype == "float64":
        number = float(value)
        return number if math.isfinite(number) else None
    return bool(value) if dtype == "boolean" else round(value)


def clean(text: str) -> str:
    """Escape what no database takes as text: lone surrogates (of undecodable paths) and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def unpack(call_id: str, payload: bytes) -> CallResult:
    """Rebuild the result of a call, which may bear another id by now, from what is stored."""
    data = json.loads(zlib.decompress(payload).decode("utf-8", "surrogatepass"))
    if clean(data["recording"]["call_id"]) != call_id:
        data["recording"]["call_id"] = call_id
    return from_json(CallResult, data)


def restarted(payload: bytes, started_at: str) -> bytes:
    """A stored result with the start of its call written otherwise."""
    data = json.loads(zlib.decompress(payload).decode("utf-8", "surrogatepass"))
    data["recording"]["started_at"] = started_at
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def slug_of(identifier: str) -> str:
    """An id as it stands in an address of the desk: itself where that is plain, else a hash.

    >>> slug_of("2026-03-01_a.b"), slug_of("客服/1")
    ('2026-03-01_a.b', 'xcee7baca79604f32')
    """
    if _PLAIN_ID.fullmatch(identifier) and not _HASHED_ID.fullmatch(identifier):
        return identifier
    return "x" + hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def place_of(call_id: str, started_at: str | None) -> dict[str, str | None]:
    """Slug and ISO week of a call; its start is given in business time (``time.zone``)."""
    try:
        year, week, _ = datetime.fromisoformat(started_at or "").isocalendar()
    except ValueError:
        return {"slug": slug_of(call_id), "week": None}
    return {"slug": slug_of(call_id), "week": f"{year}-W{week:02d}"}


def recording_in(payload: bytes) -> dict[str, Any]:
    """The recording in a stored result, of which only the beginning is looked at."""
    head = zlib.decompressobj().decompress(payload, _HEAD_BYTES).decode("utf-8", "replace")
    recording: dict[str, Any]
    recording, _ = json.JSONDecoder().raw_decode(head, head.index("{", 1))
    return recording


def queue_of(payload: bytes | None) -> dict[str, Any]:
    """Queue and waiting time in a stored result."""
    recording = {} if payload is None else recording_in(payload)
    return {name: recording.get(name) for name in ("queue", "wait_s")}


def to_batch(columns: Sequence[Column], rows: Sequence[Any]) -> pa.RecordBatch:
    """Build a batch with these columns of the contract from rows in their order."""
    schema = schema_of(columns)
    values = zip(*rows, strict=True) if rows else ((),) * len(schema)
    arrays = [pa.array(v, type=f.type) for v, f in zip(values, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def schema_of(columns: Iterable[Column]) -> pa.Schema:
    """Names and types of these columns of the contract."""
    return pa.schema([(c.name, ARROW[KINDS[c.kind].dtype]) for c in columns])


def to_frame(table: str, rows: Iterable[Any]) -> pd.DataFrame:
    """Build a frame with the columns and types of the contract from rows in its order."""
    return frame_of([to_batch(columns_of(table), list(rows))])


def frame_of(batches: Sequence[pa.RecordBatch]) -> pd.DataFrame:
    """Build one frame from batches."""
    import pandas as pd  # who looks at pages makes no frames

    types = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = pa.Table.from_batches(batches).to_pandas(types_mapper=types.get)
    return frame


def _metadata_row(recording: Recording) -> dict[str, Any]:
    names = {c.name for c in TABLES["calls"]}
    known = {k: v for k, v in to_json(recording).items() if k in names}
    known["path"] = files.shown(recording.path)
    return known | place_of(clean(recording.call_id), recording.started_at)


def _call_row(result: CallResult) -> dict[str, Any]:
    known = {k: v for k, v in result.measures.items() if v is not None}
    row = _metadata_row(result.recording) | known
    for name in ("sha256", "duration", "channels", "sample_rate", "codec", "language",
                 "speaker_source", "role_confidence"):  # fmt: skip
        row[name] = getattr(result, name)
    row["status"], row["error"] = "ok", None
    for party in result.parties:
        row[f"{party.role}_language"] = party.language or result.language
        row[f"{party.role}_language_probability"] = party.language_probability
    row["warnings"] = "; ".join(result.warnings) or None
    row["legs"] = max((t.leg for t in result.turns), default=1)
    row["preset"] = result.provenance.preset
    row["settings_hash"] = result.provenance.settings_hash
    row["rubric_hash"] = result.provenance.rubric or ""
    row["program_version"] = result.provenance.program_version
    row["reviewed_score"], row["reviewed_items"] = row.get("compliance_score"), 0
    row["processing_seconds"] = sum(result.stage_seconds.values())
    return typed("calls", row)


def _turn_row(call_id: str, turn: Turn) -> dict[str, Any]:
    values = {f.name: getattr(turn, f.name) for f in dataclasses.fields(turn)}
    return typed("turns", values | {"call_id": call_id, "text": turn.text or UNHEARD})


def _event_row(call_id: str, event: int, value: Event, *, superseded: bool) -> dict[str, Any]:
    values = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    detail = json.dumps(_finite(to_json(value.detail)), ensure_ascii=False)
    more = {"call_id": call_id, "event": event, "seconds": value.seconds, "detail": detail}
    more["superseded"] = superseded
    return typed("events", values | more)


def _verdict_row(call_id: str, position: int, verdict: Verdict) -> dict[str, Any]:
    row = typed("verdicts", dataclasses.asdict(verdict) | {"call_id": call_id})
    return row | {"position": position}


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pack(result: CallResult) -> bytes:
    data = to_json(result)
    data["recording"]["path"] = files.shown(result.recording.path)
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"))
