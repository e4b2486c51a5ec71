"""Many recordings: one bad one costs one row, nothing is done twice, a new rubric judges again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.batch.engines import Done, Task
from pipeline.batch.runner import Step, analyse
from pipeline.errors import RubricError, SettingsError, WeightsError
from pipeline.rubric import Rubrics
from pipeline.schema import AGENT, CUSTOMER, CallResult, Recording
from pipeline.settings import Settings, config_path, load_settings
from pipeline.speech.models import Models, weights_used
from pipeline.speech.roles import Usual
from pipeline.store import SQL, Store, database
from tests import fakes
from tests.fakes import RATE, Script, ScriptDecoder, recording, save

SETTINGS = load_settings()
CALL = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城很高兴为您服务"),
    (CUSTOMER, 6.0, "我想问一下我的订单"),
    (AGENT, 9.5, "好的"),
)


@dataclass
class Bench:
    """A store, a folder of recordings, and stand-ins that count what they are asked for."""

    folder: Path
    store: Store
    decoder: ScriptDecoder = field(default_factory=lambda: ScriptDecoder(CALL))
    loaded: int = 0

    def load(self, settings: Settings) -> Models:
        self.loaded += 1
        return fakes.models(CALL, decoder=self.decoder, weights=weights_used(settings))

    def call(self, name: str, quiet_s: float = 0.0, **metadata: object) -> Recording:
        path = save(self.folder / f"{name}.wav", CALL.stereo(quiet_s=quiet_s))
        return recording(path, **{"agent_channel": 0} | metadata)

    def bad(self, name: str) -> Recording:
        path = self.folder / f"{name}.wav"
        path.write_text("not audio")
        return recording(path)

    def run(
        self, recordings: Sequence[Recording], settings: Settings = SETTINGS, *, force: bool = False
    ) -> list[Step]:
        return list(fakes.batch(recordings, settings, self.store, self.load, force=force))

    def outcomes(self, *arguments: object, **options: object) -> list[str]:
        return [s.outcome for s in self.run(*arguments, **options)]

    def column(self, table: str, name: str) -> list[object]:
        return self.store.frame(table)[name].tolist()


@pytest.fixture
def bench(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        yield Bench(tmp_path, store)


def rubric_file(folder: Path, version: str) -> str:
    """The shipped rubric without one item, under another version."""
    source = config_path("rubrics/hotline.yaml")
    path = folder / f"{version}.yaml"
    path.write_text(
        f"""
rubric:
  id: own
  name: {{zh: 自己的规范, en: Own standard}}
  version: "{version}"
extends: {source}
items:
  opening_greeting:
    enabled: false
