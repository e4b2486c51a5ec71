"""One file per call: all that is known (JSON), who speaks when (RTTM), subtitles (SRT).

Sources: Rich Transcription RTTM (NIST RT-09), SubRip (SRT).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline import schema
from pipeline.errors import ParameterError, nearest
from pipeline.export.folder import aside
from pipeline.schema import CallResult
from pipeline.store import Store

SPEAKER_NAMES: Mapping[str, str] = {schema.AGENT: "坐席", schema.CUSTOMER: "客户"}


def export_calls(
    store: Store, out_dir: str | Path, formats: Sequence[str] = ("json", "rttm", "srt")
) -> int:
    """Write one file per call and format; returns the number of calls.

    Raises
    ------
    ParameterError
        If a format is unknown.
    OutputError
        If the folder cannot be written.
    """
    for name in formats:
        if name not in CALL_FORMATS:
            raise ParameterError(f"There is no format {name!r}.", nearest(name, CALL_FORMATS))
    count = 0
    with aside(Path(out_dir)) as folder:
        for result in store.results():
            count += 1
            for name in formats:
                path = folder / f"{_safe_name(result.recording.call_id)}.{name}"
                path.write_text(CALL_FORMATS[name](result), encoding="utf-8")
    return count


def to_json(result: CallResult) -> str:
    """One call as JSON text, all that is known of it."""
    return json.dumps(schema.to_json(result), ensure_ascii=False, indent=1)


def to_rttm(result: CallResult) -> str:
    """One call's speech as RTTM: one line per stretch of speech of a turn."""
    name = re.sub(r"\s", "_", result.recording.call_id)
    lines = [
        f"SPEAKER {name} 1 {start:.3f} {end - start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in result.turns
        for start, end in turn.spans
    ]
    return "".join(lines)


def to_srt(result: CallResult) -> str:
    """One call's turns as SRT subtitles."""
    blocks = [
        f"{i}\n{_clock(turn.start)} --> {_clock(turn.end)}\n"
        f"{SPEAKER_NAMES.get(turn.speaker, turn.speaker)}：{turn.text}\n"
        for i, turn in enumerate((t for t in result.turns if t.text), start=1)
    ]
    return "\n".join(blocks)


CALL_FORMATS: Mapping[str, Callable[[CallResult], str]] = {
    "json": to_json,
    "rttm": to_rttm,
    "srt": to_srt,
}


def _clock(seconds: float) -> str:
    rest, ms = divmod(round(seconds * 1000), 1000)
    return f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d},{ms:03d}"


def _safe_name(call_id: str) -> str:
    """File name that no two call ids share and every system takes."""
    return re.sub(r'[%/\\:*?"<>|\x00-\x1f]|^\.', lambda m: f"%{ord(m[0]):02X}", call_id)
