"""Who is there: pauses of the recorder, parties without a channel, machines, legs, halves of a call."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy.signal import resample_poly

from pipeline.agents.frames import agent_table
from pipeline.audio import decode
from pipeline.batch.identity import stamp_of
from pipeline.errors import UsageError
from pipeline.recordings import Found, find_recordings
from pipeline.rubric import load_rubric
from pipeline.run import run_call
from pipeline.schema import AGENT, CUSTOMER, Audio, Span, Waveform
from pipeline.settings import config_path, load_settings
from pipeline.signal.pauses import recorder_pauses
from pipeline.signal.prints import Marks, is_same_sound, marks_of
from pipeline.speech.machines import find_machines
from pipeline.store import Store
from tests import audio_files, fakes
from tests.fakes import RATE, Script

SETTINGS = load_settings()
CALL = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城很高兴为您服务"),
    (CUSTOMER, 6.0, "我想问一下我的订单到哪里了"),
    (AGENT, 10.0, "好的请您稍等一下我帮您查询一下订单"),
    (CUSTOMER, 14.6, "好"),
    (AGENT, 40.0, "您的订单已经在路上明天就会到了请您留意"),
    (CUSTOMER, 46.0, "好的谢谢"),
    (AGENT, 48.0, "不客气再见"),
    tail=2.0,
)


@pytest.fixture
def analyse(tmp_path: Path):
    return fakes.analyser(tmp_path, CALL, SETTINGS, agent_channel=0)


def kinds(result: object, *wanted: str) -> list[tuple[str, float, float]]:
    return [(e.kind, e.start, e.end) for e in result.events if e.kind in wanted]


# --- pauses of the recorder ---------------------------------------------------------------------


def stopped(samples: Audio, *spans: Span, at: float = 0.0) -> Audio:
    samples = samples.copy()
    for start, end in spans:
        samples[:, round(start * RATE) : round(end * RATE)] = at
    return samples


def pauses(samples: Audio) -> list[tuple[float, float]]:
    wave = Waveform(samples, RATE, RATE, "pcm_s16le", "0" * 64)
    return [(round(a, 2), round(b, 2)) for a, b in recorder_pauses(wave)]


@pytest.mark.parametrize("idle", [0.0, 8 / 32768])
def test_one_and_the_same_sample_on_all_channels_is_a_pause_of_the_recorder(idle: float):
    assert pauses(stopped(CALL.stereo(), (17.0, 38.5), at=idle)) == [(17.0, 38.5)]


def test_one_still_channel_is_no_pause():
    samples = CALL.stereo()
    samples[0, 17 * RATE : 38 * RATE] = 0
    assert pauses(samples) == []


def test_where_every_pause_of_the_talk_is_still_the_silence_is_digital():
    samples = CALL.stereo()
    quiet = np.abs(samples).max(axis=0) < 0.001
    samples[:, quiet] = 0
    assert pauses(samples) == []


def test_a_pause_of_the_recorder_is_no_hold_and_no_dead_air(analyse):
    plain = analyse(CALL.stereo())
    paused = analyse(stopped(CALL.stereo(), (17.0, 38.5)))
    waits = ("hold", "dead_air", "silence", "recorder_pause")
    assert [k for k, *_ in kinds(plain, *waits)] == ["hold"]
    assert kinds(paused, *waits) == [("recorder_pause", 17.0, 38.5)]
    assert paused.measures["holds"] == 0
    assert paused.measures["silence_ratio"] < plain.measures["silence_ratio"]
    assert all(v.verdict != "fail" for v in paused.verdicts if v.item_id.startswith("hold_"))


def test_the_rest_of_a_wait_beside_a_pause_is_measured_by_itself(analyse):
    (hold, pause) = kinds(analyse(stopped(CALL.stereo(), (28.0, 38.5))), "hold", "recorder_pause")
    assert hold[0] == "hold"
    assert hold[1:] == pytest.approx((14.85, 28.0), abs=0.7)
    assert pause == ("recorder_pause", 28.0, 38.5)


# --- parties without a channel ------------------------------------------------------------------


def test_a_call_in_which_only_the_customer_was_recorded_is_none_of_the_agents():
    calls = pd.DataFrame(
        {
            "agent_id": ["a", "a", "b", "a"],
            "status": ["ok"] * 4,
            "agent_talk_s": [10.0, None, None, None],
            "customer_talk_s": [8.0, 9.0, 9.0, None],  # the last: who is who is in doubt
        }
    )
    table = agent_table(calls)
    assert table["agent_id"].tolist() == ["a"]
    assert table["calls"].tolist() == [2]


def test_of_a_lone_agent_nothing_is_scored_that_rests_on_the_customer(analyse):
    samples = CALL.stereo()
    samples[1] = 0
    result = analyse(samples)
    assert {t.speaker for t in result.turns} == {AGENT}
    (silent,) = [v for v in result.verdicts if v.item_id == "silent_caller_prompt"]
    assert (silent.verdict, silent.note) == ("cannot_tell", "the customer was not recorded")


def test_of_a_lone_customer_nothing_of_the_agent_is_scored(analyse):
    samples = CALL.stereo()
    samples[0] = 0
    result = analyse(samples)
    assert {t.speaker for t in result.turns} == {CUSTOMER}
    assert not [v for v in result.verdicts if v.verdict in ("pass", "fail")]
    assert all(v is None for k, v in result.measures.items() if k.startswith("agent_"))


# --- machine speech -----------------------------------------------------------------------------

PROMPT = "欢迎致电晴山商城普通话服务请按一英语服务请按二"
ADVERT = "晴山商城新品上市关注公众号即可领取优惠券一张"
WITH_PROMPT = Script.of(
    (AGENT, 0.5, PROMPT),
    *((line.speaker, line.start + 8, line.text) for line in CALL.lines),
    tail=2.0,
)


def people(result: object) -> list[tuple[str, str]]:
    return [(t.speaker, t.text) for t in result.turns]


def test_a_prompt_before_the_agent_picks_up_is_nobodys(analyse):
    plain, result = analyse(CALL.stereo()), analyse(WITH_PROMPT.stereo(), WITH_PROMPT)
    assert people(result) == people(plain)
    ((_, start, end),) = kinds(result, "machine_speech")
    assert (start, end) == pytest.approx((0.5, WITH_PROMPT.lines[0].end), abs=0.05)
    (event,) = [e for e in result.events if e.kind == "machine_speech"]
    assert (event.by, event.detail["words"], event.detail["heard_with"]) == (None, PROMPT, AGENT)
    for name in ("talk_s", "turns", "units", "speaking_rate", "response_latency_p50"):
        was, now = plain.measures[f"agent_{name}"], result.measures[f"agent_{name}"]
        assert now == pytest.approx(was, rel=0.01), name
    assert {(v.item_id, v.verdict) for v in result.verdicts} == {
        (v.item_id, v.verdict) for v in plain.verdicts
    }


def test_a_prompt_on_one_channel_is_nobodys(analyse):
    result = analyse(WITH_PROMPT.mono(), WITH_PROMPT)
    assert people(result) == people(analyse(CALL.mono()))
    assert len(kinds(result, "machine_speech")) == 1


def held(samples: Audio, *, advert: bool) -> Audio:
    """The call with music in its wait, and an advertisement in the middle of the music."""
    music = fakes.chords(21.0)
    if advert:
        spoken = fakes.buzz(ADVERT, 260.0)
        music[8 * RATE : 8 * RATE + spoken.size] = spoken
    samples = samples.copy()
    samples[0, 17 * RATE : 17 * RATE + music.size] += music
    return samples


WITH_ADVERT = Script((*CALL.lines, fakes.Line(AGENT, 25.0, ADVERT)), CALL.duration)


@pytest.mark.parametrize("sound", [CALL.stereo(), CALL.mono()], ids=["stereo", "mono"])
def test_a_hold_runs_on_through_an_advertisement_in_its_music(analyse, sound: Audio):
    plain = analyse(held(sound, advert=False))
    result = analyse(held(sound, advert=True), WITH_ADVERT)
    assert people(result) == people(plain)
    assert len(kinds(result, "machine_speech")) == 1
    ((_, start, end),), ((_, first, last),) = kinds(plain, "hold"), kinds(result, "hold")
    assert (first, last) == pytest.approx((start, end), abs=0.1)
    assert end - start == pytest.approx(21.0, abs=1.0)


def test_who_says_what_prompts_say_and_is_answered_is_a_person(analyse):
    script = Script.of(
        *((line.speaker, line.start, line.text) for line in CALL.lines[:2]),
        (AGENT, 10.0, "您听到提示以后请按一就可以了好不好"),
        (CUSTOMER, 14.5, "好的我按了啊"),
        (AGENT, 17.0, "不客气再见"),
    )
    result = analyse(script.stereo(), script)
    assert [t.speaker for t in result.turns] == [AGENT, CUSTOMER, AGENT, CUSTOMER, AGENT]
    assert not kinds(result, "machine_speech")


VOICES = {"agent": np.array([[1.0, 0, 0]]), "other": np.array([[0, 1.0, 0]])}


def found(spans: dict[str, list[Span]], other: Span | None, **told: object) -> list[Span]:
    """Groups of machines by their signs; in ``other`` somebody else's voice is heard."""
    sound = np.zeros(60 * 16_000, np.float32)
    if other is not None:
        sound[round(other[0] * 16_000) : round(other[1] * 16_000)] = 1.0

    def embed(audio: Audio, pieces: object) -> np.ndarray:
        return VOICES["other" if audio.mean() > 0.5 else "agent"]

    machines, *_ = find_machines(
        spans,
        (),
        {"0": ()},
        {"0": sound, "1": sound},
        lambda: embed,
        **told,  # type: ignore[arg-type]
    )
    return [g.span for g in machines]


