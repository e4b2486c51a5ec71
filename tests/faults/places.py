"""The place where results go, or recordings come from, fails: full, read-only, gone, taken."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.commands.run_log import LOG_NAME
from tests.faults import tables
from tests.faults.lab import Lab, Report, done
from tests.faults.runs import PROGRAM, Run

KIB = 1024
ROOM_KIB = 64 * KIB
TOGETHER_S = 0.5  # two runs start within this time


def full_disk(lab: Lab, times: int) -> Report:
    """A disk too small for the results; then there is room again."""
    report = Report()
    if times > 1:
        _full_log(lab, report)
    with _disk(lab.folder / "disk") as disk:
        whole = _kib(lab.finished)
        for number in range(times):
            room = int(lab.rng.uniform(64, 0.95 * whole))
            out, limit = lab.out(), None
            if disk is not None:
                _resize(disk, room)
                out = disk / out.name
            else:
                biggest = max(p.stat().st_size for p in lab.finished.iterdir())
                room = int(lab.rng.uniform(16, 0.95 * biggest / KIB))
                limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room * KIB,) * 2)
            when = f"room for {room} KiB"
            ended = lab.analyze(out, before=limit).end()
            report.add(when, ended.wrong(2))
            advised = "space" in ended.said or "is full" in ended.said
            report.add(when, [f"no advice: {ended.said!r}"] * (not advised))
            if disk is not None:
                _resize(disk, ROOM_KIB)
            report.add(when, lab.resume(out))
            report.times = number + 1
            shutil.rmtree(out)
    how = "a tmpfs of random size" if disk is not None else "RLIMIT_FSIZE (no right to mount)"
    report.notes.append(f"by {how}, then with room enough")
    return report


def _full_log(lab: Lab, report: Report) -> None:
    """Room for everything but the log."""
    out, when = lab.out(), "no room for the log"
    out.mkdir(parents=True)
    (out / LOG_NAME).symlink_to("/dev/full")
    ended = lab.analyze(out).end()
    report.add(when, ended.wrong(2))
    report.add(when, [f"no advice: {ended.said!r}"] * ("space" not in ended.said))
    (out / LOG_NAME).unlink()
    report.add(when, lab.resume(out))


def read_only(lab: Lab, times: int) -> Report:
    """A folder that cannot be written: for new results, for more results, for reading only."""
    report, inside = Report(), "kept"
    with _disk(lab.folder / "readonly") as disk:
        place = disk or lab.folder / "readonly"
        kept = place / inside
        shutil.copytree(lab.finished, kept)
        with _locked(place, mounted=disk is not None):
            for out in (place / "new", kept):
                ended = lab.analyze(out).end()
                report.add(f"analyze to {out.name}", ended.wrong(2))
                advised = "Choose an output folder" in ended.said or "can write to" in ended.said
                report.add("analyze", [f"no advice: {ended.said!r}"] * (not advised))
                report.times += 1
            out = lab.out()
            ended = Run("export", kept, "--out", out, folder=lab.folder).end()
            report.times += 1
            report.add("export from there", ended.wrong(0) or _unlike_files(lab, out))
    how = "a file system mounted read-only" if disk is not None else "permissions"
    report.notes.append(f"by {how}; a store in it can still be exported elsewhere")
    return report


def deleted(lab: Lab, times: int) -> Report:
    """Recordings vanish while others are analysed; then they are back."""
    report = Report()
    for number in range(times):
        folder, aside, out = lab.folder / "inbox", lab.folder / "aside", lab.out()
        shutil.copytree(lab.calls, folder)
        aside.mkdir()
        run = lab.start("analyze", folder, out)
        when = f"time {number + 1}"
        report.add(when, filter(None, [run.wait_for(lambda out=out: done(out) > 0)]))
        names = sorted(p.name for p in folder.iterdir())
        gone = names[len(names) - len(names) // 3 :]
        for name in gone:
            (folder / name).rename(aside / name)
        report.add(when, run.end().wrong(1))
        failures = pd.read_parquet(out / "failures.parquet")
        found = set(failures["call_id"])
        ids = {name.removesuffix(".wav") for name in gone}
        report.add(when, [f"failures of {found ^ ids}"] * (found != ids))
        report.add(when, [f"explained as {set(failures.error_type)}"] * _not_explained(failures))
        for name in gone:
            (aside / name).rename(folder / name)
        ended = lab.start("analyze", folder, out).end()
        # The paths are others than those of the undisturbed run; nothing else is.
        report.add(when, ended.wrong(0) or _unlike_but_paths(lab, out))
        report.times += 1
        shutil.rmtree(folder)
        shutil.rmtree(aside)
    report.notes.append(f"{len(gone)} of {len(names)} files each time, back afterwards")
    return report


def two_runs(lab: Lab, times: int) -> Report:
    """A second run on a store that is being written, and two that start together."""
    report, refused, in_turn = Report(), 0, 0
    for number in range(times):
        out, together = lab.out(), number % 2 == 1
        first = lab.analyze(out)
        if together:
            time.sleep(float(lab.rng.uniform(0.0, TOGETHER_S)))
        else:
            report.add("first", filter(None, [first.wait_for((out / LOG_NAME).exists)]))
        second = lab.analyze(out)
        if not together:
            reader = Run("export", out, "--out", lab.out(), folder=lab.folder, program=PROGRAM)
            report.add("export meanwhile", reader.end().wrong(0))
        ends = (second.end(), first.end())
        said = [end.said for end in ends if end.code == 2]
        report.add("two runs", [w for end in ends for w in end.wrong(0, 2)])
        report.add("two runs", ["both were refused"] * (len(said) == 2))
        report.add(
            "two runs", [f"it said {s!r}" for s in said if "Another run is writing" not in s]
        )
        report.add("two runs", lab.unlike(out) + tables.damage(out))
        refused, in_turn = refused + len(said), in_turn + (not said)
        report.times += 1
    report.notes.append(
        f"{refused} refused, {in_turn} after each other; a reader was never refused"
    )
    return report


def _not_explained(failures: pd.DataFrame) -> bool:
    return bool(
        (failures["error_type"] != "UnreadableAudio").any() or (failures["hint"] == "").any()
    )


def _unlike_but_paths(lab: Lab, out: Path) -> list[str]:
    return tables.differences(
        tables.without_paths(tables.read(out)), tables.without_paths(lab.wanted)
    )


def _unlike_files(lab: Lab, out: Path) -> list[str]:
    """Compare an export that has no store beside it."""
    return tables.differences(tables.read(out, str(lab.finished)), lab.wanted)


def _kib(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.iterdir()) // KIB


@contextmanager
def _disk(folder: Path) -> Iterator[Path | None]:
    """A small disk of its own, where this user may mount one."""
    folder.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={ROOM_KIB}k", "tmpfs", str(folder))
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


def _resize(disk: Path, kib: int) -> None:
    subprocess.run(("mount", "-o", f"remount,size={kib}k", str(disk)), check=True)


@contextmanager
def _locked(folder: Path, *, mounted: bool) -> Iterator[None]:
    """Let nobody write in a folder."""
    if mounted:
        subprocess.run(("mount", "-o", "remount,ro", str(folder)), check=True)
        yield
        return
    inner = [folder, *(p for p in folder.rglob("*") if p.is_dir())]
    for each in inner:
        each.chmod(0o555)
    try:
        yield
    finally:
        for each in inner:
            each.chmod(0o755)
