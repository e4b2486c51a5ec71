"""The faults of :mod:`tests.faults` in their short form, and whether they would see a difference."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipeline.store import STORE_NAME
from tests.faults import __main__ as faults
from tests.faults import tables
from tests.faults.lab import Fault, Lab, Skipped
from tests.faults.runs import Ended, Run

SLEEP = "import time; time.sleep(600)"
SHORT = [fault for fault in faults.FAULTS if fault.times[True]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("faults"), faults.CALLS[True], faults.SEED)
    yield made
    made.sweep()


@pytest.mark.slow
@pytest.mark.parametrize("fault", SHORT, ids=[fault.name for fault in SHORT])
def test_nothing_is_lost_by(fault: Fault, lab: Lab):
    try:
        report = faults.do(fault, lab, fault.times[True])
    except Skipped as reason:
        pytest.skip(str(reason))
    assert not report.problems
    assert report.times > 0


@pytest.mark.slow
def test_a_difference_is_seen(lab: Lab, tmp_path: Path):
    out = tmp_path / "out"
    shutil.copytree(lab.finished, out)
    assert lab.unlike(out) == []
    for name, column in (("turns.csv", "units"), ("agents.csv", "holds_mean")):
        frame = pd.read_csv(out / name, encoding="utf-8-sig")
        changed = frame.assign(**{column: frame[column] + 1e-3})
        changed.to_csv(out / name, index=False, encoding="utf-8-sig")
        assert any(f"{name} row 0 {column}" in said for said in lab.unlike(out))
        shutil.copy(lab.finished / name, out / name)
    (out / "events.parquet").unlink()
    (out / ".export-left").mkdir()
    assert lab.unlike(out) == [
        "events.parquet is missing",
        "left in the output folder: .export-left",
    ]
    data = bytearray((out / STORE_NAME).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = bytes(4096)
    (out / STORE_NAME).write_bytes(data)
    assert tables.damage(out)


def test_an_end_is_judged():
    assert Ended(0, "", 1.0, ()).wrong(0) == []
    assert "exit code 1" in Ended(1, "", 1.0, ()).wrong(0)[0]
    assert "hung" in Ended(None, "", 1.0, ()).wrong(0)[0]
    assert "traceback" in Ended(0, "Traceback (most", 1.0, ()).wrong(0)[0]
    assert "left behind: worker" in Ended(0, "", 1.0, ("worker",)).wrong(0)[0]


def test_a_run_that_hangs_is_ended_and_so_are_its_orphans(tmp_path: Path):
    child = f"import subprocess; subprocess.Popen([{sys.executable!r}, '-c', {SLEEP!r}])"
    hung = Run(folder=tmp_path, program=("-c", f"{child}; {SLEEP}"))
    assert not hung.wait_for(lambda: len(hung.marked()) == 2)
    ended = hung.end(patience_s=0.1, orphans_s=0.1)
    assert ended.code is None
    assert len(ended.orphans) == 1
    assert not hung.marked()
