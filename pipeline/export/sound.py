"""Curves of calls that were analysed before curves were kept, made from their recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.audio import decode_recording
from pipeline.errors import RecordingError
from pipeline.prosody import measure_voices
from pipeline.schema import AGENT, CURVES_VERSION, CUSTOMER, SPEAKERS, CallResult, Speaker, Waveform
from pipeline.signal.curves import curves
from pipeline.store import Store


def curves_of(result: CallResult, path: str, other: str | None = None) -> bytes:
    """Decode a recording, of one file or one a party, and make the curves of its call.

    Raises
    ------
    RecordingError
        If it cannot be decoded.
    """
    wave = decode_recording(replace(result.recording, path=path, path_2=other))
    audio = {role: wave.samples[c] for role, c in _channels(result, wave).items()}
    voices = measure_voices(result.turns, audio, wave.sample_rate)
    spans = {r: [s for t in result.turns if t.speaker == r for s in t.spans] for r in audio}
    return curves(audio, wave.sample_rate, voices.tracks, spans)


def fill_sound(store: Store) -> Iterator[tuple[str, str | None]]:
    """Make and keep the curves of all calls that have none; yields each call and what went wrong."""
    for result in store.results():
        call_id = result.recording.call_id
        if store.sound(call_id, result.sha256, CURVES_VERSION) is not None:
            continue
        try:
            made = curves_of(result, result.recording.path, result.recording.path_2)
        except RecordingError as error:
            yield call_id, str(error)
            continue
        store.save_sound(call_id, result.sha256, CURVES_VERSION, made)
        yield call_id, None


def _channels(result: CallResult, wave: Waveform) -> dict[Speaker, int]:
    """The channel of each party; for older results by where each one's turns are loud."""
    last = wave.channels - 1
    if result.parties:
        return {p.role: min(p.channel, last) for p in result.parties}
    first = result.quality[0].channel if result.quality else 0
    if result.speaker_source == "diarization" or wave.channels == 1:
        return dict.fromkeys(SPEAKERS, min(first, last))
    agent = result.recording.agent_channel
    if agent is None:
        power = np.zeros((2, wave.channels))
        for turn in result.turns:
            for start, end in turn.spans:
                part = wave.samples[
                    :, round(start * wave.sample_rate) : round(end * wave.sample_rate)
                ]
                power[SPEAKERS.index(turn.speaker)] += np.square(part).sum(axis=1)
        agent = int(np.argmax(power[0] - power[1]))
    return {AGENT: min(agent, last), CUSTOMER: 0 if agent else min(1, last)}
