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
            f"{rows[name].zh}：{rows[name].measure.definition_zh}",
            f"{rows[name].en}: {rows[name].measure.definition}",
            rows[name].measure.since,
        )
        for name in names
    )


# fmt: off
_C = Column
_CALL_ID = _C("call_id", "text", "通话编号：本次录音在各表中的编号，同一通电话处处相同",
              "identifier of the call")
TABLES: Mapping[str, tuple[Column, ...]] = {
    "calls": (
        _CALL_ID,
        _C("path", "text", "录音文件：录音的路径或网址；双文件录音是第一个", "path of the recording"),
        _C("sha256", "text", "内容哈希：录音文件的 SHA-256", "SHA-256 of the recording"),
        _C("started_at", "time", "开始时间：ISO 8601，业务时区 (time.zone)；只知道日期时为当天零点",
           "start of the call, ISO 8601 in business time (time.zone); midnight where only the date is known"),
        _C("duration", "seconds", "时长：录音从头到尾的秒数，含振铃和等待", "length of the recording"),
        _C("channels", "count", "声道数：录音里的声道，2 个时通常每人一个", "number of channels"),
        _C("sample_rate", "count", "采样率：每秒采样数 (Hz)", "sample rate of the recording, Hz"),
        _C("codec", "text", "编码格式：声音在文件里怎样存放，如 pcm_mulaw", "audio codec"),
        _C("language", "text", "语言：按哪种语言识别，如 zh", "language that was recognised"),
        _C("agent_id", "text", "坐席工号：元数据给出的工号；转接时是第一位坐席的", "identifier of the agent"),
        _C("agent_name", "text", "坐席姓名：元数据给出的姓名", "name of the agent"),
        _C("team", "text", "班组：元数据给出的班组；与同组坐席比较", "team of the agent"),
        _C("direction", "text", "呼叫方向：inbound 呼入，outbound 呼出", "inbound or outbound"),
        _C("speaker_source", "text", "说话人依据：channel 声道，diarization 声纹",
           "how speakers were told apart: channel or diarization"),
        _C("role_confidence", "ratio", "角色置信度：坐席与客户判定的把握",
           "confidence in who is the agent"),
        _C("status", "text", "状态：ok 完成，failed 失败", "ok or failed"),
        _C("error", "text", "错误：最近一次分析为什么失败；为空表示没有失败",
           "why the newest attempt failed or stayed partial"),
        _C("warnings", "text", "提醒：以分号分隔", "what to bear in mind, separated by semicolons"),
        _C("preset", "text", "预设：分析时用的一套设置，如 embedded", "name of the preset of settings"),
        _C("program_version", "text", "程序版本：分析这通录音的 callcoach 版本", "version of the program"),
        _C("processing_seconds", "seconds", "处理耗时：分析这通录音用了多少秒", "time the analysis took"),
        *_measured(*columns()),
        *_measured(*(m.id for m in SCORES)),
        _C("slug", "text", "地址：通话在网页地址中的写法", "the call in an address of the desk", 3),
        _C("week", "text", "周：ISO 周，按业务时区", "ISO week in business time (time.zone)", 3),
        _C("queue", "text", "队列：电话是从哪个队列（技能组）进来的，由元数据给出",
           "queue the call came through", 3),
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
        _C("agent_id_2", "text", "转接后坐席工号：转接后接手的坐席的工号；没有转接为空",
           "agent who took over after a transfer", 17),
    ),
    "turns": (
        _CALL_ID,
        _C("turn", "count", "话轮序号：本通中第几个话轮，从 0 起",
           "number of the turn within the call, from 0"),
        _C("speaker", "text", "说话人：agent 坐席，customer 客户", "agent or customer"),
        _C("start", "seconds", "开始：话轮开始的时刻，从录音开头起的秒数",
           "when the turn begins, from the start of the recording"),
        _C("end", "seconds", "结束：话轮结束的时刻，从录音开头起的秒数",
           "when the turn ends, from the start of the recording"),
        _C("text", "text", "文本：识别出的话；… 表示没有听懂",
           "words as recognised; … where none were understood"),
        _C("text_masked", "text", "脱敏文本：隐去个人信息", "words with personal data masked"),
        _C("units", "count", "字数：按读音计的字数，数字展开，不计标点",
           "Han characters as spoken, numbers expanded, no punctuation"),
        _C("speaking_rate", "rate", "语速：每分钟字数，含话轮内自己的停顿；字数太少为空",
           "units per minute, own pauses included; null with too few units"),
        _C("articulation_rate", "rate", "净语速：每分钟字数，去掉 0.25 秒及以上的停顿",
           "units per minute without pauses of 0.25 s and more"),
        _C("level_dbfs", "dbfs", "音量：独自说话部分的电平，扣除噪声；满幅正弦为 -3",
           "level of what is spoken alone, noise taken out; a full-scale sine is -3"),
        _C("f0_median_hz", "hz", "音高：基频中位数", "median fundamental frequency"),
        _C("pitch_sd_st", "semitones", "语调变化：基频相对本人中位数的标准差，越小越平",
           "SD of pitch about the own median; small is monotonous"),
        _C("is_backchannel", "flag", "是否附和：只是嗯、是的之类的回应，没有取得发言权",
           "only a listening signal (嗯, 是的) that did not take the floor"),
        _C("confidence", "ratio", "识别置信度：识别出的字的平均把握，0-1",
           "how sure the recognition is of the words, 0-1"),
        _C("phase", "text", "阶段：opening 开场，body 中间，closing 结尾",
           "where the turn stands in the call: opening, body or closing"),
        _C("aside", "text",
           "不计入：不属于当前坐席与客户的原因：ivr 语音导航，hold 保持，away 坐席不在；为空照常计入",
           "why it counts for neither party: in an ivr or a hold, or the agent is away; null where it "
           "counts", 16),
        _C("leg", "count", "通话段：1 起，转接给另一坐席后加一",
           "leg of the call, from 1; another agent after a transfer begins a new one", 17),
    ),
    "events": (
        _CALL_ID,
        _C("event", "count", "事件序号：本通中第几个事件，从 0 起",
           "number of the event within the call, from 0"),
        _C("kind", "text",
           "类型：hold 等待，dead_air 冷场（5 秒起），silence 沉默（3 秒起），response_delay 应答迟，"
           "interruption 抢话，backchannel 附和，overlap 重叠，raised_voice 提高嗓门，fast_speech 语速快，"
           "ringing 振铃，recorder_pause 录音暂停，machine_speech 机器语音，transfer 转接，agent_join "
           "坐席接入，agent_leave 坐席离开",
           "what happened: see docs/outputs.md, Events"),
        _C("by", "text", "谁：由谁引起：agent 坐席，customer 客户；为空表示都不是",
           "whose event it is: agent or customer; null where it is neither's"),
        _C("start", "seconds", "开始：事件开始的时刻，从录音开头起的秒数",
           "when it begins, from the start of the recording"),
        _C("end", "seconds", "结束：事件结束的时刻，从录音开头起的秒数",
           "when it ends, from the start of the recording"),
        _C("seconds", "seconds", "时长：结束减开始", "end less start"),
        _C("detail", "json", "细节：因类型而异的细节，各键见 detail. 开头的行",
           "what else is known of it, by kind; its keys are the rows detail.…"),
        _C("confidence", "ratio", "置信度：有多大把握确有此事，0-1", "how sure it is that it happened, 0-1"),
        _C("source", "text", "来源：heard 听到，switch 交换机",
           "heard, or switch for what the switch (PBX) knows", 16),
        _C("superseded", "flag", "已被取代：听到了，但交换机另有说法，以交换机为准，不计入指标和结论",
           "heard, but the switch says otherwise: it counts for no measure and no verdict", 16),
    ),
    "verdicts": (
        _CALL_ID,
        _C("item_id", "text", "评分项：评分规范里这一项的编号", "identifier of the item in the rubric"),
        _C("source", "text", "来源：rubric 本程序，outside 外部质检", "rubric or outside"),
        _C("verdict", "text", "结论：pass 通过，fail 未过，not_applicable 不适用，cannot_tell 难判",
           "pass, fail, not_applicable or cannot_tell"),
        _C("score", "score", "得分：这一项得到的分；外部质检为表中所给",
           "points given; of outside verdicts as their table says"),
        _C("max_score", "score", "满分：这一项最多能得的分", "points that can be had for the item"),
        _C("weight", "number", "权重：这一项在总分里的分量；0 为只作提示，不计分",
           "what the item counts in the score; 0: it is shown and counts for nothing"),
        _C("speaker", "text", "说话人：证据出自谁", "whose words are the evidence"),
        _C("start", "seconds", "证据开始：作为证据的话或事件开始的时刻；没有说的话为空",
           "when the evidence begins; null where something was not said"),
        _C("end", "seconds", "证据结束：作为证据的话或事件结束的时刻；没有说的话为空",
           "when the evidence ends; null where something was not said"),
        _C("quote", "text", "原话：识别到的词句", "words that were heard"),
        _C("matched", "text", "匹配：命中的话术或指标", "phrase or measure that matched"),
        _C("confidence", "ratio", "置信度：结论站得住的把握，0-1；换算成概率见 probability",
           "how sure the verdict is by its rule, 0-1; as a probability: probability"),
        _C("reviewer", "text", "质检员：外部质检的人；本程序的结论为空",
           "who judged, of outside verdicts; null for those of the rubric"),
        _C("note", "text", "备注：对结论的补充说明", "what is to be added to the verdict"),
        _C("item_zh", "text", "评分项名称：评分规范里这一项的中文名",
           "name of the item in Chinese, as the rubric has it", since=7),
        _C("section", "text", "所属部分：评分规范里这一项所在部分的编号",
           "section of the rubric that the item stands in", since=7),
        _C("evidence", "text",
           "证据类型：said 说过，omitted 没有说，trigger 触发情形，measure 指标，event 事件，seen 未触发而做到",
           "said, omitted, trigger, measure, event, or seen (done without its trigger)", since=7),
        _C("place", "text", "应当出现的位置：仅用于没有说的话",
           "where an omission was looked for: opening, closing, after_trigger ...", since=7),
        _C("trigger_start", "seconds", "触发情形开始：引出这一项的话或事件（如等待）开始的时刻",
           "when what calls for the item (such as a hold) begins", since=7),
        _C("trigger_end", "seconds", "触发情形结束：引出这一项的话或事件（如等待）结束的时刻",
           "when what calls for the item (such as a hold) ends", since=7),
        _C("probability", "ratio", "结论正确的概率：按人工复核校准，结论正确的概率，0-1",
           "probability that the verdict is right, fitted to reviews by people, 0-1", since=7),
    ),
    "failures": (
        _C("path", "text", "录音文件：没有分析成的录音的路径或网址",
           "path or URL of the recording that was not analysed"),
        _C("call_id", "text", "通话编号：这通录音的编号", "identifier of its call"),
        _C("stage", "text", "环节：失败在哪一步：recordings 找录音，audio 解码，其余为各分析步骤",
           "what failed: recordings (finding it), audio (decoding), or a later stage"),
        _C("error_type", "text", "错误类型：错误的类名，如 UnreadableAudio 文件读不出",
           "class of the error, such as UnreadableAudio"),
        _C("message", "text", "说明：出了什么问题，一句话", "what went wrong, in a sentence"),
        _C("hint", "text", "建议：接下来可以怎么做", "what to do next, in a sentence"),
    ),
    "outside_scores": (
        _C("file", "text", "来源文件：这一行来自哪个文件，有多个工作表时带表名",
           "file the row was imported from, with its sheet where there are several"),
        _C("row", "count", "行号：在该文件里是第几行", "row in that file"),
        _C("call_id", "text", "通话编号：空表示没有对上", "call it was joined to; null if none"),
        _C("given_call_id", "text", "表中编号：表中写的通话编号，未必对得上",
           "call_id as the table gives it, whether it is known or not"),
        _C("recording", "text", "表中录音名：表中写的录音文件名", "recording as the table names it"),
        _C("item_id", "text", "评分项：空表示总分", "rubric item; null for an overall score"),
        _C("verdict", "text", "结论：pass 通过，fail 未过，not_applicable 不适用，cannot_tell 难判；总分为空",
           "pass, fail, not_applicable or cannot_tell; null for an overall score"),
        _C("score", "score", "得分：质检员给的分，按满分 max_score 计", "score as given, of max_score"),
        _C("max_score", "score", "满分：这一行的满分；没有给出时总分按 100，单项按 1",
           "points that can be had; 100 for a call and 1 for an item where none are given"),
        _C("reviewer", "text", "质检员：打分的人", "who scored"),
        _C("scored_at", "time", "评分时间：ISO 8601，业务时区；读不懂的照原样",
           "when it was scored, ISO 8601 in business time; as given where that cannot be read"),
        _C("note", "text", "备注：质检员写的备注或扣分原因", "what the reviewer wrote"),
        _C("problem", "text", "问题：为什么没有采用", "why the row was not used"),
    ),
}
DETAILS: tuple[Column, ...] = (
    _C("yielded", "flag", "让出：抢话后对方是否让出发言权",
       "interruption: whether the other gave up the floor"),
    _C("kind", "text",
       "细类：抢话 successful 成功、attempted 未成；重叠 simultaneous 同时开口、terminal 句末、unsure 不确定",
       "interruption: successful or attempted; overlap: simultaneous, terminal or unsure"),
    _C("overlap_s", "seconds", "重叠时长：双方同时说话的秒数", "interruption, overlap: how long both spoke"),
    _C("words", "text", "话：引起事件的一方或机器说的话",
       "words of who spoke into the turn, or of the machine"),
    _C("words_other", "text", "对方的话：被打断的一方当时说的话",
       "interruption, overlap: words of the other party"),
    _C("medium", "text", "等待形式：silence 静音，music 音乐，unknown 不明", "hold: silence, music or unknown"),
    _C("announced", "flag", "已告知：开始前是否请客户等待", "hold: whether a wait phrase came before it"),
    _C("returned_at", "seconds", "回来时刻：坐席再次开口，从录音开头起的秒数",
       "hold: when the agent speaks again, from the start of the recording"),
    _C("reason_given", "flag", "说明原因：是否说了为什么要等",
       "hold: whether a reason was given, by the rubric"),
    _C("consent", "flag", "客户同意：客户是否同意等待", "hold: whether the customer agreed, by the rubric"),
    _C("limit_s", "seconds", "说明时限：告诉客户要等多少秒",
       "hold: how long it was said to take, by the rubric"),
    _C("thanked", "flag", "回来致谢：回来后是否感谢等待",
       "hold: whether thanks for waiting came after it, by the rubric"),
    _C("filled", "json", "规范所填：由评分规范写入的键", "hold: which keys the rubric filled in"),
    _C("agent_id", "text", "工号：交换机给出的坐席", "of the switch: the agent it names"),
    _C("after", "text", "之前说话的人：沉默之前是谁在说", "dead_air, silence: who spoke before it"),
    _C("instead_of", "text", "取代：原来听成的事件类型", "dead_air, silence: what was heard in its place"),
    _C("gap_s", "seconds", "间隔：对方说完到应答的秒数", "response_delay: from the other's end to the answer"),
    _C("over_own_median_db", "db", "高出：比本人音量中位数高多少分贝",
       "raised_voice: over the speaker's own median level"),
    _C("speaking_rate", "rate", "语速：这个话轮的语速", "fast_speech: rate of the turn"),
    _C("limit", "rate", "界限：超过即为语速快", "fast_speech: rate from which on it is fast"),
    _C("own_median", "rate", "本人中位数：本人各话轮语速的中位数",
       "fast_speech: the speaker's own median rate"),
    _C("rings", "count", "响铃次数：回铃音响了几声", "ringing: number of rings"),
    _C("spans", "json", "各段：每一段的起止秒数", "ringing, machine_speech: start and end of each stretch"),
    _C("heard_with", "text", "所在声道：机器语音出现在谁的声道",
       "machine_speech: on whose channel it is heard"),
    _C("signs", "json", "迹象：凭什么认为是机器", "machine_speech: by what it was told"),
)
"""The keys that ``events.detail`` may hold."""
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
