"""The one table of measures: what each is, in which unit, how it is pooled, how good it is meant to be.

The columns of the calls and agents tables, the workbook, ``callcoach explain``, docs/measures.md,
pooling over calls, comparison of agents and the coach's pages are made from these rows.

Conventions
-----------
Formulas are short and in symbols: N spoken units, T seconds, E the other's talk time, L levels in
dBFS, F F0 in Hz, ``med`` and ``Pq`` the median and the q-th percentile, sums over the turns named
in the definition. Sources S0-S4 are the service-training documents that the rubric cites.

How a measure is pooled over an agent's calls (``pool``):

* ``mean``: the mean over calls.
* ``ratio``: sum over sum, written as the mean weighted by the denominator, the columns ``over``.
* ``count``: events per call, or per ``per_s`` seconds of the exposure ``over``.
* ``amount``: seconds per call that many calls have none of: a mean whose interval allows for that.
* ``share``: share of the calls with 1 among those with 1 or 0, such as the pass rate of an item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from pipeline.schema import AGENT, CUSTOMER, SPEAKERS

Dtype = Literal["str", "Int64", "float64", "boolean"]
SPEECH_S = "speech_s"  # speech of both: duration x (1 - silence_ratio) + overlap_s
SPEAKERS_ZH = {AGENT: "坐席", CUSTOMER: "客户"}


class Kind(NamedTuple):
    """What a column holds: its type in frames, its Excel number format and its unit."""

    dtype: Dtype
    number_format: str
    unit_zh: str
    unit_en: str


KINDS: Mapping[str, Kind] = {
    "text": Kind("str", "@", "", ""),
    "time": Kind("str", "yyyy-mm-dd hh:mm:ss", "", ""),
    "json": Kind("str", "@", "JSON", "JSON"),
    "flag": Kind("boolean", "General", "是/否", "true/false"),
    "count": Kind("Int64", "0", "个", "count"),
    "seconds": Kind("float64", "0.0", "秒", "s"),
    "ratio": Kind("float64", "0.0%", "0-1，显示为 %", "0-1"),
    "score": Kind("float64", "0", "分", "points"),
    "rate": Kind("float64", "0", "字/分钟", "units/min"),
    "per_10min": Kind("float64", "0.00", "次/10 分钟", "per 10 min"),
    "dbfs": Kind("float64", "0.0", "dBFS", "dBFS"),
    "lufs": Kind("float64", "0.0", "LUFS", "LUFS"),
    "db": Kind("float64", "0.0", "dB", "dB"),
    "hz": Kind("float64", "0", "Hz", "Hz"),
    "semitones": Kind("float64", "0.0", "半音", "semitones"),
    "number": Kind("float64", "0.00", "", ""),
}


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table.

    ``per`` speaker: columns ``agent_ID`` and ``customer_ID`` of the calls table; per call: ``ID``.
    ``over`` names the columns whose sum is the denominator of a ratio or the exposure of a count,
    with ``{own}`` and ``{other}`` for the speaker and the other party (``SPEECH_S`` is formed of
    others); ``of`` the measure that is counted, where it is another. Calls in which the column
    ``given`` is null are not pooled. ``low`` and ``high`` limit what the measure can be.
    ``better`` says which direction is better for the agent, if either. ``delta`` is the least
    difference that matters in practice, in the measure's unit or, if ``relative``, as a share.
    ``target`` is the error aimed at, stereo / mono; ``accuracy`` names the figure of the accuracy
    benchmark that the measure rests on. ``since`` is the version of the store that added it.
    """

    id: str
    zh: str
    en: str
    kind: str
    per: Literal["speaker", "call"]
    definition: str
    formula: str
    source: str
    pool: Literal["mean", "ratio", "count", "amount", "share"]
    over: tuple[str, ...] = ()
    of: str = ""
    given: str = ""
    per_s: float = 1.0
    low: float = -np.inf
    high: float = np.inf
    settings: tuple[str, ...] = ()
    target: str = ""
    accuracy: str = ""
    better: Literal["more", "less"] | None = None
    delta: float | None = None
    relative: bool = False
    in_calls: bool = True
    since: int = 1

    @property
    def definition_zh(self) -> str:
        """The definition in Chinese."""
        return DEFINITIONS_ZH[self.id]

    @property
    def unit(self) -> str:
        """The unit in English."""
        return KINDS[self.kind].unit_en


