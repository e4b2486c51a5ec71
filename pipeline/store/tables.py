"""The contract of the tables: each column with its kind, its Chinese header and its meaning.

Conventions
-----------
The database, the exported files and the documentation are all made from ``TABLES``. Missing values
are null, never 0; times are seconds from the start of the recording. A column added later carries
``since=N`` and comes with migration N; old columns never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.errors import ParameterError, nearest
from pipeline.measures import POOLED, SCORES, columns


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


def _measured(*names: str) -> tuple[Column, ...]:
    """Columns of the table of measures, in its order."""
    rows = {p.name: p for p in POOLED}
    return tuple(
        Column(
            name,
            rows[name].measure.kind,
            rows[name].zh + (f"：{meaning}" if (meaning := rows[name].measure.meaning_zh) else ""),
            f"{rows[name].en}: {rows[name].measure.definition}",
            rows[name].measure.since,
        )
        for name in names
    )


# fmt: off
_C = Column
TABLES: Mapping[str, tuple[Column, ...]] = {
    "calls": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("path", "text", "录音文件", "path of the recording"),
        _C("sha256", "text", "内容哈希：录音文件的 SHA-256", "SHA-256 of the recording"),
        _C("started_at", "time", "开始时间：ISO 8601，业务时区 (time.zone)；只知道日期时为当天零点",
           "start of the call, ISO 8601 in business time (time.zone); midnight where only the date is known"),
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
        _C("status", "text", "状态：ok 完成，failed 失败", "ok or failed"),
        _C("error", "text", "错误", "why the newest attempt failed or stayed partial"),
        _C("warnings", "text", "提醒：以分号分隔", "what to bear in mind, separated by semicolons"),
        _C("preset", "text", "预设", "name of the preset of settings"),
        _C("program_version", "text", "程序版本", "version of the program"),
        _C("processing_seconds", "seconds", "处理耗时", "time the analysis took"),
        *_measured(*columns()),
        *_measured(*(m.id for m in SCORES)),
        _C("slug", "text", "地址：通话在网页地址中的写法", "the call in an address of the desk", 3),
        _C("week", "text", "周：ISO 周，按业务时区", "ISO week in business time (time.zone)", 3),
        _C("queue", "text", "队列", "queue the call came through", 3),
        _C("wait_s", "seconds", "排队时间：接通之前", "time in the queue before the answer", 3),
        _C("settings_hash", "text", "设置哈希：录音据此分析",
           "SHA-256 of the settings it was heard with", 3),
        _C("rubric_hash", "text", "规范哈希：录音据此评判",
           "SHA-256 of the rubric it was judged by", 3),
        _C("agent_language", "text", "坐席语言：识别到的语言；und 为无法确定",
           "language the agent speaks; und: not clear", 14),
        _C("agent_language_probability", "ratio", "坐席语言的把握：没有疑问时为空",
           "probability of that language; null where nothing gave doubt", 14),
        _C("customer_language", "text", "客户语言：识别到的语言；und 为无法确定",
           "language the customer speaks; und: not clear", 14),
        _C("customer_language_probability", "ratio", "客户语言的把握：没有疑问时为空",
           "probability of that language; null where nothing gave doubt", 14),
        _C("compliance_low", "score", "得分下限：结论把握所留的余地",
           "lower end of what the score could be by the confidence of its verdicts (95 %)", 6),
        _C("compliance_high", "score", "得分上限：结论把握所留的余地",
           "upper end of what the score could be by the confidence of its verdicts (95 %)", 6),
        _C("reviewed_items", "count", "复核项数：人工复核过的评分项", "rubric items that people reviewed", 12),
        _C("legs", "count", "通话段数：转接给另一坐席后加一；指标和结论只属于第一段",
           "legs of the call: more than one where another agent took over after a transfer; measures "
           "and verdicts are of the first", 17),
        _C("agent_id_2", "text", "转接后坐席工号", "agent who took over after a transfer", 17),
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
        _C("pitch_sd_st", "semitones", "语调变化", "SD of pitch"),
        _C("is_backchannel", "flag", "是否附和", "whether it is only a listening signal"),
        _C("confidence", "ratio", "识别置信度", "confidence of the recognition"),
        _C("phase", "text", "阶段：opening 开场，closing 结尾", "opening, body or closing"),
        _C("aside", "text", "不计入：不属于当前坐席与客户的原因",
           "why nobody is judged by it: ivr, hold or away", 16),
        _C("leg", "count", "通话段：1 起，转接给另一坐席后加一",
           "leg of the call, from 1; another agent after a transfer begins a new one", 17),
    ),
    "events": (
        _C("call_id", "text", "通话编号", "identifier of the call"),
        _C("event", "count", "事件序号", "number of the event within the call"),
        _C("kind", "text", "类型：如 interruption 抢话、hold 等待", "kind of the event"),
        _C("by", "text", "谁：agent 坐席，customer 客户", "agent or customer"),
        _C("start", "seconds", "开始", "start"),
        _C("end", "seconds", "结束", "end"),
        _C("seconds", "seconds", "时长", "length"),
        _C("detail", "json", "细节", "details, as JSON"),
        _C("confidence", "ratio", "置信度", "confidence"),
        _C("source", "text", "来源：heard 听到，switch 交换机",
           "heard, or switch for what the switch (PBX) knows", 16),
        _C("superseded", "flag", "已被取代：以交换机为准，不计入",
           "heard, but replaced by what the switch knows: it does not count", 16),
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
        _C("item_zh", "text", "评分项名称", "name of the item in Chinese", since=7),
        _C("section", "text", "所属部分", "section of the rubric", since=7),
        _C("evidence", "text",
           "证据类型：said 说过，omitted 没有说，trigger 触发情形，measure 指标，event 事件，seen 未触发而做到",
           "said, omitted, trigger, measure, event, or seen (done without its trigger)", since=7),
        _C("place", "text", "应当出现的位置：仅用于没有说的话",
           "where an omission was looked for: opening, closing, after_trigger ...", since=7),
        _C("trigger_start", "seconds", "触发情形开始", "start of the trigger", since=7),
        _C("trigger_end", "seconds", "触发情形结束", "end of the trigger", since=7),
        _C("probability", "ratio", "结论正确的概率", "probability that the verdict is right", since=7),
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
        _C("scored_at", "time", "评分时间：ISO 8601，业务时区；读不懂的照原样",
           "when it was scored, ISO 8601 in business time; as given where that cannot be read"),
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
