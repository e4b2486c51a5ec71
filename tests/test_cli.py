"""The command line: light, one line per error, exit codes 0, 1 and 2, and tables at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import pipeline
from pipeline.cli import STOPS, Exit, main
from pipeline.errors import CallcoachError
from pipeline.io import weights
from pipeline.measures import MEASURES
from pipeline.rubric import load_rubric
from pipeline.schema import AGENT, CUSTOMER
from pipeline.settings import config_folder, config_path, load_settings
from pipeline.speech.models import weights_used
from pipeline.store import Store
from tests import fakes
from tests.fakes import Script, recording, save

HEAVY = ("torch", "pandas", "numpy", "faster_whisper", "pyannote", "sqlalchemy", "pydantic")
HELP_S = 1.5
ROOT = Path(__file__).parents[1]
CALL = Script.of((AGENT, 0.5, "您好请问有什么可以帮您"), (CUSTOMER, 4.0, "我想问一下我的订单"))


@dataclass(frozen=True)
class Done:
    """What a command left: exit code and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def process(*arguments: str | Path) -> Done:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """``main`` changes what signals do, for good: here not beyond a test."""
    before = {number: signal.getsignal(number) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def callcoach(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command line in this process, from ``main`` on."""

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["callcoach", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        written = capsys.readouterr()
        return Done(int(caught.value.code or 0), written.out, written.err)

    return run


def told(done: Done, *words: str) -> None:
    """Check that one line of error was said, with exit code 2."""
    assert done.returncode == Exit.USAGE, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A folder with one recording."""
    folder = tmp_path / "calls"
    folder.mkdir()
    save(folder / "a.wav", CALL.stereo())
    return folder


@pytest.fixture
def analysed(calls: Path, tmp_path: Path) -> Path:
    """An output folder in which the recording of ``calls`` is already analysed."""
    settings = load_settings()
    out = tmp_path / "out"
    out.mkdir()

    def load(chosen):
        return fakes.models(CALL, weights=weights_used(chosen))

    with Store.open(out) as store:
        (step,) = fakes.batch([recording(calls / "a.wav")], settings, store, load)
    assert step.outcome == "analysed"
    return out


def test_importing_the_command_line_loads_nothing_heavy():
    code = f"import sys, pipeline.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_comes_at_once():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = process("--help")
        seconds.append(time.perf_counter() - start)
        assert done.returncode == Exit.ALL_WELL
        for command in ("analyze", "models", "rubric", "doctor"):
            assert command in done.stdout
    assert min(seconds) < HELP_S


def test_exit_codes_leave_the_process(tmp_path: Path, monkeypatch):
    done = process("--version")
    assert (done.returncode, done.stdout) == (0, f"callcoach {pipeline.__version__}\n")
    told(process("analyze", tmp_path / "nowhere.wav", "--out", tmp_path, "--preset", "gpuu"), "gpu")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    assert process("models", "verify").returncode == Exit.SOME_FAILED


@pytest.mark.parametrize(
    "arguments",
    [["analize"], ["analyze"], ["analyze", "x.wav"], ["analyze", "x", "--out"], ["--x"]],
)
def test_a_mistyped_command_is_exit_code_2(callcoach, arguments: list[str]):
    done = callcoach(*arguments)
    assert done.returncode == Exit.USAGE
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--preset", "embeded"], ["embeded", 'Did you mean "embedded"?']),
        (["--set", "asr.beam_sise=1"], ["beam_sise", 'Did you mean "beam_size"?']),
        (["--set", "asr.beam_size=0"], ["asr.beam_size = 0"]),
        (["--set", "beam_size"], ["section.name=value"]),
        (["--rubric", "nowhere.yaml"], ["nowhere.yaml"]),
        (["--metadata", "nowhere.csv"], ["nowhere.csv"]),
        (["--scores", "nowhere.csv"], ["nowhere.csv"]),
        (["--name-pattern", "("], ["("]),
    ],
    ids=lambda x: x[0] if isinstance(x, list) else None,
)
def test_what_cannot_be_carried_out_is_one_line(
    callcoach, calls: Path, tmp_path: Path, more, words
):
    told(callcoach("analyze", calls, "--out", tmp_path / "out", *more), *words)