TALK = {"0": [(0.5, 4.0), (8.0, 12.0), (16.0, 19.0)], "1": [(4.5, 7.5), (12.5, 15.5)]}


def test_a_survey_whose_words_are_not_understood_is_told_by_its_voice():
    talk = TALK | {"0": [*TALK["0"], (20.5, 27.0)]}
    assert found(talk, (20.0, 30.0)) == [(20.5, 27.0)]
    assert found(talk, None) == []  # the agent's own voice


@pytest.mark.parametrize(("own", "is_machine"), [(False, True), (True, False)])
def test_what_is_heard_in_other_calls_is_a_machine_unless_a_person_of_the_call_says_it(
    own: bool, is_machine: bool
):
    talk = TALK | {"0": [(0.2, 2.4), (3.5, 5.9), *TALK["0"][1:]], "1": [(6.0, 7.5), (12.5, 15.5)]}
    other = None if own else (0.0, 3.0)
    assert bool(found(talk, other, repeated={"0": [(0.2, 2.4)]})) is is_machine


# --- halves of a call ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a call in two files, of which the second stops early."""
    folder = tmp_path_factory.mktemp("halves")
    samples = CALL.stereo()
    fakes.save(folder / "0001-in.wav", samples[:1])
    fakes.save(folder / "0001-out.wav", samples[1:, : -3 * RATE])
    return folder


