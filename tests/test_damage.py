"""Damaged recordings: each is decoded or refused in words, quickly, in little memory, without noise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from pipeline.errors import RecordingError, StageError
from pipeline.rubric import Rubric, load_rubric
from pipeline.run import run_call
from pipeline.schema import to_json
from pipeline.settings import config_path, load_settings
from tests import damage, fakes
from tests.audio_files import write_wav_header

ROOT = Path(__file__).parents[1]
CPU_S_PER_FILE = 3.0
GROWTH_MIB = 160  # half an hour of 8 kHz is 55 MiB, and as much again while it is judged

# Decode and judge every file in a process of its own, so that a crash is seen as one, whatever a
# library writes is heard, and the peak of memory is that of these files.
JUDGE = """
import json, sys, time, warnings
import numpy as np
from pipeline.signal import channels as quality
from pipeline.audio import decode
from pipeline.errors import RecordingError

def status(key):
    with open("/proc/self/status") as lines:
        return next(int(x.split()[1]) / 1024 for x in lines if x.startswith(key))

warnings.simplefilter("error")
for path in json.load(sys.stdin):
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before, began, row = status("VmRSS"), time.process_time(), {}
    try:
        wave = decode(path)
        channels = quality.assess(wave)
        quality.channel_findings(wave), quality.crosstalk_db(wave)
        row |= {"rate": wave.sample_rate, "channels": [c.channel for c in channels]}
        row |= {"samples": wave.samples.shape[1], "warnings": wave.warnings}
        row["finite"] = bool(np.isfinite(wave.samples.sum(dtype=np.float64)))
        del wave
    except RecordingError as error:
        row |= {"error": error.message, "hint": error.hint}
    row |= {"cpu_s": time.process_time() - began, "growth_mib": status("VmHWM") - before}
    print(json.dumps(row), flush=True)
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[damage.Case]:
    return damage.write(tmp_path_factory.mktemp("damage"))


@pytest.fixture(scope="module")
def rows(cases: list[damage.Case]) -> list[dict]:
    """What became of each file, in the order of the cases."""
    return judge([c.path for c in cases])


def judge(paths: list[str]) -> list[dict]:
    """One row a file, from a process that must end well and say nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", JUDGE],
        input=json.dumps(paths),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    last = paths[min(len(rows), len(paths) - 1)]
    assert done.returncode == 0, f"ended at {last!r}: {done.stderr[-2000:]}"
    assert done.stderr == ""
    assert len(rows) == len(paths)
    return rows


def test_the_same_seed_makes_the_same_files(cases: list[damage.Case], tmp_path: Path) -> None:
    again = damage.write(tmp_path)
    assert len(cases) >= 300
    assert [os.path.basename(c.path) for c in again] == [os.path.basename(c.path) for c in cases]
    assert {c.fate for c in cases} == {"decoded", "refused", "either"}
    small = [
        (a.path, b.path)
        for a, b in zip(cases, again, strict=True)
        if os.path.isfile(a.path) and os.path.getsize(a.path) < 10**6 and os.access(a.path, os.R_OK)
    ]
    different = [a for a, b in small if Path(a).read_bytes() != Path(b).read_bytes()]
    assert len(small) > 400
    assert different == []


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
def test_each_file_is_decoded_or_refused_as_it_must_be(
    cases: list[damage.Case], rows: list[dict]
) -> None:
    wrong = {}
    for case, row in zip(cases, rows, strict=True):
        fate = "refused" if "error" in row else "decoded"
        if case.fate not in (fate, "either"):
            wrong[case.path] = row
    assert wrong == {}
    fates = ["error" in row for row in rows]
    assert min(fates.count(True), fates.count(False)) > 100


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
def test_what_is_decoded_is_sound(rows: list[dict]) -> None:
    for row in (row for row in rows if "error" not in row):
        assert row["finite"]
        assert row["samples"] > 0
        assert 4000 <= row["rate"] <= 16_000
        assert row["channels"] == list(range(len(row["channels"])))
        assert all(w.endswith(".") and "\n" not in w for w in row["warnings"])


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
def test_what_is_refused_says_what_came_and_what_to_do(rows: list[dict]) -> None:
    for row in (row for row in rows if "error" in row):
        for words in (row["error"], row["hint"]):
            assert words.endswith(".")
            assert "\n" not in words
            assert 10 < len(words) < 200
    said = {row["error"] for row in rows if "error" in row}
    for words in ("web page", "ZIP archive", "zeros", "0 bytes", "folder", "GiB", "hours", "1 Hz"):
        assert any(words in line for line in said), words


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
def test_no_file_takes_long_or_much_memory(cases: list[damage.Case], rows: list[dict]) -> None:
    slow = {
        c.path: r["cpu_s"] for c, r in zip(cases, rows, strict=True) if r["cpu_s"] > CPU_S_PER_FILE
    }
    big = {
        c.path: r["growth_mib"]
        for c, r in zip(cases, rows, strict=True)
        if r["growth_mib"] > GROWTH_MIB
    }
    assert (slow, big) == ({}, {})


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
def test_eight_hours_of_silence_stay_in_memory(tmp_path: Path) -> None:
    rate, hours = 8000, 8
    path = tmp_path / "night.wav"
    path.write_bytes(write_wav_header(1, 1, rate, 16, b"", 2 * rate * 3600 * hours))
    os.truncate(path, 44 + 2 * rate * 3600 * hours)
    (row,) = judge([str(path)])
    assert row["samples"] == rate * 3600 * hours
    assert row["growth_mib"] < 4 * row["samples"] / 2**20 + 100


# -- the whole analysis ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rubric() -> Rubric:
    return load_rubric(config_path("rubrics/hotline.yaml"))


def test_the_whole_analysis_takes_what_can_be_decoded(
    cases: list[damage.Case], rubric: Rubric
) -> None:
    """No file ends in an error that was not foreseen, and every result can be stored."""
    settings, script = load_settings(), fakes.Script.of()
    unforeseen, results, slow = {}, 0, {}
    stages: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, case in enumerate(cases):
            recording = fakes.recording(Path(case.path), agent_channel=number % 2)
            began = time.process_time()
            try:
                result = run_call(recording, settings, fakes.models(script), rubric)
            except StageError as error:
                unforeseen[case.path] = error.message
            except RecordingError as error:
                stages.add(error.stage)
            else:
                results += 1
                json.dumps(to_json(result), allow_nan=False)
            if time.process_time() - began > CPU_S_PER_FILE:
                slow[case.path] = time.process_time() - began
    assert (unforeseen, slow) == ({}, {})
    assert stages == {"audio"}
    assert results > 150