def test_recordings_that_are_nowhere_are_one_line(callcoach, tmp_path: Path):
    told(callcoach("analyze", tmp_path / "*.wav", "--out", tmp_path / "out"))
    (tmp_path / "none").mkdir()
    told(callcoach("analyze", tmp_path / "none", "--out", tmp_path / "out"), "none")
    mistyped = callcoach(
        "analyze", tmp_path / "nine", tmp_path / "x.wav", "--out", tmp_path / "out"
    )
    told(mistyped, "no such file or folder", f'Did you mean "{tmp_path / "none"}"?', "1 more")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--metadata", "--scores"])
def test_wrong_columns_are_one_line_with_the_nearest_name(
    callcoach, calls: Path, tmp_path: Path, option: str
):
    table = tmp_path / "table.csv"
    table.write_text("recordng,agent_id,scor\na.wav,N1,5\n")
    told(
        callcoach("analyze", calls, "--out", tmp_path / "out", option, table),
        "table.csv",
        "recording",
    )


def test_a_table_that_is_no_table_is_one_line(callcoach, calls: Path, tmp_path: Path):
    table = tmp_path / "table.xlsx"
    table.write_bytes(b"not a workbook")
    for option in ("--metadata", "--scores"):
        done = callcoach("analyze", calls, "--out", tmp_path / "out", option, table)
        told(done, "table.xlsx")


def test_an_output_folder_that_cannot_be_made_is_one_line(callcoach, calls: Path, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    told(callcoach("analyze", calls, "--out", tmp_path / "file"), "file")
    told(callcoach("analyze", calls, "--out", tmp_path / "file" / "sub"), "sub")


def test_a_store_that_is_no_store_is_one_line(callcoach, calls: Path, tmp_path: Path):
    (tmp_path / "callcoach.db").write_text("no database" * 100)
    told(callcoach("analyze", calls, "--out", tmp_path), "callcoach.db")


def test_missing_weights_are_one_line_with_the_command_that_helps(
    callcoach, calls, tmp_path, monkeypatch
):
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "nothing"))
    done = callcoach("analyze", calls, "--out", tmp_path / "out")
    assert done.returncode == Exit.USAGE
    assert "callcoach models fetch" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_run_with_nothing_new_exports_and_is_exit_code_0(callcoach, calls: Path, analysed: Path):
    done = callcoach("analyze", calls, "--out", analysed)
    assert done.returncode == Exit.ALL_WELL, done.stderr
    assert "1 unchanged, 0 failed" in done.stderr
    for table in ("calls", "turns", "events", "verdicts", "agents", "agent_weeks", "failures"):
        assert (analysed / f"{table}.csv").is_file()
        assert (analysed / f"{table}.parquet").is_file()
        assert table in done.stdout
    assert (analysed / "callcoach.xlsx").is_file()
    assert "callcoach.xlsx" in done.stdout


def test_a_failed_recording_is_exit_code_1_and_the_rest_is_exported(
    callcoach, calls: Path, analysed: Path
):
    (calls / "b.wav").write_text("not audio")
    done = callcoach("analyze", calls, "--out", analysed)
    assert done.returncode == Exit.SOME_FAILED
    assert "1 unchanged, 1 failed" in done.stderr
    assert "b.wav" in done.stderr.replace("\n", "")  # a long path is wrapped
    assert "Traceback" not in done.stderr
    failures = pd.read_csv(analysed / "failures.csv")
    assert failures["call_id"].tolist() == ["b"]
    assert len(pd.read_parquet(analysed / "calls.parquet")) == 2


def test_outside_scores_join_and_what_does_not_is_told(
    callcoach, calls: Path, analysed: Path, tmp_path: Path
):
    sheet = tmp_path / "scores.csv"
    sheet.write_text("recording,score,reviewer\na.wav,80,QA\nlost.wav,70,QA\n", encoding="utf-8")
    done = callcoach("analyze", calls, "--out", analysed, "--scores", sheet)
    assert done.returncode == Exit.ALL_WELL, done.stderr
    assert "Outside score not used: scores.csv row 3" in done.stderr
    assert pd.read_parquet(analysed / "calls.parquet")["outside_score"].tolist() == [80]


