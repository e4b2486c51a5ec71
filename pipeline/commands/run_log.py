"""The log of a run: one JSON object a line, one line a call, without what was said or by whom.

A line names its call by ``key``, the start of the SHA-256 of the call id, because ids are often
made of telephone numbers (:func:`key_of` gives it for a row of the calls table). Only with
``verbose`` do lines carry the call id, the path and the text of an error. Transcripts are never
logged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.batch.runner import Step
from pipeline.errors import OutputError
from pipeline.io import files

LOG_NAME = "callcoach.log"


class Journal:
    """Appends lines to a log file; a context manager that closes it."""

    def __init__(self, path: Path, *, verbose: bool = False) -> None:
        self._path, self._verbose = path, verbose
        try:
            self._file = path.open("a", encoding="utf-8", buffering=1)
        except OSError as cause:
            raise OutputError(
                f"The log {path} cannot be written: {cause.strerror or cause}.",
                "Name a folder you can write to with --out.",
            ) from cause

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take has been said
            self._file.close()

    def note(self, event: str, **values: Any) -> None:
        """Write one line about the run as a whole."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event}
        try:
            self._file.write(json.dumps(line | values, ensure_ascii=False) + "\n")
        except OSError as cause:
            raise OutputError(
                f"The log {self._path} cannot be written: {cause.strerror or cause}.",
                "Free some space on the disk and run the command again; finished calls are kept.",
            ) from cause

    def call(self, step: Step) -> None:
        """Write the line of one call."""
        values: dict[str, Any] = {"key": key_of(step.recording.call_id), "outcome": step.outcome}
        values["audio_s"] = round(step.audio_s, 1)
        if step.stage_seconds:
            values["seconds"] = round(sum(step.stage_seconds.values()), 2)
            values["stages"] = {k: round(v, 2) for k, v in step.stage_seconds.items()}
        if step.warnings:
            values["warnings"] = len(step.warnings)
        if step.failure is not None:
            values |= {"stage": step.failure.stage, "error": step.failure.error_type}
        if self._verbose:
            values |= {"call_id": step.recording.call_id, "path": files.shown(step.recording.path)}
            if step.failure is not None:
                values["message"] = files.shown(step.failure.message)
        self.note("call", **values)


def key_of(call_id: str) -> str:
    """What a log line calls this call."""
    return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
