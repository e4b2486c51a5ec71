"""What must not get out, in, or in the way: the network, formulas, passwords, code, endless work."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml.error import YAMLError

from pipeline.batch.runner import Step, Tally
from pipeline.commands import console as terminal
from pipeline.errors import RubricError, UsageError, WeightsError
from pipeline.export import export
from pipeline.io import files
from pipeline.io.user_tables import read_table
from pipeline.io.yaml import MAX_VALUES, read_yaml
from pipeline.rubric import load_rubric
from pipeline.schema import Failure, Recording
from pipeline.speech.diarization.diarizers import load_pretrained
from pipeline.store import Store
from pipeline.store.database import address
from pipeline.text.patterns import safe_pattern
from pipeline.text.phonetic.phrases import parse_phrase
from tests.test_store import make_result

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-c", "from pipeline.cli import main; main()")
SAMPLE = ROOT / "data" / "samples"
STRACE = shutil.which("strace")
CONNECT = re.compile(r"(?:connect|sendto|sendmsg)\(.*sa_family=AF_INET6?,.*")
LOCAL = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "::1"')


def callcoach(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize(
    "command",
    ["analyze CALL --out OUT", "status OUT", "export OUT --out OUT/again", "doctor",
     "agreement OUT", "rubric check rubrics/hotline.yaml", "models list", "explain talk_ratio"],
)  # fmt: skip
def test_no_command_looks_up_or_connects_to_anything_outside(command: str, tmp_path: Path):
    call = next(iter(sorted(SAMPLE.glob("*.wav"))), None)
    assert call is not None
    (tmp_path / "out").mkdir()
    with Store.open(tmp_path / "out") as store:
        store.save(make_result())
    words = {"CALL": str(call), "OUT": str(tmp_path / "out"), "OUT/again": str(tmp_path / "again")}
    trace = tmp_path / "trace"
    done = subprocess.run(
        [str(STRACE), "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace),
         *PROGRAM, *(words.get(w, w) for w in command.split())],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 2), done.stderr
    assert done.stdout or done.stderr
    assert done.returncode == 0 or not command.startswith("analyze"), done.stderr
    outside = [
        line for line in trace.read_text().splitlines()
        if CONNECT.search(line) and not LOCAL.search(line)
    ]  # fmt: skip
    assert outside == []


def test_what_reports_to_its_makers_is_told_not_to_before_any_import():
    code = (
        "import sys, pipeline, os; assert not {'onnxruntime', 'torch', 'ray'} & set(sys.modules);"
        "print(*(os.environ[n] for n in ('ORT_DISABLE_TELEMETRY', 'PYANNOTE_METRICS_ENABLED')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["1", "0"]


def test_ray_on_this_machine_listens_on_loopback_only():
    ray = pytest.importorskip("ray")
    psutil = pytest.importorskip("psutil")
    from pipeline.batch.engines.ray import _connect

    if ray.is_initialized():
        ray.shutdown()
    try:
        _connect(None)
        family = psutil.Process().children(recursive=True)
        listening = [
            c.laddr.ip for p in family for c in p.net_connections("tcp") if c.status == "LISTEN"
        ]
    finally:
        ray.shutdown()
    assert listening
    assert {ip for ip in listening if ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")} == set()


# --- what people see ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=1+1", "+86 138", "-x", "@SUM(A1)", "\tx", '=HYPERLINK("x")'])
def test_text_that_looks_like_a_formula_is_text_in_csv(text: str, tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        result = make_result()
        store.save(result)
        store.save_failure(Failure("/calls/x.wav", "x", "audio", "UnreadableAudio", text, "Check."))
        export(store, tmp_path, workbook=False)
    frame = pd.read_csv(tmp_path / "failures.csv", dtype=str, keep_default_na=False)
    assert frame["message"].tolist() == ["'" + text]
    calls = pd.read_csv(tmp_path / "calls.csv")
    assert calls["agent_level_dbfs"].dtype == float  # numbers below zero are numbers
    assert pd.read_parquet(tmp_path / "failures.parquet")["message"].tolist() == [text]


def test_our_own_csv_is_read_back_without_the_apostrophe(tmp_path: Path):
    (tmp_path / "t.csv").write_text("recording,agent_id\na.wav,'=0012\n", encoding="utf-8")
    found = read_table(
        str(tmp_path / "t.csv"), {"recording": (), "agent_id": ()}, [["recording"]], UsageError
    )
    assert found.rows[0].cells["agent_id"] == "=0012"


@pytest.mark.parametrize("name", ["[/x]", "李[vip]", "[red]王[/red]", "[link=x]y"])
def test_names_are_shown_as_they_are(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    frame = pd.DataFrame({"agent_id": ["7"], "agent_name": [name], "calls": [1]})
    terminal.agents(frame)
    failed = Failure(f"/calls/{name}.wav", name, "audio", "X", name, name)
    recording = Recording(failed.path, name)
    tally = Tally()
    terminal.watch_progress(tally.count([Step(recording, "failed", failure=failed)]), tally, 1)
    assert (tally.steps, tally.failed) == (1, 1)
    terminal.say_step(Step(recording, "analysed"))
    terminal.paths([tmp_path / "callcoach.xlsx"], Path(f"/out/{name}"), None)
    said = capsys.readouterr()
    assert f"7 {name}" in said.out
    assert f"/out/{name}" in said.out
    assert f"analysed: /calls/{name}.wav" in said.err.replace("\n", "")


def test_outputs_are_for_their_owner_alone(tmp_path: Path):
    with Store.open(tmp_path / "a") as store:
        store.save(make_result())
    out = tmp_path / "new" / "out"
    assert callcoach("export", tmp_path / "a", "--out", out).returncode == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in out.iterdir()} == {0o600}
    shared = tmp_path / "shared"
    assert (
        callcoach("export", tmp_path / "a", "--out", shared, CALLCOACH_UMASK="027").returncode == 0
    )
    assert stat.S_IMODE(shared.stat().st_mode) == 0o750


def test_a_store_password_on_the_command_line_is_refused(tmp_path: Path):
    url = "postgresql://me:hunter2@127.0.0.1:1/calls"
    for arguments in (["status", url], ["analyze", "x.wav", "--out", tmp_path, f"--store={url}"],
                      ["analyze", "x.wav", "--out", tmp_path, "--store", url]):  # fmt: skip
        done = callcoach(*arguments)
        assert done.returncode == 2
        assert "PGPASSWORD" in done.stderr
        assert "hunter2" not in done.stdout + done.stderr


def test_a_store_password_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "pass").write_text("other:*:*:*:no\ndb:5432:calls:me:se\\:cret\n")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pass"))
    assert address("postgresql://me@db/calls", True).password == "se:cret"
    monkeypatch.setenv("PGPASSWORD", "first")
    assert address("postgresql://me@db/calls", True).password == "first"
    assert address("postgresql://me:own@db/calls", True).password == "own"


def test_tokens_of_urls_are_in_no_message_and_no_table(tmp_path: Path):
    url = "http://127.0.0.1:1/a.wav?v=2&X-Amz-Signature=tops3cret&token=t0ken"
    masked = files.shown(url)
    assert "tops3cret" not in masked
    assert "t0ken" not in masked
    assert "v=2" in masked
    assert files.shown(masked) == masked
    assert files.shown(url.replace("t0ken", "another")) != masked
    with pytest.raises(Exception, match="cannot be read") as caught:
        files.sha256(url)
    assert "t0ken" not in str(caught.value)
    done = callcoach("analyze", url, "--out", tmp_path / "out", "--verbose")
    assert "t0ken" not in done.stdout + done.stderr
    for path in (tmp_path / "out").iterdir():
        assert b"t0ken" not in path.read_bytes(), path
    with Store.open(tmp_path / "out") as store:
        store.save(make_result("u", recording=Recording(url, "u")))
        assert store.frame("calls", "u")["path"].tolist() == [masked]
        assert store.load("u").recording.path == masked
        assert store.ids_at([url]) == {url: "u"}


# --- code and endless work ------------------------------------------------------------------------


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_weights_that_hold_code_are_not_run(tmp_path: Path):
    torch = pytest.importorskip("torch")
    sprung = tmp_path / "sprung"
    folder = tmp_path / "model"
    folder.mkdir()
    torch.save({"state_dict": {}, "trap": Trap(sprung)}, folder / "pytorch_model.bin")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(folder / "pytorch_model.bin", weights_only=False)
    (folder / "config.yaml").write_text(
        "pipeline:\n  name: pyannote.audio.pipelines.VoiceActivityDetection\n"
        f"  params: {{segmentation: {folder / 'pytorch_model.bin'}}}\n"
    )
    with pytest.raises(WeightsError):
        load_pretrained(str(folder))
    (folder / "config.yaml").write_text(
        f"pipeline:\n  name: subprocess.check_call\n  params: {{args: [touch, {sprung}]}}\n"
    )
    with pytest.raises(WeightsError, match="no class of pyannote"):
        load_pretrained(str(folder))
    with pytest.raises(WeightsError):
        load_pretrained(str(folder / "pytorch_model.bin"))
    assert not sprung.exists()


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, n in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", "[" * 20_000, "a: " + "{b: " * 20_000])
def test_yaml_that_stands_for_too_much_is_refused_at_once(text: str, tmp_path: Path):
    start = time.monotonic()
    with pytest.raises(YAMLError):
        read_yaml(text)
    (tmp_path / "rubric.yaml").write_text(text)
    with pytest.raises(RubricError):
        load_rubric(tmp_path / "rubric.yaml")
    assert time.monotonic() - start < 20
    assert read_yaml("a: &a [1, 2]\nb: *a") == {"a": [1, 2], "b": [1, 2]}
    assert MAX_VALUES > 50_000


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a*)*b", "(?:a|aa)+$", "([a-z]+)*x", "(.*a){20}", "(a{1,30}){1,30}b",
     ".*.*.*.*.*x", "(", "a" * 3000],
)  # fmt: skip
def test_expressions_that_may_never_end_are_refused(pattern: str):
    with pytest.raises(ValueError):
        safe_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["投诉你(?!们)", "[^不最]好(?!像|的)", r"\d{3,4}-?\d{7,8}", "(?:先生|女士){1,2}", ".*退款.*"],
)
def test_ordinary_expressions_are_taken(pattern: str):
    assert safe_pattern(pattern).pattern == pattern


@pytest.mark.parametrize(
    "notation", ["(你|我)" * 40, "[您]" * 60, "…".join("你我他" * 10), "好" * 5000, "(" * 900]
)
def test_phrases_that_stand_for_too_much_are_refused_at_once(notation: str):
    start = time.monotonic()
    with pytest.raises(RubricError):
        parse_phrase(notation)
    assert time.monotonic() - start < 5