# fmt: off
MEASURES: tuple[Measure, ...] = (
    Measure(
        "talk_s", "说话时长", "talk time", "seconds", "speaker",
        "Sum of the speaker's turns and backchannels, own pauses inside a turn included.",
        "T = Σ (end - start)", "Heldner & Edlund 2010",
        pool="mean", low=0, settings=("turns.join_gap_s",), target="1 %", accuracy="talk_time", delta=0.2,
        relative=True,
    ),
    Measure(
        "talk_ratio", "说话占比", "talk ratio", "ratio", "speaker",
        "Talk time of the speaker / talk time of both.",
        "T / (T + E)", "Gong; AWS Contact Lens",
        pool="ratio", over=("{own}_talk_s", "{other}_talk_s",), low=0, high=1, target="1 / 3 points",
        accuracy="talk_ratio", delta=0.05,
    ),
    Measure(
        "turns", "话轮数", "turns", "count", "speaker",
        "Turns that took the floor; backchannels are not among them.",
        "#turns", "Heldner & Edlund 2010",
        pool="count", settings=("turns.join_gap_s",), delta=0.2, relative=True,
    ),
    Measure(
        "units", "字数", "spoken units", "count", "speaker",
        "Han characters as spoken: numbers expanded, Latin letters one each, Latin words by "
        "syllable, no punctuation.",
        "N = Σ units", "spoken-form counting",
        pool="mean", low=0, target="3 % / 6 %", accuracy="units", delta=0.2, relative=True,
    ),
    Measure(
        "unheard_s", "未听清时长", "unheard", "seconds", "speaker",
        "Speech of the speaker's turns, backchannels apart, that no words were understood of: none were "
        "recognised, or with too little confidence.",
        "Σ speech without words", "recognition",
        pool="amount", low=0, settings=("asr.min_confidence",), better="less", delta=0.3, relative=True,
        since=14,
    ),
    Measure(
        "speaking_rate", "语速", "speaking rate", "rate", "speaker",
        "60 x units / turn time, own pauses included, over turns with enough units.",
        "60 Σ N / Σ (end - start)", "S3; Huawei AICC",
        pool="ratio", over=("{own}_rated_s",), low=0, settings=("voice.min_turn_units",),
        target="3 % / 6 %", accuracy="speaking_rate", delta=0.1, relative=True,
    ),
    Measure(
        "articulation_rate", "净语速", "articulation rate", "rate", "speaker",
        "60 x units / turn time without own pauses of 0.25 s and more.",
        "60 Σ N / Σ (end - start - pauses)", "de Jong & Bosker 2013",
        pool="ratio", over=("{own}_articulated_s",), low=0,
        settings=("voice.min_turn_units", "voice.articulation_pause_s",), target="3 % / 6 %",
        accuracy="articulation_rate", delta=0.1, relative=True,
    ),
    Measure(
        "rated_s", "计速时长", "rated time", "seconds", "speaker",
        "Turn time that the speaking rate is formed over, own pauses included: turns with enough units.",
        "Σ (end - start)", "S3; Huawei AICC",
        pool="mean", low=0, settings=("voice.min_turn_units",), delta=0.2, relative=True, since=9,
    ),
    Measure(
        "articulated_s", "净计速时长", "rated time without pauses", "seconds", "speaker",
        "Time that the articulation rate is formed over: the rated time without own pauses of 0.25 s and more.",
        "Σ (end - start - pauses)", "de Jong & Bosker 2013",
        pool="mean", low=0, settings=("voice.min_turn_units", "voice.articulation_pause_s"), delta=0.2,
        relative=True, since=9,
    ),
    Measure(
        "speaking_rate_p10", "语速P10", "speaking rate, slow turns", "rate", "speaker",
        "10th percentile of the speaking rate over turns.",
        "P10(60 N / (end - start))", "S3",
        pool="mean", low=0, settings=("voice.min_turn_units",), accuracy="turn_speaking_rate", delta=0.1,
        relative=True,
    ),
    Measure(
        "speaking_rate_p50", "语速P50", "speaking rate, median turn", "rate", "speaker",
        "Median of the speaking rate over turns.",
        "med(60 N / (end - start))", "S3",
        pool="mean", low=0, settings=("voice.min_turn_units",), accuracy="turn_speaking_rate", delta=0.1,
        relative=True,
    ),
    Measure(
        "speaking_rate_p90", "语速P90", "speaking rate, fast turns", "rate", "speaker",
        "90th percentile of the speaking rate over turns.",
        "P90(60 N / (end - start))", "S3",
        pool="mean", low=0, settings=("voice.min_turn_units",), accuracy="turn_speaking_rate", delta=0.1,
        relative=True,
    ),
    Measure(
        "level_dbfs", "音量", "level", "dbfs", "speaker",
        "Speech-gated RMS of the speaker's exclusive speech (0.4 s blocks within 10 dB of the "
        "mean), the power of the noise taken out; a full-scale sine is -3 dBFS.",
        "10 log10(mean x² over loud blocks - noise)", "S0 S1; the gate of BS.1770",
        pool="mean", settings=("voice.min_snr_db",), target="0.3 / 1 dB", accuracy="level", delta=2,
    ),
    Measure(
        "active_level_dbfs", "有效语音电平", "active speech level", "dbfs", "speaker",
        "ITU-T P.56 active speech level (dBov) of the speaker's exclusive speech; counts 200 ms "
        "of hangover as speech, so it may read a little below the level.",
        "10 log10(Σ x² / active time), threshold 15.9 dB below", "ITU-T P.56, method B",
        pool="mean", settings=("voice.min_snr_db",), target="0.3 / 1 dB", accuracy="active_level",
        delta=2, since=2,
    ),
    Measure(
        "loudness_lufs", "响度", "loudness", "lufs", "speaker",
        "Integrated loudness of the speaker's exclusive speech (K-weighted, gated); null under "
        "0.4 s. Two voices of one RMS may differ: compare within a call.",
        "-0.691 + 10 log10(mean K-weighted power of the blocks that pass both gates)",
        "ITU-R BS.1770-4",
        pool="mean", settings=("voice.min_snr_db",), target="0.3 / 1 LU", accuracy="loudness", delta=2,
        since=2,
    ),
    Measure(
        "level_sd_db", "音量起伏", "level spread", "db", "speaker",
        "Standard deviation of the level over turns; null under three turns.",
        "sd(L of turns)", "S0",
        pool="mean", low=0, settings=("voice.min_snr_db",), delta=1,
    ),
    Measure(
        "f0_median_hz", "音高", "median pitch", "hz", "speaker",
        "Median F0 of the voiced frames of exclusive speech.",
        "med(F)", "Boersma 1993",
        pool="mean", low=0, settings=("voice.min_voiced_s", "voice.min_snr_db",), accuracy="f0_median",
        delta=0.06, relative=True,
    ),
    Measure(
        "pitch_sd_st", "语调变化", "pitch variation", "semitones", "speaker",
        "Standard deviation of F0 in semitones around the speaker's median.",
        "sd(12 log2(F / med F))", "S0 S3; Hincks & Edlund 2009",
        pool="mean", low=0, settings=("voice.min_voiced_s", "voice.min_snr_db",), target="0.3 / 0.5 st",
        accuracy="pitch_sd", better="more", delta=0.4,
    ),
    Measure(
        "pitch_range_st", "语调范围", "pitch range", "semitones", "speaker",
        "P95 - P5 of F0 in semitones (P90 - P10 under 20 s of voiced speech).",
        "12 log2(P95 F / P5 F)", "S3",
        pool="mean", low=0, settings=("voice.min_voiced_s", "voice.min_snr_db",), target="0.5 / 1.0 st",
        accuracy="pitch_range", better="more", delta=1.2,
    ),
    Measure(
        "interruptions", "抢话次数", "interruptions", "count", "speaker",
        "Times the speaker took or tried to take the floor while the other was talking; "
        "backchannels and end-of-turn overlaps are not among them.",
        "#interruptions", "S1 S3 S4; Schegloff 2000",
        pool="count",
        settings=("interruptions.preset", "interruptions.min_overlap_s", "interruptions.min_floor_s",),
        target="F1 0.95 / 0.70", accuracy="interruption", better="less", delta=0.3,
    ),
    Measure(
        "interruptions_successful", "抢话成功次数", "successful interruptions", "count", "speaker",
        "Interruptions after which the other gave up the floor.",
        "#interruptions with the other silent within 2 s", "S1 S3 S4; Bennett 1981",
        pool="count",
        settings=("interruptions.preset", "interruptions.min_overlap_s", "interruptions.min_floor_s",
        "interruptions.yield_within_s",),
        accuracy="outcome", better="less", delta=0.2, since=2,
    ),
    Measure(
        "interruption_rate", "抢话频率", "interruption rate", "per_10min", "speaker",
        "Interruptions per ten minutes of the other party's talk; null where the other talked for "
        "less than 30 s.",
        "600 #interruptions / E", "S1 S3 S4; Huawei AICC",
        pool="count", over=("{other}_talk_s",), of="interruptions", given="{own}_interruption_rate", per_s=600,
        settings=("interruptions.preset", "interruptions.min_overlap_s", "interruptions.min_floor_s",),
        accuracy="interruption", better="less", delta=0.5, since=2,
    ),
    Measure(
        "interruption_s", "抢话时长", "interruption time", "seconds", "speaker",
        "Overlapped seconds of those interruptions.",
        "Σ overlap", "S1",
        pool="amount", low=0,
        settings=("interruptions.preset", "interruptions.min_overlap_s", "interruptions.min_floor_s",),
        better="less", delta=0.3, relative=True,
    ),
    Measure(
        "backchannels", "附和次数", "backchannels", "count", "speaker",
        "Short listening signals (嗯, 是的) during the other's turn.",
        "#backchannels", "S1 S3",
        pool="count", settings=("turns.backchannel_max_s",), target="F1 0.85", accuracy="backchannel",
        delta=0.3, relative=True,
    ),
    Measure(
        "backchannels_per_10min", "附和频率", "backchannel rate", "per_10min", "speaker",
        "Backchannels per ten minutes of the other party's talk, over calls with an interruption rate.",
        "600 #backchannels / E", "S1 S3",
        pool="count", over=("{other}_talk_s",), of="backchannels", given="{own}_interruption_rate", per_s=600,
        in_calls=False,
        settings=("turns.backchannel_max_s",), delta=2,
    ),
    Measure(
        "longest_turn_s", "最长话轮", "longest turn", "seconds", "speaker",
        "Longest turn, own pauses up to 2 s included.",
        "max(end - start)", "Gong",
        pool="mean", low=0, settings=("turns.join_gap_s",), target="2 % / 8 %", accuracy="longest_turn",
        delta=0.2, relative=True,
    ),
    Measure(
        "response_latency_p50", "应答间隔中位数", "response latency, median", "seconds", "speaker",
        "Median gap between the other's end and the speaker's start; overlaps are negative.",
        "med(start - end of the other), -1 to 10 s", "S2 S3; Levinson & Torreira 2015",
        pool="mean", target="50 / 150 ms", accuracy="response_latency", better="less", delta=0.2,
    ),
    Measure(
        "response_latency_p90", "应答间隔P90", "response latency, slow", "seconds", "speaker",
        "90th percentile of the same gap.",
        "P90(start - end of the other), -1 to 10 s", "S2 S3",
        pool="mean", better="less", delta=0.5,
    ),
    Measure(
        "speaking_rate_vs_norm", "语速/标准", "rate against the norm", "number", "call",
        "Agent's speaking rate / the norm (150 units/min).",
        "speaking rate of the agent / norm", "S3",
        pool="ratio", over=("agent_rated_s",), low=0, settings=("voice.rate_norm",), target="3 % / 6 %",
        accuracy="speaking_rate", delta=0.1, relative=True,
    ),
    Measure(
        "rate_gap", "语速差", "rate gap", "rate", "call",
        "Agent's minus customer's speaking rate.",
        "rate of the agent - rate of the customer", "S0",
        pool="mean", settings=("voice.min_turn_units",), delta=20,
    ),
    Measure(
        "level_gap_db", "音量差", "level gap", "db", "call",
        "Agent's minus customer's level.",
        "L of the agent - L of the customer", "S0 S1",
        pool="mean", settings=("voice.min_snr_db",), target="0.5 / 1.5 dB", accuracy="level_gap", delta=2,
    ),
    Measure(
        "holds", "等待次数", "holds", "count", "call",
        "Waits of 8 s and more in which the agent does not speak, in silence or music, until the "
        "agent returns.",
        "#holds", "S1 S3",
        pool="count", settings=("silences.hold_min_s",), target="F1 1.0 / 0.95", accuracy="hold", delta=0.2,
    ),
    Measure(
        "hold_s", "等待时长", "hold time", "seconds", "call",
        "Sum of all holds.",
        "Σ (end - start)", "S1 S3",
        pool="amount", low=0, settings=("silences.hold_min_s",), target="0.5 s", accuracy="hold_length",
        better="less", delta=0.2, relative=True,
    ),
    Measure(
        "longest_hold_s", "最长等待", "longest hold", "seconds", "call",
        "Longest hold.",
        "max(end - start)", "S1 S3",
        pool="mean", low=0, settings=("silences.hold_min_s",), target="0.5 s", accuracy="hold_length",
        better="less", delta=0.2, relative=True,
    ),
    Measure(
        "holds_unannounced", "未告知等待", "unannounced holds", "count", "call",
        "Holds with no wait phrase in the 6 s before.",
        "#holds not announced", "S0 S1",
        pool="count", settings=("silences.hold_min_s", "silences.announce_within_s",), better="less",
        delta=0.1,
    ),
    Measure(
        "dead_air", "冷场次数", "dead air", "count", "call",
        "Mutual silences of 5 s and more that are no hold.",
        "#dead air", "S0",
        pool="count", settings=("silences.dead_air_min_s",), target="F1 0.98", accuracy="dead_air",
        better="less", delta=0.2,
    ),
    Measure(
        "dead_air_per_10min", "冷场频率", "dead-air rate", "per_10min", "call",
        "Dead air per ten minutes of the recording.",
        "600 #dead air / duration", "S0",
        pool="count", over=("duration",), of="dead_air", per_s=600, high=600 / 5, in_calls=False,
        settings=("silences.dead_air_min_s",), delta=0.5,
    ),
    Measure(
        "dead_air_s", "冷场时长", "dead-air time", "seconds", "call",
        "Sum of the dead air.",
        "Σ (end - start)", "S0",
        pool="amount", low=0, settings=("silences.dead_air_min_s",), accuracy="dead_air_length",
        better="less", delta=0.3, relative=True,
    ),
    Measure(
        "rings", "振铃次数", "rings", "count", "call",
        "Bursts of 450 Hz ringback tone (1 s on, 4 s off) heard at the start.",
        "#bursts", "S0; GB/T 3380",
        pool="count", target="exact", accuracy="rings", better="less", delta=0.5,
    ),
    Measure(
        "first_speech_s", "首句时间", "first speech", "seconds", "call",
        "Time at which anybody first speaks.",
        "min(start)", "voice activity",
        pool="mean", low=0, target="50 ms", accuracy="first_speech", delta=1,
    ),
    Measure(
        "overlap_s", "重叠时长", "overlap time", "seconds", "call",
        "Seconds in which both speak.",
        "|speech of the agent ∩ speech of the customer|", "Heldner & Edlund 2010",
        pool="amount", low=0, target="5 % / 30 %", accuracy="overlap", delta=0.3, relative=True,
    ),
    Measure(
        "overlap_ratio", "重叠占比", "overlap ratio", "ratio", "call",
        "Overlap time / speech of both, pauses left out.",
        "overlap / (speech of the agent + speech of the customer)", "Heldner & Edlund 2010",
        pool="ratio", over=(SPEECH_S,), low=0, high=1, delta=0.02,
    ),
    Measure(
        "silence_ratio", "静默占比", "silence ratio", "ratio", "call",
        "Share of the recording in which nobody speaks (holds, music, ringing and machines included); "
        "pauses of the recorder are no part of it.",
        "1 - |speech of the agent ∪ speech of the customer| / (duration - recorder pauses)",
        "AWS Contact Lens",
        pool="ratio", over=("duration",), low=0, high=1, delta=0.05,
    ),
)
"""What is measured in a call."""

