"""What is in the recordings: damaged files, and words and names that no log may repeat."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pandas as pd

from pipeline.audio import AUDIO_SUFFIXES
from pipeline.commands.run_log import LOG_NAME
from pipeline.store.rows import clean
from tests import damage
from tests.faults import calls, tables
from tests.faults.lab import Lab, Report

VERBOSE_ONLY = ("call_id", "path", "message")
MAX_READ_BYTES = 2**22
EXPLAINED = {"UnreadableAudio", "EmptyAudio"}


def damaged(lab: Lab, times: int) -> Report:
    """Damaged, odd and hostile files, and what must become of each."""
    folder, out = lab.folder / "damaged", lab.out()
    folder.mkdir()
    fates = {case.path: case.fate for case in damage.write(folder, lab.seed)}
    found = [path for path in sorted(fates) if _is_recording(Path(path))]
    found = sorted({_content(path): path for path in reversed(found)}.values())  # copies: one call
    kept = set(lab.rng.permutation(found)[:times].tolist())
    for path in found:
        if path not in kept:
            Path(path).unlink()
    report = Report(times=len(kept))
    report.add("run", lab.start("analyze", folder, out).end().wrong(1))
    rows = pd.read_parquet(out / "failures.parquet").set_index("path")
    seen = set(rows.index) | set(pd.read_parquet(out / "calls.parquet")["path"])
    for path in sorted(kept):
        name = clean(path)
        wrong = [] if name in seen else ["no row says what became of it"]
        if name in rows.index:
            row = rows.loc[name]
            wrong += ["refused"] * (fates[path] == "decoded")
            wrong += [f"explained as {row.error_type}"] * (row.error_type not in EXPLAINED)
            wrong += ["no message or no hint"] * (not (row.message and row.hint))
        else:
            wrong += ["taken"] * (fates[path] == "refused")
        report.add(repr(Path(path).name), wrong)
    report.add("store", tables.damage(out))
    report.notes.append(f"{len(kept & set(rows.index))} refused with a reason, the others decoded")
    return report


def _content(path: str) -> str:
    """A name for what a file holds; its own for what is too large to read here."""
    if os.path.getsize(path) > MAX_READ_BYTES or not os.access(path, os.R_OK):
        return path
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _is_recording(path: Path) -> bool:
    """Whether a folder that holds this is said to hold a recording."""
    return path.is_file() and path.suffix.lower() in AUDIO_SUFFIXES and path.name[0] != "."


def quiet_log(lab: Lab, times: int) -> Report:
    """A run with a failure; no log of this or any earlier run says what was said, or by whom."""
    report, inbox = Report(), lab.folder / "private"
    lab.copy_calls(inbox, range(times))
    (inbox / f"{calls.PHONE}9999.wav").write_text("".join(calls.LINES), "utf-8")
    for options in ((), ("--verbose",)):
        out = lab.out("verbose" * bool(options))
        report.add("run", lab.start("analyze", inbox, out, *options).end().wrong(1))
        report.times += times + 1
    assert lab.wanted.calls
    logs = sorted(lab.folder.glob(f"outs/*/{LOG_NAME}"))
    report.notes.append(f"{len(logs)} logs read")
    for path in logs:
        report.add(path.parent.name, _told(path, verbose="verbose" in path.parent.name))
    return report


def _told(path: Path, *, verbose: bool) -> list[str]:
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        event = json.loads(line)
        if verbose:  # asked for, it names calls, never what was said
            event = {k: v for k, v in event.items() if k not in VERBOSE_ONLY}
        text = json.dumps(event, ensure_ascii=False)
        found += [f"line {number} has {word!r}" for word in calls.private() if word in text]
    return found
