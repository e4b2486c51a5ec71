"""The memory of the program and of its workers over many calls."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import soundfile

from pipeline.errors import CallcoachError
from pipeline.io import weights
from pipeline.settings import load_settings
from pipeline.speech.models import weights_used
from tests.faults import calls
from tests.faults.lab import Lab, Report, Skipped, done
from tests.faults.runs import PROGRAM, Run

MIB = 2**20
REAL_PROGRAM = ("-c", "from pipeline.cli import main; main()")
SAMPLES = Path(__file__).parents[2] / "data" / "samples"
PIECE_S = 8.0
SETTLED = 0.3  # of the calls; by then everything has been loaded and used once
GROWTH = {"fake": 0.06, "real": 0.10}  # share of the memory by then that may be added later
PATIENCE_S = 1500.0


def flat(lab: Lab, times: int) -> Report:
    """Many short calls through one worker with the stand-ins."""
    folder = lab.folder / "many"
    return _measure(lab, calls.make(folder, times, lab.seed, lines=2), PROGRAM, "fake")


def flat_real(lab: Lab, times: int) -> Report:
    """Short pieces of the sample calls through one worker with the real models."""
    try:
        weights_used(load_settings())
        for name in weights.manifest():
            if weights.find(name).kind == "package" and list(weights.check(weights.find(name))):
                raise Skipped(f"the weights {name} are not here")
    except CallcoachError as error:
        raise Skipped(str(error)) from error
    folder = lab.folder / "pieces"
    folder.mkdir()
    _cut(folder, times)
    return _measure(lab, folder, REAL_PROGRAM, "real")


def _cut(folder: Path, count: int) -> None:
    """Cut so many pieces from the samples."""
    made = 0
    for start in range(1000):
        for path in sorted(SAMPLES.glob("*.wav")):
            if made == count:
                return
            info = soundfile.info(path)
            first = round(start * PIECE_S * info.samplerate)
            frames = round(PIECE_S * info.samplerate)
            if first + frames <= info.frames:
                samples, rate = soundfile.read(path, start=first, frames=frames)
                soundfile.write(folder / f"{path.stem}-{start:02d}.wav", samples, rate)
                made += 1


def _measure(lab: Lab, folder: Path, program: tuple[str, ...], kind: str) -> Report:
    count = sum(1 for _ in folder.iterdir())
    out, report = lab.out(), Report(times=count)
    run = Run(
        *("analyze", folder, "--out", out, "--workers", "1"), folder=lab.folder, program=program
    )
    seen: list[tuple[int, float, float]] = []  # calls done, MiB of the program and of its worker

    def is_over() -> bool:
        workers = run.workers()
        if workers:
            here = psutil.Process(run.process.pid)
            seen.append((done(out), _mib(here), sum(map(_mib, workers))))
        return False

    run.wait_for(_rarely(is_over), PATIENCE_S)
    report.add("run", run.end().wrong(0))
    for name, column in (("program", 1), ("worker", 2)):
        early = [s[column] for s in seen if SETTLED * count <= s[0] < (SETTLED + 0.1) * count]
        late = [s[column] for s in seen if 0.9 * count <= s[0] < count and s[column] > 0]
        if not early or not late:
            report.add(name, [f"{len(early)} and {len(late)} looks at its memory: too few"])
            continue
        before, after = float(np.median(early)), float(np.median(late))
        if after > before * (1 + GROWTH[kind]):
            report.add(name, [f"from {before:.0f} to {after:.0f} MiB"])
        report.notes.append(
            f"{name} {before:.0f} MiB after {SETTLED:.0%}, {after:.0f} MiB at the end"
        )
    shutil.rmtree(folder)
    return report


def _rarely(look: Callable[[], bool], every: int = 10) -> Callable[[], bool]:
    """Only every tenth look is taken: it goes through all processes."""
    state = {"looks": 0}

    def seldom() -> bool:
        state["looks"] += 1
        return look() if state["looks"] % every == 0 else False

    return seldom


def _mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / MIB
    except psutil.Error:
        return 0.0
