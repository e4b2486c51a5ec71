"""The catalogue of measures: what each one is, how it is formed, and how good it is meant to be.

Documentation, ``callcoach explain`` and the columns of the calls table are made from it.

Conventions
-----------
Formulas are short and in symbols: N spoken units, T seconds, E the other's talk time, L levels in
dBFS, F F0 in Hz, ``med`` and ``Pq`` the median and the q-th percentile, sums over the turns named
in the definition. ``accuracy`` names the figure of the accuracy benchmark that a measure rests on.
Sources S0-S4 are the service-training documents that the rubric cites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.schema import SPEAKERS


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the catalogue. ``target`` is the error aimed at, stereo / mono."""

    id: str
    name: str
    name_zh: str
    unit: str
    per: Literal["speaker", "call"]
    definition: str
    formula: str
    source: str
    settings: tuple[str, ...] = ()
    target: str = ""
    accuracy: str = ""


_RATE = ("voice.min_turn_units",)
_PITCH = ("voice.min_voiced_s", "voice.min_snr_db")
_LEVEL = ("voice.min_snr_db",)
_TREE = ("interruptions.preset", "interruptions.min_overlap_s", "interruptions.min_floor_s")
_HOLD = ("silences.hold_min_s",)
_DEAD = ("silences.dead_air_min_s",)

