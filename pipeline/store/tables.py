"""The contract of the tables: each column with its kind, its Chinese header and its meaning.

Conventions
-----------
The database, the exported files and the documentation are all made from ``TABLES``. Missing values
are null, never 0; times are seconds from the start of the recording. A column added later carries
``since=N`` and comes with migration N; old columns never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pipeline.errors import ParameterError, nearest

Dtype = Literal["str", "Int64", "float64", "boolean"]


class Kind(NamedTuple):
    """What a column holds: its type in frames, its Excel number format and its unit."""

    dtype: Dtype
    number_format: str
    unit_zh: str
    unit_en: str


KINDS: Mapping[str, Kind] = {
    "text": Kind("str", "@", "", ""),
    "json": Kind("str", "@", "JSON", "JSON"),
    "flag": Kind("boolean", "General", "是/否", "true/false"),
    "count": Kind("Int64", "0", "个", "count"),
    "seconds": Kind("float64", "0.0", "秒", "s"),
    "ratio": Kind("float64", "0.0%", "0-1，显示为 %", "0-1"),
    "score": Kind("float64", "0", "分", "points"),
    "rate": Kind("float64", "0", "字/分钟", "units/min"),
    "dbfs": Kind("float64", "0.0", "dBFS", "dBFS"),
    "lufs": Kind("float64", "0.0", "LUFS", "LUFS"),
    "db": Kind("float64", "0.0", "dB", "dB"),
    "hz": Kind("float64", "0", "Hz", "Hz"),
    "semitones": Kind("float64", "0.0", "半音", "semitones"),
    "number": Kind("float64", "0.00", "", ""),
}


class Column(NamedTuple):
    """One column of the contract. ``zh`` is "header" or "header：meaning"."""

    name: str
    kind: str
    zh: str
    en: str
    since: int = 1

    @property
    def header_zh(self) -> str:
        """The Chinese header."""
        return self.zh.partition("：")[0]

    @property
    def meaning_zh(self) -> str:
        """The Chinese meaning; the header where that says it all."""
        return self.zh.partition("：")[2] or self.header_zh


def _of_both(*columns: Column) -> tuple[Column, ...]:
    people = (("agent", "坐席"), ("customer", "客户"))
    return tuple(
        Column(f"{who}_{c.name}", c.kind, who_zh + c.zh, f"{who}: {c.en}", c.since)
        for who, who_zh in people
        for c in columns
    )


# fmt: off
_C = Column
TABLES: Mapping[str, tuple[Column, ...]] = {
    "calls": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("path", "text", "录音文件", "path of the recording"),
        _C("sha256", "text", "内容哈希：录音文件的 SHA-256", "SHA-256 of the recording"),
        _C("started_at", "text", "开始时间：ISO 8601", "start of the call, ISO 8601"),
        _C("duration", "seconds", "时长", "length of the recording"),
        _C("channels", "count", "声道数", "number of channels"),
        _C("sample_rate", "count", "采样率：每秒采样数 (Hz)", "sample rate of the recording, Hz"),
        _C("codec", "text", "编码格式", "audio codec"),
        _C("language", "text", "语言", "language that was recognised"),
        _C("agent_id", "text", "坐席工号", "identifier of the agent"),
        _C("agent_name", "text", "坐席姓名", "name of the agent"),
        _C("team", "text", "班组", "team of the agent"),
        _C("direction", "text", "呼叫方向：inbound 呼入，outbound 呼出", "inbound or outbound"),
        _C("speaker_source", "text", "说话人依据：channel 声道，diarization 声纹",
           "how speakers were told apart: channel or diarization"),
        _C("role_confidence", "ratio", "角色置信度：坐席与客户判定的把握",
           "confidence in who is the agent"),
        _C("status", "text", "状态：ok 完成，partial 部分，failed 失败", "ok, partial or failed"),
        _C("error", "text", "错误", "why the newest attempt failed or stayed partial"),
        _C("warnings", "text", "提醒：以分号分隔", "what to bear in mind, separated by semicolons"),
        _C("preset", "text", "预设", "name of the preset of settings"),
        _C("program_version", "text", "程序版本", "version of the program"),
        _C("processing_seconds", "seconds", "处理耗时", "time the analysis took"),
        *_of_both(
            _C("talk_s", "seconds", "说话时间", "time spent speaking"),
            _C("talk_ratio", "ratio", "说话占比：占双方说话时间", "share of the speech of both"),
            _C("turns", "count", "话轮数", "number of turns"),
            _C("units", "count", "字数：按读音展开，不计标点", "characters as spoken"),
            _C("speaking_rate", "rate", "语速：含自己的停顿", "units per minute with pauses"),
            _C("articulation_rate", "rate", "净语速：去掉 250 毫秒以上的停顿",
               "units per minute, pauses of 250 ms and more removed"),
            _C("speaking_rate_p10", "rate", "语速P10：各话轮的十分位", "P10 of turn rates"),
            _C("speaking_rate_p50", "rate", "语速P50：各话轮的中位数", "median of turn rates"),
            _C("speaking_rate_p90", "rate", "语速P90：各话轮的九十分位", "P90 of turn rates"),
            _C("level_dbfs", "dbfs", "音量：独自说话时的电平", "level while speaking alone"),
            _C("active_level_dbfs", "dbfs", "有效语音电平：ITU-T P.56", "ITU-T P.56 active level", 2),
            _C("loudness_lufs", "lufs", "响度：ITU-R BS.1770", "BS.1770 integrated loudness", 2),
            _C("level_sd_db", "db", "音量起伏：电平的标准差", "spread of the level"),
            _C("f0_median_hz", "hz", "音高：基频中位数", "median fundamental frequency"),
            _C("pitch_sd_st", "semitones", "语调起伏：基频的标准差", "SD of pitch"),
            _C("pitch_range_st", "semitones", "语调范围：基频 P95-P5", "P95 - P5 of pitch"),
            _C("interruptions", "count", "打断次数：对方说话时抢话", "the other was cut off"),
            _C("interruptions_successful", "count", "打断成功次数：抢到了话",
               "interruptions that took the floor", 2),
            _C("interruption_rate", "number", "打断频率：对方每说 10 分钟的打断次数",
               "interruptions per 10 minutes of the other's speech", 2),
            _C("interruption_s", "seconds", "打断时长", "time of overlap in interruptions"),
            _C("backchannels", "count", "附和次数：嗯、是、对，不算打断", "listening signals"),
            _C("longest_turn_s", "seconds", "最长话轮", "longest turn"),
            _C("response_latency_p50", "seconds", "应答间隔中位数", "median gap to the answer"),
            _C("response_latency_p90", "seconds", "应答间隔P90", "P90 of the gap to the answer"),
        ),
        _C("speaking_rate_vs_norm", "number", "语速/标准：坐席语速除以标准语速",
           "agent's speaking rate / norm"),
        _C("rate_gap", "rate", "语速差：坐席减客户", "speaking rate, agent minus customer"),
        _C("level_gap_db", "db", "音量差：坐席减客户", "level, agent minus customer"),
        _C("holds", "count", "等待次数", "number of holds"),
        _C("hold_s", "seconds", "等待时长", "time on hold"),
        _C("longest_hold_s", "seconds", "最长等待", "longest hold"),
        _C("holds_unannounced", "count", "未告知等待：事先没有说明的等待", "holds not announced"),
        _C("dead_air", "count", "冷场次数：等待以外 5 秒及以上的沉默", "silences of 5 s and more"),
        _C("dead_air_s", "seconds", "冷场时长", "time of dead air"),
        _C("rings", "count", "振铃次数", "rings before the answer"),
        _C("first_speech_s", "seconds", "首次发声：第一句话的时刻", "time of the first speech"),
        _C("overlap_s", "seconds", "重叠时长：双方同时说话", "time both speak"),
        _C("overlap_ratio", "ratio", "重叠占比", "share of time both speak"),
        _C("silence_ratio", "ratio", "沉默占比", "share of time nobody speaks"),
        _C("compliance_score", "score", "合规得分：0-100", "compliance score, 0-100"),
        _C("compliance_passed", "count", "通过项数", "rubric items passed"),
        _C("compliance_failed", "count", "未通过项数", "rubric items failed"),
        _C("compliance_unjudged", "count", "无法判断项数", "rubric items that could not be judged"),
        _C("outside_score", "score", "外部得分：质检团队评分，0-100", "outside score, 0-100"),
        _C("outside_agreement", "ratio", "与外部一致率：双方都评的项目中结论一致的占比",
           "share of the items judged by both on which both agree"),
    ),
    "turns": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("turn", "count", "话轮序号", "number of the turn within the call"),
        _C("speaker", "text", "说话人：agent 坐席，customer 客户", "agent or customer"),
        _C("start", "seconds", "开始", "start"),
        _C("end", "seconds", "结束", "end"),
        _C("text", "text", "文本", "words as recognised"),
        _C("text_masked", "text", "脱敏文本：隐去个人信息", "words with personal data masked"),
        _C("units", "count", "字数", "spoken units"),
        _C("speaking_rate", "rate", "语速：含停顿", "units per minute with pauses"),
        _C("articulation_rate", "rate", "净语速：去掉停顿", "units per minute without pauses"),
        _C("level_dbfs", "dbfs", "音量", "level"),
        _C("f0_median_hz", "hz", "音高：基频中位数", "median fundamental frequency"),
        _C("pitch_sd_st", "semitones", "语调起伏", "SD of pitch"),
        _C("is_backchannel", "flag", "是否附和", "whether it is only a listening signal"),
        _C("confidence", "ratio", "识别置信度", "confidence of the recognition"),
        _C("phase", "text", "阶段：opening 开场，closing 结尾", "opening, body or closing"),
    ),
    "events": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("event", "count", "事件序号", "number of the event within the call"),
        _C("kind", "text", "类型：如 interruption 打断、hold 等待", "kind of the event"),
        _C("by", "text", "谁：agent 坐席，customer 客户", "agent or customer"),
        _C("start", "seconds", "开始", "start"),
        _C("end", "seconds", "结束", "end"),
        _C("seconds", "seconds", "时长", "length"),
        _C("detail", "json", "细节", "details, as JSON"),
        _C("confidence", "ratio", "置信度", "confidence"),
    ),
    "verdicts": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("item_id", "text", "评分项", "identifier of the rubric item"),
        _C("source", "text", "来源：rubric 本程序，outside 外部质检", "rubric or outside"),
        _C("verdict", "text", "结论：pass 通过，fail 未过，not_applicable 不适用，cannot_tell 难判",
           "pass, fail, not_applicable or cannot_tell"),
        _C("score", "score", "得分", "points given"),
        _C("max_score", "score", "满分", "points that can be had"),
        _C("weight", "number", "权重", "weight of the item"),
        _C("speaker", "text", "说话人：证据出自谁", "whose words are the evidence"),
        _C("start", "seconds", "证据开始", "start of the evidence"),
        _C("end", "seconds", "证据结束", "end of the evidence"),
        _C("quote", "text", "原话：识别到的词句", "words that were heard"),
        _C("matched", "text", "匹配：命中的话术或指标", "phrase or measure that matched"),
        _C("confidence", "ratio", "置信度", "confidence"),
        _C("reviewer", "text", "质检员", "reviewer, for outside verdicts"),
        _C("note", "text", "备注", "note"),
    ),
    "failures": (
        _C("path", "text", "录音文件", "path of the recording"),
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("stage", "text", "环节", "stage that failed"),
        _C("error_type", "text", "错误类型", "type of the error"),
        _C("message", "text", "说明", "what went wrong"),
        _C("hint", "text", "建议", "what to do next"),
    ),
    "outside_scores": (
        _C("file", "text", "来源文件", "file the row was imported from"),
        _C("row", "count", "行号", "row in that file"),
        _C("call_id", "text", "通话编号：空表示没有对上", "call it was joined to; null if none"),
        _C("given_call_id", "text", "表中编号", "call_id as given"),
        _C("recording", "text", "表中录音名", "recording as given"),
        _C("item_id", "text", "评分项：空表示总分", "rubric item; null for an overall score"),
        _C("verdict", "text", "结论", "pass, fail, not_applicable or cannot_tell"),
        _C("score", "score", "得分", "score as given"),
        _C("max_score", "score", "满分", "points that can be had"),
        _C("reviewer", "text", "质检员", "reviewer"),
        _C("scored_at", "text", "评分时间", "when it was scored"),
        _C("note", "text", "备注", "note"),
        _C("problem", "text", "问题：为什么没有采用", "why the row was not used"),
    ),
}
# fmt: on


def columns_of(table: str) -> tuple[Column, ...]:
    """Columns of one table of the contract.

    Raises
    ------
    ParameterError
        If there is no such table.
    """
    if table not in TABLES:
        raise ParameterError(f"There is no table {table!r}.", nearest(table, TABLES))
    return TABLES[table]