def test_another_rubric_judges_again(callcoach, calls: Path, analysed: Path, tmp_path: Path):
    own = tmp_path / "own.yaml"
    own.write_text(
        f"""
rubric: {{id: own, name: {{zh: 自, en: Own}}, version: "1"}}
extends: {config_path("rubrics/hotline.yaml")}
items:
  opening_greeting: {{enabled: false}}
""",
        encoding="utf-8",
    )
    assert len(load_rubric(own).items) > 1
    done = callcoach("analyze", calls, "--out", analysed, "--rubric", own)
    assert done.returncode == Exit.ALL_WELL, done.stderr
    assert "1 judged again" in done.stderr
    assert (
        "opening_greeting" not in pd.read_parquet(analysed / "verdicts.parquet")["item_id"].tolist()
    )


def test_weights_are_listed_with_licence_and_state(callcoach, tmp_path: Path, monkeypatch):
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    done = callcoach("models", "list")
    assert done.returncode == 0
    for name, row in weights.manifest().items():
        assert name in done.stdout
        assert row.licence in done.stdout
    assert "missing or damaged" in done.stdout
    assert "on the model hub" in done.stdout


def test_verifying_says_what_is_missing(callcoach, tmp_path: Path, monkeypatch):
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    done = callcoach("models", "verify")
    assert done.returncode == Exit.SOME_FAILED
    assert "model.bin is missing" in done.stderr


def test_verifying_what_is_here(callcoach):
    done = callcoach("models", "verify")
    assert done.returncode == 0, done.stdout
    files = sum(len(w.files) for w in weights.manifest().values())
    assert f"{files} files verified" in done.stdout


def test_fetching_what_is_here_does_nothing_and_a_wrong_name_is_told(callcoach):
    done = callcoach("models", "fetch", "whisper-base")
    assert (done.returncode, "whisper-base: verified" in done.stdout) == (0, True)
    told(callcoach("models", "fetch", "whisper-bas"), 'Did you mean "whisper-base"?')


def test_the_doctor_says_what_is_missing(callcoach, tmp_path: Path, monkeypatch):
    done = callcoach("doctor")
    assert done.returncode == 0, done.stdout
    assert "FAIL" not in done.stdout
    assert pipeline.__version__ in done.stdout
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    done = callcoach("doctor")
    assert done.returncode == Exit.SOME_FAILED
    assert "FAIL whisper-base: model.bin is missing" in done.stdout
    assert "callcoach models fetch" in done.stdout


def test_a_stop_by_hand_is_told_and_is_no_failure(monkeypatch, capsys):
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.cli.app", stop)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130
    assert "run the same command again" in capsys.readouterr().err


def test_an_error_that_is_not_of_usage_is_exit_code_1(monkeypatch, capsys):
    def fail() -> None:
        raise CallcoachError("Something is wrong.", "Do that.")

    monkeypatch.setattr("pipeline.cli.app", fail)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == Exit.SOME_FAILED
    assert capsys.readouterr().err == "Error: Something is wrong. Do that.\n"


# The tools over rubrics and stored calls.


def test_explain_says_what_a_measure_is_and_lists_them_all(callcoach):
    done = callcoach("explain", "agent_speaking_rate")
    assert done.returncode == 0
    for part in ("speaking rate", "语速", "units/min", "voice.min_turn_units"):
        assert part in done.stdout
    listed = callcoach("explain").stdout
    assert all(m.id in listed for m in MEASURES)
    told(callcoach("explain", "speeking_rate"), 'Did you mean "speaking_rate"?', "lists all")


def test_the_shipped_rubrics_are_checked_and_their_examples_agree(callcoach):
    for path in sorted((config_folder() / "rubrics").glob("*.yaml")):
        for command in ("check", "test"):
            done = callcoach("rubric", command, str(path))
            assert done.returncode == 0, (path.name, done.stdout)