SCORES: tuple[Measure, ...] = (
    Measure(
        "compliance_score", "合规得分", "compliance score", "score", "call",
        "Points of the rubric items that were judged / points that could be had, 0-100.",
        "100 Σ weight x points / Σ weight", "rubric",
        pool="mean", low=0, high=100, better="more", delta=4,
    ),
    Measure(
        "reviewed_score", "复核后得分", "score after review", "score", "call",
        "The compliance score by the verdicts in force: people's where they reviewed an item, else the "
        "machine's; where nobody reviewed it is the compliance score.",
        "as the compliance score", "rubric and reviews",
        pool="mean", low=0, high=100, better="more", delta=4, since=12,
    ),
    Measure(
        "judged_share", "已评权重占比", "share judged", "ratio", "call",
        "Weight of the rubric items that were judged / weight of those that apply; a call with less than "
        "the setting has no score.",
        "Σ weight judged / Σ weight that applies", "rubric",
        pool="mean", low=0, high=1, settings=("compliance.min_judged_share",), since=6,
    ),
    Measure(
        "compliance_passed", "通过项数", "items passed", "count", "call",
        "Rubric items of the score (weight over 0) that passed.",
        "#items", "rubric",
        pool="count", better="more", delta=0.1, relative=True,
    ),
    Measure(
        "compliance_failed", "未通过项数", "items failed", "count", "call",
        "Rubric items of the score (weight over 0) that failed; items that are only shown are not counted.",
        "#items", "rubric",
        pool="count", better="less", delta=0.5,
    ),
    Measure(
        "compliance_unjudged", "无法判断项数", "items not judged", "count", "call",
        "Rubric items that apply and could not be judged, those of weight 0 included.",
        "#items", "rubric",
        pool="count", delta=0.5,
    ),
    Measure(
        "outside_score", "外部得分", "QA score", "score", "call",
        "Score of the QA team, 0-100.",
        "as given", "QA team",
        pool="mean", low=0, high=100, better="more", delta=4,
    ),
    Measure(
        "outside_agreement", "与外部一致率", "agreement with QA", "ratio", "call",
        "Share of the items judged by both on which both agree.",
        "#items / #items judged by both", "QA team",
        pool="mean", low=0, high=1, better="more", delta=0.1,
    ),
)
"""What the rubric and the QA team say of a call."""
DEFINITIONS_ZH: Mapping[str, str] = {
    "compliance_score": "已评规范项的得分占其满分的比例，按权重计，0-100。",
    "reviewed_score": "按生效的判定计算的合规得分：人工复核过的项以人工为准，"
        "其余以机器为准；没有复核过就是合规得分。",
    "judged_share": "评出结论的规范项权重，占适用项权重的比例；低于设置值的通话没有得分。",
    "compliance_passed": "做到的规范项数，只计计分（权重大于 0）的项。",
    "compliance_failed": "没有做到的规范项数，只计计分（权重大于 0）的项；只作提示的项不计。",
    "compliance_unjudged": "适用但无法判断的规范项数，权重为 0 的项也计。",
    "outside_score": "质检团队给的分，0-100。",
    "outside_agreement": "双方都评过的项中，结论一致的占比。",
    "talk_s": "本人话轮与附和的时长之和，话轮内自己的停顿计算在内。",
    "talk_ratio": "本人说话时长占双方说话时长的比例。",
    "turns": "取得发言权的话轮数，附和不计。",
    "units": "按读音计的字数：数字展开，拉丁字母一个算一个，拉丁单词按音节，不计标点。",
    "unheard_s": "本人话轮（附和除外）中没有听懂的时长：没有识别出字，或把握太低。",
    "speaking_rate": "60 × 字数 ÷ 话轮时长，含自己的停顿，只计字数足够的话轮。",
    "articulation_rate": "60 × 字数 ÷ 去掉 0.25 秒及以上停顿后的话轮时长。",
    "rated_s": "语速所依据的话轮时长，含自己的停顿，只计字数足够的话轮。",
    "articulated_s": "净语速所依据的时长：计速时长去掉 0.25 秒及以上的停顿。",
    "speaking_rate_p10": "各话轮语速的第 10 百分位。",
    "speaking_rate_p50": "各话轮语速的中位数。",
    "speaking_rate_p90": "各话轮语速的第 90 百分位。",
    "level_dbfs": "本人独自说话时的电平：0.4 秒一段，"
        "取与均值相差 10 分贝以内的段的有效值，扣除噪声功率；满幅正弦为 -3 dBFS。",
    "active_level_dbfs": "本人独自说话时按 ITU-T P.56 计的有效语音电平 (dBov)；"
        "说完后的 200 毫秒也算语音，所以可能比音量略低。",
    "loudness_lufs": "本人独自说话时的综合响度（K 加权，有门限）；不足 0.4 秒为空。"
        "有效值相同的两个声音可能不同：只在同一通内比较。",
    "level_sd_db": "各话轮音量的标准差；不足三个话轮为空。",
    "f0_median_hz": "本人独自说话时浊音帧基频的中位数。",
    "pitch_sd_st": "基频相对本人中位数的标准差，以半音计。",
    "pitch_range_st": "基频第 95 与第 5 百分位之差，以半音计（浊音不足 20 秒时用第 90 与第 10）。",
    "interruptions": "对方正在说话时抢话或试图抢话的次数；附和与话轮末尾的重叠不计。",
    "interruptions_successful": "抢话之后对方让出发言权的次数。",
    "interruption_rate": "对方每说十分钟的抢话次数；对方说话不足 30 秒为空。",
    "interruption_s": "这些抢话中双方重叠的秒数。",
    "backchannels": "对方说话时简短的附和（嗯、是的）次数。",
    "backchannels_per_10min": "对方每说十分钟的附和次数，只计有抢话频率的通话。",
    "longest_turn_s": "最长的话轮，自己 2 秒以内的停顿计算在内。",
    "response_latency_p50": "从对方说完到本人开口的间隔的中位数；重叠为负。",
    "response_latency_p90": "同一间隔的第 90 百分位。",
    "speaking_rate_vs_norm": "坐席语速 ÷ 标准语速（每分钟 150 字）。",
    "rate_gap": "坐席语速减客户语速。",
    "level_gap_db": "坐席音量减客户音量。",
    "holds": "坐席 8 秒及以上不说话的等待次数，静音或音乐，到坐席回来为止。",
    "hold_s": "所有等待的时长之和。",
    "longest_hold_s": "最长的一次等待。",
    "holds_unannounced": "开始前 6 秒内没有说过请等待的等待次数。",
    "dead_air": "双方都沉默 5 秒及以上、又不是等待的次数。",
    "dead_air_per_10min": "录音每十分钟的冷场次数。",
    "dead_air_s": "冷场的时长之和。",
    "rings": "开头听到的 450 Hz 回铃音次数（响 1 秒，停 4 秒）。",
    "first_speech_s": "第一次有人说话的时刻。",
    "overlap_s": "双方同时说话的秒数。",
    "overlap_ratio": "重叠时长 ÷ 双方说话时长，停顿不计。",
    "silence_ratio": "没有人说话的时间占录音的比例（等待、音乐、振铃和机器语音算在内）；"
        "录音设备暂停的时间不算录音的一部分。",
}
"""The definition of each measure in Chinese; the table holds it in English."""
# fmt: on