def listed(folder: Path, **told: object) -> Found:
    return find_recordings([str(folder)], suffixes=[".wav"], **told)  # type: ignore[arg-type]


def test_two_legs_in_two_files_are_one_call_of_two_channels(halves: Path):
    (known,) = listed(halves, pair_legs="-in/-out").recordings
    assert [Path(p or "").name for p in (known.path, known.path_2)] == [
        "0001-in.wav", "0001-out.wav",
    ]  # fmt: skip
    rubric = load_rubric(config_path("rubrics/hotline.yaml"))
    result = run_call(known, SETTINGS, fakes.models(CALL), rubric)
    assert (result.channels, result.speaker_source) == (2, "channel")
    assert people(result) == [(line.speaker, line.text) for line in CALL.lines]
    assert result.duration == pytest.approx(CALL.duration, abs=0.01)
    assert any("3.0 s shorter than the other" in w for w in result.warnings)


@pytest.mark.parametrize("name", ["0001-in.wav", "0001-out.wav", "0001-out", "0001.wav", "0001"])
def test_a_row_may_name_either_leg_or_the_call(halves: Path, name: str, tmp_path: Path):
    table = tmp_path / "meta.csv"
    table.write_text(f"recording,agent_id\n{name},007\n", "utf-8")
    (known,) = listed(halves, pair_legs="-in/-out", metadata=table).recordings
    assert known.agent_id == "007"


def test_halves_are_noted_once_where_nobody_joins_them(halves: Path):
    found = listed(halves)
    assert [r.call_id for r in found.recordings] == ["0001-in", "0001-out"]
    (note,) = found.warnings
    assert "1 pairs of recordings look like the two legs of one call" in note
    assert "--pair-legs -in/-out joins them" in note


def test_a_half_without_the_other_is_a_call_of_its_own_and_said(halves: Path, tmp_path: Path):
    (tmp_path / "0002-in.wav").write_bytes((halves / "0001-in.wav").read_bytes())
    found = listed(tmp_path, pair_legs="-in/-out")
    assert [(r.call_id, r.path_2) for r in found.recordings] == [("0002-in", None)]
    assert found.warnings == ["Legs without the other one: 0002-in.wav."]


@pytest.mark.parametrize("pattern", ["-in", "/", "-in/", "-in/-in", "a/b/c"])
def test_a_pattern_of_legs_is_two_marks(halves: Path, pattern: str):
    with pytest.raises(UsageError, match="two marks"):
        listed(halves, pair_legs=pattern)


def test_a_changed_leg_is_noticed(halves: Path, tmp_path: Path):
    for path in halves.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    first, second = (str(tmp_path / f"0001-{side}.wav") for side in ("in", "out"))
    before = stamp_of(first, second)
    (tmp_path / "0001-out.wav").write_bytes((halves / "0001-in.wav").read_bytes())
    assert stamp_of(first, second) != before
    assert stamp_of(first, str(tmp_path / "gone.wav")) == ""