def test_a_bad_rubric_is_exit_code_1_or_2_with_the_place(callcoach, tmp_path: Path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("rubric: {id: bad}\nitms: {}\n")
    told(callcoach("rubric", "test", bad), "bad.yaml")
    done = callcoach("rubric", "check", bad)
    assert done.returncode in (Exit.SOME_FAILED, Exit.USAGE)
    assert "Traceback" not in done.stderr


def test_a_rubric_is_tried_on_a_stored_call(callcoach, analysed: Path):
    done = callcoach("rubric", "try", "rubrics/hotline.yaml", "a", "--out", analysed)
    assert done.returncode == 0, done.stdout
    assert "opening_greeting: pass" in done.stdout
    assert "x 100 =" in done.stdout
    done = callcoach("rubric", "try", "rubrics/hotline.yaml", "b", "--out", analysed)
    assert done.returncode != Exit.ALL_WELL
    assert done.stderr.count("\n") == 1
    assert "'b'" in done.stderr


def test_a_store_is_exported_with_a_file_a_call(callcoach, analysed: Path, tmp_path: Path):
    done = callcoach("export", analysed, "--out", tmp_path, "--no-workbook", "--calls", "srt")
    assert done.returncode == 0, done.stderr
    assert "坐席：" in (tmp_path / "calls" / "a.srt").read_text("utf-8")
    assert not (tmp_path / "callcoach.xlsx").exists()
    told(callcoach("export", analysed, "--out", tmp_path, "--calls", "stl"), "stl", "srt")


def test_two_rubrics_are_compared_on_stored_calls(callcoach, analysed: Path, tmp_path: Path):
    hotline = "rubrics/hotline.yaml"
    same = callcoach("rubric", "diff", hotline, hotline, "--out", analysed)
    assert (same.returncode, same.stdout) == (0, "0 verdicts change.\n")
    own = tmp_path / "own.yaml"
    own.write_text(
        f"""
rubric: {{id: own, name: {{zh: 自, en: Own}}, version: "1"}}
extends: {config_path(hotline)}
items:
  opening_greeting: {{enabled: false}}
""",
        encoding="utf-8",
    )
    changed = callcoach("rubric", "diff", hotline, own, "--out", analysed)
    assert changed.returncode == 0
    assert "opening_greeting" in changed.stdout


def test_agreement_with_the_quality_team(callcoach, calls: Path, analysed: Path, tmp_path: Path):
    told(callcoach("agreement", analysed), "--scores")
    sheet = tmp_path / "scores.csv"
    sheet.write_text("recording,item_id,verdict\na.wav,opening_greeting,fail\n", encoding="utf-8")
    assert callcoach("analyze", calls, "--out", analysed, "--scores", sheet).returncode == 0
    done = callcoach("agreement", analysed)
    assert done.returncode == 0
    assert "opening_greeting" in done.stdout
    assert "Disagreements: 1" in done.stdout


def test_status_says_what_a_store_holds(callcoach, analysed: Path, tmp_path: Path):
    done = callcoach("status", analysed)
    assert done.returncode == 0
    assert done.stdout.startswith("1 calls")
    assert "ok: 1" in done.stdout
    told(callcoach("status", tmp_path / "nowhere"), "nowhere")


def test_evaluating_needs_labels_and_a_readable_baseline(callcoach, calls: Path, tmp_path: Path):
    told(callcoach("evaluate", calls), "truth.json")
    (calls / "a.truth.json").write_text("{broken")
    told(callcoach("evaluate", calls), "a.truth.json")
    (calls / "a.truth.json").unlink()
    told(callcoach("evaluate", calls, "--baseline", tmp_path / "none.json"), "none.json")


SWALLOWED = {
    "by a library that is imported": """
        import swallows
        """,
    "by a finaliser": """
        class Closing:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
        Closing()
        time.sleep(5)
        """,
}


@pytest.mark.parametrize("swallowed", SWALLOWED)
def test_a_stop_is_not_lost_where_exceptions_are_swallowed(swallowed: str, tmp_path: Path):
    (tmp_path / "swallows.py").write_text(
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(5)\n"
        "except BaseException:\n    pass\n"
    )
    program = f"""
import os, signal, sys, time
from pipeline import cli
def command():
    exec({textwrap.dedent(SWALLOWED[swallowed])!r}, globals())
    print("went on")
cli.app = command
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
    )
    assert (done.returncode, done.stdout) == (Exit.STOPPED, "")
    assert done.stderr.startswith("Stopped.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", STOPS)
def test_a_stop_after_the_work_is_done_changes_nothing(number: signal.Signals):
    program = f"""
import atexit, os
from pipeline import cli
class Late:
    kill, pid = os.kill, os.getpid()
    def __del__(self):
        self.kill(self.pid, {number:d})
cli.app = lambda: print("done")
atexit.register(lambda: os.kill(os.getpid(), {number:d}))
late = Late()
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert (done.returncode, done.stdout, done.stderr) == (Exit.ALL_WELL, "done\n", "")