class Pooled(NamedTuple):
    """A measure of one speaker or of the call, as it is pooled over calls.

    ``source`` is the column of the calls table, ``weight`` the columns whose sum is its weight,
    ``given`` a column without which a call is not pooled.
    """

    name: str
    measure: Measure
    source: str
    weight: tuple[str, ...]
    zh: str
    en: str
    given: str = ""

    @property
    def rule(self) -> str:
        """How the mean is formed from the columns of the calls table."""
        over, m = " + ".join(self.weight), self.measure
        per = f"{m.per_s:g} x " if m.per_s != 1 else ""
        if m.pool == "ratio":
            rule = f"sum of {self.source} x ({over}) / sum of ({over})"
        elif self.weight:
            rule = f"{per}sum of {self.source} / sum of ({over})"
        else:
            rule = f"mean of {self.source}"
        speech = "duration x (1 - silence_ratio) + overlap_s"
        given = f", over calls with {self.given}" if self.given else ""
        return rule.replace(SPEECH_S, speech) + given


def _pooled(one: Measure, own: str = "", other: str = "") -> Pooled:
    """One measure as it is pooled, for the speaker ``own`` or for the call."""
    prefix, zh, en = (f"{own}_", SPEAKERS_ZH[own], f"{own}: ") if own else ("", "", "")
    weight = tuple(w.format(own=own, other=other) for w in one.over)
    return Pooled(
        prefix + one.id,
        one,
        prefix + (one.of or one.id),
        weight,
        zh + one.zh,
        en + one.en,
        one.given.format(own=own, other=other),
    )


def pass_rate(item_id: str, zh: str = "", en: str = "") -> Pooled:
    """The pass rate of a rubric item as it is pooled: 1 is a pass, 0 a fail, null not judged."""
    one = Measure(
        item_id, zh or item_id, en or item_id, "ratio", "call",
        "Share of the calls that passed the item, among those judged.", "#pass / #judged", "rubric",
        pool="share", low=0, high=1, better="more", delta=0.1,
    )  # fmt: skip
    return _pooled(one)


POOLED: tuple[Pooled, ...] = (
    *(_pooled(m) for m in SCORES),
    *(
        _pooled(m, s, o)
        for s, o in (SPEAKERS, SPEAKERS[::-1])
        for m in MEASURES
        if m.per == "speaker"
    ),
    *(_pooled(m) for m in MEASURES if m.per == "call"),
)
"""Everything that is pooled over an agent's calls, in the order of the agents tables."""


def columns() -> tuple[str, ...]:
    """Column names of all measures in the calls table, scores apart."""
    scores = {m.id for m in SCORES}
    return tuple(p.name for p in POOLED if p.measure.in_calls and p.name not in scores)