CATALOGUE: tuple[Measure, ...] = (
    Measure(
        "talk_s", "talk time", "说话时长", "s", "speaker",
        "Sum of the speaker's turns and backchannels, own pauses inside a turn included.",
        "T = Σ (end - start)",
        "Heldner & Edlund 2010", ("turns.join_gap_s",), "1 %", "talk_time",
    ),
    Measure(
        "talk_ratio", "talk ratio", "说话占比", "ratio", "speaker",
        "Talk time of the speaker / talk time of both.",
        "T / (T + E)",
        "Gong; AWS Contact Lens", (), "1 / 3 points", "talk_ratio",
    ),
    Measure(
        "turns", "turns", "话轮数", "count", "speaker",
        "Turns that took the floor; backchannels are not among them.",
        "#turns",
        "Heldner & Edlund 2010", ("turns.join_gap_s",),
    ),
    Measure(
        "units", "spoken units", "字数", "units", "speaker",
        "Han characters as spoken: numbers expanded, Latin letters one each, Latin words by "
        "syllable, no punctuation.",
        "N = Σ units",
        "spoken-form counting", (), "3 % / 6 %", "units",
    ),
    Measure(
        "speaking_rate", "speaking rate", "语速", "units/min", "speaker",
        "60 x units / turn time, own pauses included, over turns with enough units.",
        "60 Σ N / Σ (end - start)",
        "S3; Huawei AICC", _RATE, "3 % / 6 %", "speaking_rate",
    ),
    Measure(
        "articulation_rate", "articulation rate", "净语速", "units/min", "speaker",
        "60 x units / turn time without own pauses of 0.25 s and more.",
        "60 Σ N / Σ (end - start - pauses)",
        "de Jong & Bosker 2013", (*_RATE, "voice.articulation_pause_s"), "3 % / 6 %",
        "articulation_rate",
    ),
    Measure(
        "speaking_rate_p10", "speaking rate, slow turns", "语速 P10", "units/min", "speaker",
        "10th percentile of the speaking rate over turns.",
        "P10(60 N / (end - start))",
        "S3", _RATE, "", "turn_speaking_rate",
    ),
    Measure(
        "speaking_rate_p50", "speaking rate, median turn", "语速中位数", "units/min", "speaker",
        "Median of the speaking rate over turns.",
        "med(60 N / (end - start))",
        "S3", _RATE, "", "turn_speaking_rate",
    ),
    Measure(
        "speaking_rate_p90", "speaking rate, fast turns", "语速 P90", "units/min", "speaker",
        "90th percentile of the speaking rate over turns.",
        "P90(60 N / (end - start))",
        "S3", _RATE, "", "turn_speaking_rate",
    ),
    Measure(
        "level_dbfs", "level", "音量", "dBFS", "speaker",
        "Speech-gated RMS of the speaker's exclusive speech (0.4 s blocks within 10 dB of the mean), "
        "the power of the noise taken out; a full-scale sine is -3 dBFS.",
        "10 log10(mean x² over loud blocks - noise)",
        "S0 S1; the gate of BS.1770", _LEVEL, "0.3 / 1 dB", "level",
    ),
    Measure(
        "active_level_dbfs", "active speech level", "有效语音电平", "dBFS", "speaker",
        "ITU-T P.56 active speech level (dBov) of the speaker's exclusive speech; counts 200 ms of "
        "hangover as speech, so it may read a little below the level.",
        "10 log10(Σ x² / active time), threshold 15.9 dB below",
        "ITU-T P.56, method B", _LEVEL, "0.3 / 1 dB", "active_level",
    ),
    Measure(
        "loudness_lufs", "loudness", "响度", "LUFS", "speaker",
        "Integrated loudness of the speaker's exclusive speech (K-weighted, gated); null under 0.4 s. "
        "Two voices of one RMS may differ: compare within a call.",
        "-0.691 + 10 log10(mean K-weighted power of the blocks that pass both gates)",
        "ITU-R BS.1770-4", _LEVEL, "0.3 / 1 LU", "loudness",
    ),
    Measure(
        "level_sd_db", "level spread", "音量波动", "dB", "speaker",
        "Standard deviation of the level over turns; null under three turns.",
        "sd(L of turns)",
        "S0", _LEVEL,
    ),
    Measure(
        "f0_median_hz", "median pitch", "基频中位数", "Hz", "speaker",
        "Median F0 of the voiced frames of exclusive speech.",
        "med(F)",
        "Boersma 1993", _PITCH, "", "f0_median",
    ),
    Measure(
        "pitch_sd_st", "pitch variation", "语调变化", "semitones", "speaker",
        "Standard deviation of F0 in semitones around the speaker's median.",
        "sd(12 log2(F / med F))",
        "S0 S3; Hincks & Edlund 2009", _PITCH, "0.3 / 0.5 st", "pitch_sd",
    ),
    Measure(
        "pitch_range_st", "pitch range", "音域", "semitones", "speaker",
        "P95 - P5 of F0 in semitones (P90 - P10 under 20 s of voiced speech).",
        "12 log2(P95 F / P5 F)",
        "S3", _PITCH, "0.5 / 1.0 st", "pitch_range",
    ),
    Measure(
        "interruptions", "interruptions", "抢话次数", "count", "speaker",
        "Times the speaker took or tried to take the floor while the other was talking; "
        "backchannels and end-of-turn overlaps are not among them.",
        "#interruptions",
        "S1 S3 S4; Schegloff 2000", _TREE, "F1 0.95 / 0.70", "interruption",
    ),
    Measure(
        "interruptions_successful", "successful interruptions", "抢话成功次数", "count", "speaker",
        "Interruptions after which the other gave up the floor.",
        "#interruptions with the other silent within 2 s",
        "S1 S3 S4; Bennett 1981", (*_TREE, "interruptions.yield_within_s"), "", "outcome",
    ),
    Measure(
        "interruption_rate", "interruption rate", "抢话频率", "per 10 min", "speaker",
        "Interruptions per ten minutes of the other party's talk; null where the other talked for "
        "less than 30 s.",
        "600 #interruptions / E",
        "S1 S3 S4; Huawei AICC", _TREE, "", "interruption",
    ),
    Measure(
        "interruption_s", "interruption time", "抢话时长", "s", "speaker",
        "Overlapped seconds of those interruptions.",
        "Σ overlap",
        "S1", _TREE,
    ),
    Measure(
        "backchannels", "backchannels", "附和次数", "count", "speaker",
        "Short listening signals (嗯, 是的) during the other's turn.",
        "#backchannels",
        "S1 S3", ("turns.backchannel_max_s",), "F1 0.85", "backchannel",
    ),
    Measure(
        "longest_turn_s", "longest turn", "最长话轮", "s", "speaker",
        "Longest turn, own pauses up to 2 s included.",
        "max(end - start)",
        "Gong", ("turns.join_gap_s",), "2 % / 8 %", "longest_turn",
    ),
    Measure(
        "response_latency_p50", "response latency, median", "应答延迟中位数", "s", "speaker",
        "Median gap between the other's end and the speaker's start; overlaps are negative.",
        "med(start - end of the other), -1 to 10 s",
        "S2 S3; Levinson & Torreira 2015", (), "50 / 150 ms", "response_latency",
    ),
    Measure(
        "response_latency_p90", "response latency, slow", "应答延迟 P90", "s", "speaker",
        "90th percentile of the same gap.",
        "P90(start - end of the other), -1 to 10 s",
        "S2 S3",
    ),
    Measure(
        "speaking_rate_vs_norm", "rate against the norm", "语速/标准", "ratio", "call",
        "Agent's speaking rate / the norm (150 units/min).",
        "speaking rate of the agent / norm",
        "S3", ("voice.rate_norm",), "3 % / 6 %", "speaking_rate",
    ),
    Measure(
        "rate_gap", "rate gap", "语速差", "units/min", "call",
        "Agent's minus customer's speaking rate.",
        "rate of the agent - rate of the customer",
        "S0", _RATE,
    ),
    Measure(
        "level_gap_db", "level gap", "音量差", "dB", "call",
        "Agent's minus customer's level.",
        "L of the agent - L of the customer",
        "S0 S1", _LEVEL, "0.5 / 1.5 dB", "level_gap",
    ),
    Measure(
        "holds", "holds", "等待次数", "count", "call",
        "Waits of 8 s and more in which the agent does not speak, in silence or music, until the "
        "agent returns.",
        "#holds",
        "S1 S3", _HOLD, "F1 1.0 / 0.95", "hold",
    ),
    Measure(
        "hold_s", "hold time", "等待时长", "s", "call",
        "Sum of all holds.",
        "Σ (end - start)",
        "S1 S3", _HOLD, "0.5 s", "hold_length",
    ),
    Measure(
        "longest_hold_s", "longest hold", "最长等待", "s", "call",
        "Longest hold.",
        "max(end - start)",
        "S1 S3", _HOLD, "0.5 s", "hold_length",
    ),
    Measure(
        "holds_unannounced", "unannounced holds", "未告知等待", "count", "call",
        "Holds with no wait phrase in the 6 s before.",
        "#holds not announced",
        "S0 S1", (*_HOLD, "silences.announce_within_s"),
    ),
    Measure(
        "dead_air", "dead air", "冷场次数", "count", "call",
        "Mutual silences of 5 s and more that are no hold.",
        "#dead air",
        "S0", _DEAD, "F1 0.98", "dead_air",
    ),
    Measure(
        "dead_air_s", "dead-air time", "冷场时长", "s", "call",
        "Sum of the dead air.",
        "Σ (end - start)",
        "S0", _DEAD, "", "dead_air_length",
    ),
    Measure(
        "rings", "rings", "振铃次数", "count", "call",
        "Bursts of 450 Hz ringback tone (1 s on, 4 s off) heard at the start.",
        "#bursts",
        "S0; GB/T 3380", (), "exact", "rings",
    ),
    Measure(
        "first_speech_s", "first speech", "首句时间", "s", "call",
        "Time at which anybody first speaks.",
        "min(start)",
        "voice activity", (), "50 ms", "first_speech",
    ),
    Measure(
        "overlap_s", "overlap time", "重叠时长", "s", "call",
        "Seconds in which both speak.",
        "|speech of the agent ∩ speech of the customer|",
        "Heldner & Edlund 2010", (), "5 % / 30 %", "overlap",
    ),
    Measure(
        "overlap_ratio", "overlap ratio", "重叠占比", "ratio", "call",
        "Overlap time / speech of both, pauses left out.",
        "overlap / (speech of the agent + speech of the customer)",
        "Heldner & Edlund 2010",
    ),
    Measure(
        "silence_ratio", "silence ratio", "静默占比", "ratio", "call",
        "Share of the recording in which nobody speaks (holds, music and ringing included).",
        "1 - |speech of the agent ∪ speech of the customer| / duration",
        "AWS Contact Lens",
    ),
)  # fmt: skip


def columns() -> tuple[str, ...]:
    """Column names of all measures in the calls table."""
    names = [f"{s}_{m.id}" for s in SPEAKERS for m in CATALOGUE if m.per == "speaker"]
    return (*names, *(m.id for m in CATALOGUE if m.per == "call"))
