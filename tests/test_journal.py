"""The log: one JSON object a line, and nothing in it that was said or says who spoke."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.batch.runner import Step, Tally
from pipeline.commands.run_log import Journal, key_of
from pipeline.errors import OutputError
from pipeline.schema import Failure, Recording

CALL_ID = "20261103_13812345678_王芳"
RECORDING = Recording(path=f"/recordings/{CALL_ID}.wav", call_id=CALL_ID, customer_name="王芳")
FAILURE = Failure(
    RECORDING.path, CALL_ID, "audio", "UnreadableAudio", f"{CALL_ID} is no audio.", ""
)
STEPS = (
    Step(RECORDING, "analysed", 61.25, warnings=("13812345678 was said",),
         stage_seconds={"audio": 0.0312, "recognition": 4.0}),
    Step(RECORDING, "failed", failure=FAILURE),
)  # fmt: skip


def lines(path: Path, *, verbose: bool = False) -> list[dict[str, object]]:
    with Journal(path, verbose=verbose) as journal:
        for step in STEPS:
            journal.call(step)
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_line_says_what_became_of_a_call_and_what_it_cost(tmp_path: Path):
    done, failed = lines(tmp_path / "log")
    assert done["outcome"] == "analysed"
    assert (done["audio_s"], done["seconds"]) == (61.2, 4.03)
    assert done["stages"] == {"audio": 0.03, "recognition": 4.0}
    assert done["key"] == failed["key"] == key_of(CALL_ID)
    assert (failed["stage"], failed["error"]) == ("audio", "UnreadableAudio")


def test_nothing_personal_is_in_it_unless_asked_for(tmp_path: Path):
    lines(tmp_path / "log")
    text = (tmp_path / "log").read_text("utf-8")
    for secret in (CALL_ID, "13812345678", "王芳", "/recordings"):
        assert secret not in text
    told = lines(tmp_path / "verbose", verbose=True)
    assert told[0]["call_id"] == CALL_ID
    assert told[1]["message"] == FAILURE.message


def test_a_second_run_adds_to_the_log(tmp_path: Path):
    lines(tmp_path / "log")
    assert len(lines(tmp_path / "log")) == 4


def test_a_log_that_cannot_be_written_is_a_clear_error(tmp_path: Path):
    with pytest.raises(OutputError, match="cannot be written"):
        Journal(tmp_path)


def test_the_tally_counts_every_outcome_and_keeps_some_warnings():
    tally = Tally()
    for step in STEPS * 30:
        tally.add(step)
    tally.add(Step(RECORDING, "unchanged", 10.0))
    assert (tally.steps, tally.changed, tally.unchanged, tally.failed) == (61, 30, 1, 30)
    assert tally.audio_s == pytest.approx(30 * 61.25 + 10)
    assert tally.new_audio_s == pytest.approx(30 * 61.25)
    assert len(tally.failures) == 30
    assert (len(tally.warnings), tally.warned) == (20, 30)