""",
        encoding="utf-8",
    )
    return str(path)


def with_rubric(path: str) -> Settings:
    return load_settings(overrides={"compliance.rubric": path})


def test_every_recording_is_analysed_and_saved(bench: Bench):
    steps = bench.run([bench.call("a"), bench.call("b", 0.5)])
    assert [s.outcome for s in steps] == ["analysed", "analysed"]
    assert bench.column("calls", "call_id") == ["a", "b"]
    assert bench.column("calls", "status") == ["ok", "ok"]
    assert [s.audio_s for s in steps] == pytest.approx(
        [CALL.duration, CALL.duration + 0.5], abs=0.01
    )
    assert bench.loaded == 1


def test_a_bad_recording_costs_one_row_and_the_rest_goes_on(bench: Bench):
    silent = bench.folder / "silent.wav"
    save(silent, np.zeros((1, 2 * RATE), np.float32))
    rows = [
        bench.bad("a"), bench.call("b"), recording(bench.folder / "gone.wav"), recording(silent),
        bench.call("z", 0.5),
    ]  # fmt: skip
    steps = bench.run(rows)
    assert [s.outcome for s in steps] == ["failed", "analysed", "failed", "analysed", "analysed"]
    assert bench.column("failures", "call_id") == ["a", "gone"]
    assert bench.column("failures", "error_type") == ["UnreadableAudio"] * 2
    assert all(bench.column("failures", "hint"))
    frame = bench.store.frame("calls").set_index("call_id")
    assert frame.loc["a", "status"] == "failed"
    assert frame.loc["z", "status"] == "ok"


def test_a_stage_that_breaks_on_one_recording_costs_one_row(bench: Bench):
    class Fragile(ScriptDecoder):
        def __call__(self, windows, *, careful=False):
            if self.calls == 1:
                self.calls += 1
                raise MemoryError("too long")
            return super().__call__(windows, careful=careful)

    bench.decoder = Fragile(CALL)
    one, two = bench.call("a"), bench.call("b", 0.5)
    bench.decoder.calls = 1
    first, second = bench.run([one, two])
    assert (first.outcome, second.outcome) == ("failed", "analysed")
    assert (first.failure.stage, first.failure.error_type) == ("recognition", "StageError")
    assert "MemoryError: too long" in first.failure.message


def test_a_second_run_changes_nothing_and_loads_nothing(bench: Bench):
    rows = [bench.call("a"), bench.call("b", 0.5), bench.bad("c")]
    bench.run(rows)
    before = {t: bench.store.frame(t) for t in ("calls", "turns", "events", "verdicts", "failures")}
    calls = bench.decoder.calls
    assert bench.outcomes(rows[:2]) == ["unchanged", "unchanged"]
    assert (bench.loaded, bench.decoder.calls) == (1, calls)
    assert bench.outcomes(rows) == ["unchanged", "unchanged", "failed"]
    for table, frame in before.items():
        assert frame.equals(bench.store.frame(table)), table


def test_an_unchanged_call_is_told_without_reading_its_result_or_its_file(bench: Bench):
    rows = [bench.call("a"), bench.call("b", 0.5)]
    bench.run(rows)
    with database.writing(bench.store._engine) as connection:
        connection.execute(SQL["results"].update().values(payload=b"no result"))
    path = Path(rows[0].path)
    about = path.stat()
    path.write_bytes(bytes(about.st_size))  # other content of the same size, at the same time
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert bench.outcomes(rows) == ["unchanged", "unchanged"]


def test_what_is_unchanged_is_analysed_again_when_forced(bench: Bench):
    rows = [bench.call("a")]
    bench.run(rows)
    calls = bench.decoder.calls
    assert bench.outcomes(rows, force=True) == ["analysed"]
    assert bench.decoder.calls == 2 * calls


def test_another_content_is_analysed_again(bench: Bench):
    bench.run([bench.call("a")])
    assert bench.outcomes([bench.call("a", 0.5)]) == ["analysed"]
    assert bench.column("calls", "duration") == [pytest.approx(CALL.duration + 0.5, abs=0.01)]


@pytest.mark.parametrize(
    ("name", "value", "outcome"),
    [
        ("voice.rate_norm", 160, "analysed"),
        ("asr.beam_size", 1, "analysed"),
        ("agents.min_calls", 2, "unchanged"),
        ("agents.min_calls", 3, "unchanged"),
    ],
)
def test_settings_that_matter_analyse_again(bench: Bench, name: str, value: int, outcome: str):
    rows = [bench.call("a")]
    bench.run(rows)
    assert bench.outcomes(rows, load_settings(overrides={name: value})) == [outcome]


def test_other_weights_analyse_again(bench: Bench):
    rows = [bench.call("a")]
    bench.run(rows)
    other = load_settings(overrides={"diarization.source": "owner/other"})
    assert bench.outcomes(rows, other) == ["analysed"]


def test_a_changed_rubric_judges_again_without_decoding(bench: Bench):
    rows = [bench.call("a"), bench.call("b", 0.5)]
    bench.run(rows)
    verdicts = bench.store.frame("verdicts")
    turns = bench.store.frame("turns")
    calls = bench.decoder.calls
    changed = with_rubric(rubric_file(bench.folder, "other"))
    assert bench.outcomes(rows, changed) == ["judged again", "judged again"]
    assert (bench.loaded, bench.decoder.calls) == (1, calls)
    assert set(verdicts["item_id"]) - set(bench.column("verdicts", "item_id")) == {
        "opening_greeting"
    }
    assert turns.equals(bench.store.frame("turns"))
    assert bench.outcomes(rows, changed) == ["unchanged", "unchanged"]
    assert bench.outcomes(rows) == ["judged again", "judged again"]
    assert verdicts.equals(bench.store.frame("verdicts"))


def test_judging_again_gives_what_analysing_gives(bench: Bench):
    rows = [bench.call("a")]
    changed = with_rubric(rubric_file(bench.folder, "other"))
    bench.run(rows)
    bench.run(rows, changed)
    judged = bench.store.load("a")
    bench.run(rows, changed, force=True)
    assert replace(bench.store.load("a"), stage_seconds={}) == replace(judged, stage_seconds={})


def test_metadata_that_does_not_decide_who_speaks_is_taken_over_without_decoding(bench: Bench):
    bench.run([bench.call("a", agent_name="小林")])
    calls = bench.decoder.calls
    assert bench.outcomes([bench.call("a", agent_name="小郭", team="售后组")]) == ["judged again"]
    assert bench.decoder.calls == calls
    assert bench.column("calls", "agent_name") == ["小郭"]


def test_metadata_that_changes_who_is_the_agent_analyses_again(bench: Bench):
    bench.run([bench.call("a")])
    calls = bench.decoder.calls
    assert bench.outcomes([bench.call("a", agent_channel=1)]) == ["analysed"]
    assert bench.decoder.calls > calls


def test_metadata_that_confirms_who_is_the_agent_judges_again(bench: Bench):
    bench.run([bench.call("a", agent_channel=None)])
    assert bench.column("calls", "role_confidence")[0] < 1
    calls = bench.decoder.calls
    late = bench.call("a", agent_channel=0, direction="inbound")
    assert bench.outcomes([late]) == ["judged again"]
    assert bench.decoder.calls == calls
    judged = bench.store.load("a")
    assert bench.outcomes([late], force=True) == ["analysed"]
    assert replace(bench.store.load("a"), stage_seconds={}) == replace(judged, stage_seconds={})


def test_what_was_done_before_a_stop_is_kept(bench: Bench):
    rows = [bench.call("a"), bench.call("b", 0.5), bench.call("c", 0.7)]
    steps = fakes.batch(rows, SETTINGS, bench.store, bench.load)
    assert next(steps).outcome == "analysed"
    steps.close()
    assert bench.column("calls", "call_id") == ["a"]
    assert bench.outcomes(rows) == ["unchanged", "analysed", "analysed"]


def test_a_failed_recording_is_tried_again_and_its_row_goes(bench: Bench):
    bench.run([bench.bad("a")])
    assert bench.outcomes([bench.call("a")]) == ["analysed"]
    assert bench.column("failures", "call_id") == []
    assert bench.column("calls", "status") == ["ok"]


def test_warnings_of_a_call_come_with_its_step(bench: Bench):
    both = CALL.mono()
    save(bench.folder / "a.wav", np.vstack([both, both]))
    row = recording(bench.folder / "a.wav")
    for outcome in ("analysed", "unchanged"):
        (step,) = bench.run([row])
        assert step.outcome == outcome
        assert any("treated as mono" in w for w in step.warnings)


# What would fail for every recording ends the run before anything is written.


def test_a_bad_rubric_ends_the_run_before_the_first_call(bench: Bench):
    (bench.folder / "bad.yaml").write_text("items: 5\n")
    for name, error in (
        (str(bench.folder / "bad.yaml"), RubricError),
        ("nowhere.yaml", SettingsError),
    ):
        for key in ("compliance.rubric", "compliance.rubric_outbound"):
            with pytest.raises(error):
                bench.run([bench.call("a")], load_settings(overrides={key: name}))
    assert bench.column("calls", "call_id") == []
    assert bench.loaded == 0


def test_missing_models_end_the_run(bench: Bench):
    def nothing(settings: Settings) -> Models:
        raise WeightsError("model.bin is missing.", "Run: callcoach models fetch")

    with pytest.raises(WeightsError):
        list(fakes.batch([bench.call("a")], SETTINGS, bench.store, nothing))
    assert bench.column("failures", "call_id") == []


def test_the_rubric_of_a_call_goes_by_queue_then_team_then_direction(tmp_path: Path):
    files = {n: rubric_file(tmp_path, n) for n in ("queue", "team", "outbound", "all")}
    chosen = load_settings(
        overrides={
            "compliance.rubric": files["all"],
            "compliance.rubric_outbound": files["outbound"],
            "compliance.rubric_by_team": {"一组": files["team"]},
            "compliance.rubric_by_queue": {"vip": files["queue"]},
        }
    )
    rubrics = Rubrics(chosen)
    call = Recording("a.wav", "a", direction="outbound", team="一组", queue="vip")
    for change, version in (({}, "queue"), ({"queue": "x"}, "team"), ({"team": "二组"}, "outbound"),
                            ({"direction": "inbound"}, "all")):  # fmt: skip
        call = replace(call, **change)
        assert rubrics.of(call).version == version
    assert rubrics.of(call) is rubrics.of(call)


def test_nothing_to_do_loads_nothing(bench: Bench):
    assert bench.run([]) == []
    assert bench.loaded == 0


class ToldEngine:
    """Gives every task one result, with the role confidence of its name; sure once it is told more."""

    def __init__(self, result: CallResult, confidence: Mapping[str, float]) -> None:
        self.result, self.confidence = result, confidence
        self.tasks: list[Task] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        for task in tasks:
            self.tasks.append(task)
            sure = 0.97 if task.usual else self.confidence[task.recording.call_id]
            made = replace(
                self.result, recording=task.recording, role_confidence=sure, sha256=f"{sure}"
            )
            yield Done(task, made)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("sure_calls", [1, 2])
def test_unsure_calls_are_looked_at_again_with_what_is_usual_in_their_source(
    bench: Bench, sure_calls: int
):
    bench.run([bench.call("first")])  # of an earlier run, and sure
    made = bench.store.load("first")
    names = ["unsure", "named", *(f"sure{i}" for i in range(sure_calls))]
    confidence = {"unsure": 0.7, "named": 0.7} | dict.fromkeys(names[2:], 0.99)
    engine = ToldEngine(made, confidence)
    calls = [
        bench.call(n, 0.1 * i, agent_channel=0 if n == "named" else None)
        for i, n in enumerate(names, start=1)
    ]
    steps = list(analyse(calls, SETTINGS, bench.store, engine, Rubrics(SETTINGS)))
    assert sorted(s.recording.call_id for s in steps) == sorted(names)
    again = [(t.recording.call_id, t.usual) for t in engine.tasks[len(names) :]]
    assert again == ([("unsure", Usual(0, 3, 3))] if sure_calls == 2 else [])
    kept = bench.store.load("unsure").role_confidence
    assert kept == (0.97 if sure_calls == 2 else 0.7)
    later = ToldEngine(made, {"later": 0.7, "elsewhere": 0.7})
    calls = [
        bench.call(n, 1.0 + 0.1 * i, agent_channel=None, queue=queue)
        for i, (n, queue) in enumerate({"later": None, "elsewhere": "other"}.items())
    ]
    assert len(list(analyse(calls, SETTINGS, bench.store, later, Rubrics(SETTINGS)))) == 2
    again = [(t.recording.call_id, t.usual) for t in later.tasks[2:]]
    assert again == ([("later", Usual(0, 3, 3))] if sure_calls == 2 else [])
