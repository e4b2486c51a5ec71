"""The curves a page draws: what they show, how small they are, and that they come back as they went."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.export.sound import curves_of, fill_sound
from pipeline.schema import AGENT, CURVES_VERSION, CUSTOMER, Party, Turn, to_json
from pipeline.signal.curves import LEVEL_HZ, NONE, PEAKS_HZ, PITCH_HZ, curves, lane, unpack
from pipeline.signal.pitch import track_f0
from pipeline.store import Store
from tests import fakes
from tests.desk_client import client, wav
from tests.test_desk_calls import call

RATE = 8000


def tone(seconds: float, hz: float = 220.0, level: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(level * np.sin(2 * np.pi * hz * t), np.float32)


def test_a_tone_has_its_peak_its_level_and_its_pitch():
    quiet = np.zeros(2 * RATE, np.float32)
    sound = np.concatenate((quiet, tone(1, 200), tone(1, 400), quiet))
    track = track_f0(sound, RATE, floor_hz=75, ceiling_hz=600, regions=[(2, 4)])
    one = lane(AGENT, sound, RATE, track)
    assert (one.peaks.size, one.level.size, one.pitch.size) == (
        6 * PEAKS_HZ, 6 * LEVEL_HZ, 6 * PITCH_HZ,
    )  # fmt: skip
    loud = one.peaks[2 * PEAKS_HZ : 4 * PEAKS_HZ]
    assert loud.min() >= 250
    assert one.peaks[: 2 * PEAKS_HZ].max() == 0
    assert set(one.level[2 * LEVEL_HZ : 4 * LEVEL_HZ].tolist()) == {-9}  # 0.5 of a sine
    assert set(one.level[: 2 * LEVEL_HZ].tolist()) == {NONE}
    steps = one.pitch[2 * PITCH_HZ : 4 * PITCH_HZ].astype(float) / 8
    low, high = steps[5:15], steps[25:35]
    assert np.allclose(high - low, 12, atol=0.3)
    assert set(one.pitch[: 2 * PITCH_HZ - 2].tolist()) == {NONE}


def test_parties_of_one_channel_show_their_own_speech():
    both = tone(4)
    spans = {AGENT: [(0.0, 1.0)], CUSTOMER: [(2.0, 3.0)]}
    wave = np.stack([both])
    packed = curves({AGENT: wave[0], CUSTOMER: wave[0]}, RATE, {}, spans)
    agent, customer = unpack(packed)
    assert (agent.role, customer.role) == (AGENT, CUSTOMER)
    assert np.flatnonzero(agent.peaks).tolist() == list(range(PEAKS_HZ))
    assert np.flatnonzero(customer.peaks).tolist() == list(range(2 * PEAKS_HZ, 3 * PEAKS_HZ))
    two = np.stack([both, both])
    apart = unpack(curves({AGENT: two[0], CUSTOMER: two[1]}, RATE, {}, spans))
    assert all(one.peaks.all() for one in apart)


@given(n=st.integers(0, 3 * RATE), level=st.floats(0, 10))
def test_any_sound_has_curves_of_its_length(n: int, level: float):
    sound = np.asarray(level * np.random.default_rng(n).standard_normal(n), np.float32)
    (one,) = unpack(curves({AGENT: sound}, RATE, {}, {}))
    for values, hz in ((one.peaks, PEAKS_HZ), (one.level, LEVEL_HZ), (one.pitch, PITCH_HZ)):
        assert abs(values.size - n * hz / RATE) <= 1
    assert one.median_hz is None


def test_an_analysed_call_brings_its_curves(tmp_path: Path):
    script = fakes.Script.of((AGENT, 1.0, "您好请问有什么可以帮您"), (CUSTOMER, 5.0, "我要退货"))
    from pipeline.settings import load_settings

    result = fakes.analyser(tmp_path, script, load_settings())(script.stereo())
    agent, customer = unpack(result.curves)
    assert (agent.role, customer.role) == (AGENT, CUSTOMER)
    assert agent.median_hz == pytest.approx(220, rel=0.1)
    assert customer.median_hz == pytest.approx(120, rel=0.1)
    assert agent.peaks[: PEAKS_HZ // 2].max() < 10
    assert "curves" not in to_json(result)
    made = curves_of(result, result.recording.path)
    for kept, again in zip(unpack(made), (agent, customer), strict=True):
        assert np.array_equal(kept.peaks, again.peaks)
        assert np.array_equal(kept.pitch, again.pitch)
    with Store.open(tmp_path / "callcoach.db") as store:
        store.save(result)
        assert store.sound("call", result.sha256, CURVES_VERSION) == result.curves
        store.save(store.load("call"))  # as when it is judged again
        assert store.sound("call", result.sha256, CURVES_VERSION) == result.curves
        assert store.sound("call", "another", CURVES_VERSION) is None


def test_older_calls_get_their_curves_on_demand_or_all_at_once(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        for name in ("a", "b"):
            store.save(call(name, wav(tmp_path / f"{name}.wav")))
        store.save(call("gone"))
        browser = client(store)
        answer = browser.get("/calls/a/sound")
        assert answer.status_code == 200
        assert int.from_bytes(answer.content[:4], "little") > 100
        assert answer.headers["etag"]
        again = browser.get("/calls/a/sound", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
        assert browser.get("/calls/gone/sound").status_code == 404
        done = dict(fill_sound(store))
        assert set(done) == {"b", "gone"}
        assert done["b"] is None
        assert "No such file" in done["gone"]
        assert set(dict(fill_sound(store))) == {"gone"}


def test_kept_curves_are_drawn_also_when_the_recording_is_gone(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        packed = curves({AGENT: tone(2), CUSTOMER: tone(2)}, RATE, {}, {})
        store.save(dataclasses.replace(call("kept"), curves=packed))
        store.save(call("gone"))
        browser = client(store)
        assert '"sound": "/calls/kept/sound"' in browser.get("/calls/kept").text
        assert '"sound": null' in browser.get("/calls/gone").text
        assert browser.get("/calls/kept/sound").status_code == 200


def test_the_agent_of_an_older_stereo_call_is_where_the_turns_are_loud(tmp_path: Path):
    import soundfile

    quiet = np.zeros(2 * RATE, np.float32)
    first, second = np.concatenate((tone(2), quiet)), np.concatenate((quiet, tone(2)))
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack((first, second)).T, RATE)
    result = dataclasses.replace(
        call("a", path),
        turns=tuple(
            Turn(i, who, start, start + 2, ((start, start + 2),), "", (), 0.9)
            for i, (who, start) in enumerate(((CUSTOMER, 0.0), (AGENT, 2.0)))
        ),
        parties=(),
        quality=(),
    )
    agent, customer = unpack(curves_of(result, str(path)))
    assert agent.peaks[: 2 * PEAKS_HZ].max() == 0
    assert customer.peaks[2 * PEAKS_HZ + 1 :].max() == 0
    told = dataclasses.replace(result, parties=(Party(AGENT, 0), Party(CUSTOMER, 1)))
    agent, _ = unpack(curves_of(told, str(path)))
    assert agent.peaks[: 2 * PEAKS_HZ].min() > 200