def test_two_mono_tracks_of_one_container_are_two_channels(tmp_path: Path):
    sound = audio_files.known(8000, 2)
    path = tmp_path / "call.mka"
    with av.open(str(path), "w", format="matroska") as container:
        streams = [container.add_stream("flac", rate=8000, layout="mono") for _ in sound]
        for stream, samples in zip(streams, sound, strict=True):
            data = np.asarray(samples[None] * 32767, np.int16)
            frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)
    wave = decode(path)
    assert (wave.channels, wave.sample_rate) == (2, 8000)
    np.testing.assert_allclose(wave.samples, sound[:, : wave.samples.shape[1]], atol=1e-3)
    assert any("two mono audio streams" in w for w in wave.warnings)


# --- what is heard in several calls -------------------------------------------------------------

BANK = Path(__file__).parents[1] / "data" / "utterances"


def clip(name: str) -> Audio:
    samples, rate = soundfile.read(BANK / f"{name}.flac", dtype="float32")
    return np.asarray(resample_poly(samples, RATE, rate), np.float32)


def call_of(path: Path, prompt: str, agent: str, customer: str, *, at: float, gain: float) -> Path:
    """A prompt, what an agent says after it, the customer's answer, and the agent again."""
    said, answer = clip(agent), clip(customer)
    opening = clip(prompt) * gain
    second = at + opening.size / RATE + 0.8
    third = second + said.size / RATE + 0.5
    fourth = third + answer.size / RATE + 0.5
    both = np.stack([fakes.noise(fourth + said.size / RATE + 1.0, seed) for seed in (3, 4)])
    fakes.place(both[0], opening, at)
    fakes.place(both[0], said, second)
    fakes.place(both[1], answer, third)
    fakes.place(both[0], said[::-1], fourth)  # other words of the same length
    soundfile.write(path, both.T, RATE, subtype="ULAW" if gain < 1 else "PCM_16")
    return path


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two calls that begin with one prompt, at other times, levels and codecs; one with none."""
    folder = tmp_path_factory.mktemp("prompted")
    return [
        call_of(folder / "a.wav", "return_a1", "wrong_a4", "return_c1", at=0.5, gain=1.0),
        call_of(folder / "b.wav", "return_a1", "courier_a3", "courier_c1", at=2.1, gain=0.4),
        call_of(folder / "c.wav", "courier_a5", "wrong_a2", "wrong_c1", at=0.5, gain=1.0),
    ]


def machines_of(store: Store, *paths: Path) -> dict[str, list[tuple[float, float]]]:
    load = lambda settings: fakes.models(CALL)  # noqa: E731
    steps = fakes.batch([fakes.recording(p, agent_channel=0) for p in paths], SETTINGS, store, load)
    assert {s.outcome for s in steps} <= {"analysed", "unchanged"}
    return {
        r.recording.call_id: [
            (round(start, 1), round(end, 1)) for _, start, end in kinds(r, "machine_speech")
        ]
        for r in store.results()
    }


def test_what_two_calls_hold_alike_is_a_machine_whichever_came_first(
    prompted: list[Path], tmp_path: Path
):
    results = []
    for name, rounds in (
        ("one", [prompted]),
        ("forward", [prompted[:1], prompted[1:]]),
        ("backward", [prompted[1:], prompted[:1]]),
    ):
        with Store.open(tmp_path / f"{name}.db") as store:
            for number, paths in enumerate(rounds):
                told = machines_of(store, *paths)
                if number + 1 < len(rounds):
                    assert not any(told.values())  # nobody else holds it yet
            results.append(told)
            assert len(told["a"]) == len(told["b"]) >= 1
            assert told["c"] == []
            first = told["a"][0]
            assert first[0] == pytest.approx(0.5, abs=0.1)
            people = [t for t in store.load("a").turns if t.speaker == AGENT]
            assert all(t.start > told["a"][-1][1] for t in people)
    assert results[0] == results[1] == results[2]


def test_a_fingerprint_stands_level_and_codec_and_tells_other_speech():
    one, other = clip("return_a1"), clip("courier_a5")
    quiet = np.concatenate([np.zeros(57, np.float32), 0.2 * one])
    told = io.BytesIO()
    soundfile.write(told, quiet, RATE, format="WAV", subtype="GSM610")
    told.seek(0)
    heard, _ = soundfile.read(told, dtype="float32")
    marks = marks_of(one, RATE)
    assert is_same_sound(marks, marks_of(heard, RATE))
    assert not is_same_sound(marks, marks_of(other, RATE))
    assert Marks.from_bytes(marks.to_bytes()).pairs.tolist() == marks.pairs.tolist()
