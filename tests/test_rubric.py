"""Rubric files: loading, errors that point, extending, checks, examples, documentation."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import jsonschema
import pytest

from pipeline.commands import documents
from pipeline.errors import RubricError
from pipeline.io.yaml import read_yaml
from pipeline.rubric import (
    annotated,
    check_rubric,
    diff_verdicts,
    find_rubric,
    judge,
    load_rubric,
    rubric_from_text,
    run_examples,
)
from pipeline.rubric.context import Hearing
from pipeline.rubric.examples import parse_example
from pipeline.rubric.load import Item, Short
from pipeline.rubric.located import Located, parse_located
from pipeline.rubric.parsing import BARE, OPERATORS
from pipeline.rubric.places import Place
from pipeline.rubric.speech_rules import Predicate
from pipeline.schema import AGENT, CUSTOMER, Dialogue, Event, Recording, Turn
from pipeline.settings import config_folder
from pipeline.text.phonetic.phrases import parse_phrase

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "rubrics.md").read_text(encoding="utf-8")
IDS = [
    "opening_greeting",
    "opening_self_introduction",
    "opening_offer_help",
    "opening_holiday_greeting",
    "opening_rude_answer",
    "use_customer_name",
    "ask_customer_name",
    "repeat_back_information",
    "hold_reason",
    "hold_consent",
    "hold_time_limit",
    "hold_thanks",
    "hold_bare_wait",
    "hold_checkin",
    "transfer_reason",
    "transfer_consent",
    "transfer_handover",
    "promise_time_limit",
    "confirm_understanding",
    "further_help",
    "closing_thanks",
    "closing_goodbye",
    "customer_hangs_up_first",
    "respond_to_thanks",
    "thank_for_suggestion",
    "complaint_apology",
    "complaint_empathy",
    "refusal_with_alternative",
    "inaudible_apology",
    "silent_caller_prompt",
    "silent_caller_closing",
    "pen_and_paper",
    "ask_permission_to_question",
    "outbound_self_introduction",
    "outbound_convenient_time",
    "outbound_calling_hours",
    "outbound_within_three_minutes",
    "recap_summary",
    "clarify_purpose",
    "one_question_at_a_time",
    "thank_for_answer",
    "positive_language",
    "offer_choices",
    "ask_customer_solution",
    "establish_contact",
    "weakness_before_strength",
    "long_wait_apology",
    "complaint_about_colleague",
    "complaint_about_self",
    "supervisor_request",
    "other_agent_request",
    "wrong_number",
    "out_of_scope_request",
    "personal_information",
    "harassment_handling",
    "verification_failed",
    "transfer_ask_name_purpose",
    "transfer_received",
    "outbound_leave_message",
    "outbound_monday_early",
    "prohibited_phrases",
    "negative_language",
    "blaming_colleague",
    "arguing_with_customer",
    "personal_remark",
    "speaking_rate",
    "speaking_rate_by_phase",
    "rate_match",
    "volume_match",
    "volume_when_inaudible",
    "pitch_variation",
    "emphasis_pause",
    "no_interrupting",
    "response_latency",
    "answer_within_two_rings",
    "hold_duration",
    "dead_air",
    "call_duration",
]

FILES = sorted((config_folder() / "rubrics").rglob("*.yaml"))

GOOD = """\
rubric: {id: t, name: {zh: 测, en: t}}
documents: {D: manual}
sections: {s: {zh: 节, en: S}}
phrases:
  hello: [您好, 早上好]
items:
  greet:
    name: {zh: 名, en: N}
    section: s
    source: [D]
    pass:
      says: {by: agent, any: [$hello], where: {first_turns: 1}}
"""


def error_of(text: str) -> str:
    with pytest.raises(RubricError) as raised:
        rubric_from_text(text, "my.yaml")
    return str(raised.value)


def test_every_row_of_the_standard_is_an_item_with_names_and_source() -> None:
    rubric = load_rubric("hotline")
    assert sorted(i.id for i in rubric.items) == sorted(IDS)
    for item in rubric.items:
        assert re.search("[\u4e00-\u9fff]", item.name_zh + item.description_zh)
        assert item.name_en
        assert item.description_en
        assert item.sources
        assert set(item.sources) <= set(rubric.documents)
        assert item.section in {s.id for s in rubric.sections}


@pytest.mark.parametrize("name", ["hotline", "outbound"])
def test_examples_of_the_built_in_rubrics(name: str) -> None:
    results = run_examples(load_rubric(name))
    wrong = [
        f"{r.at} {r.item_id}: {r.got}, not {r.expected}: {r.text}" for r in results if not r.ok
    ]
    assert not wrong, "\n".join(wrong)


def test_every_built_in_item_has_two_examples_of_each_kind() -> None:
    for item in load_rubric("hotline").items:
        for verdict in ("pass", "fail"):
            assert sum(e.expected == verdict for e in item.examples) >= 2, (item.id, verdict)


@pytest.mark.parametrize("name", ["hotline", "outbound"])
def test_built_in_rubrics_have_no_problems(name: str) -> None:
    assert check_rubric(name) == ()


def test_documentation_names_every_item_operator_and_slot() -> None:
    for name in IDS:
        assert f"`{name}`" in DOCS
    for operator in OPERATORS:
        assert re.search(rf"\b{operator}\b: ?[\[{{\n]|`{operator}`", DOCS), operator
    rules = (rule for name, rule in OPERATORS.items() if name not in BARE)
    for form in (*rules, Item, Short, Hearing, Place):
        for key in form.written():
            assert f"`{key}" in DOCS or f"{key}:" in DOCS, (form, key)
    for predicate in get_args(Predicate):
        assert f"`{predicate}`" in DOCS


def test_examples_in_the_documentation_are_valid_rubrics() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS, flags=re.S)
    whole = [b for b in blocks if b.startswith("rubric:")]
    assert whole
    for block in whole:
        results = run_examples(rubric_from_text(block))
        assert results
        assert all(r.ok for r in results)
    conditions = [b for b in blocks if re.match(rf"(?:{'|'.join(OPERATORS)}):", b)]
    assert len(conditions) >= 10
    sets = "phrases:\n  thanks: [谢谢]\n  greeting: [您好]\n  offer_help: [帮您]"
    base = GOOD.replace("phrases:", sets).replace("  greet:", "  complaint_apology:")
    base += "  other:\n    name: {zh: 名, en: N}\n    section: s\n    pass:\n"
    for block in conditions:
        for single in _single_conditions(block):
            body = "".join(f"      {line}\n" for line in single.splitlines())
            assert rubric_from_text(base + body).item("other").passes is not None


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "hint"),
    [
        ("where:", "wher:", 12, "items.greet.pass.says.wher", 'Did you mean "where"?'),
        ("says:", "say:", 12, "items.greet.pass.say", 'Did you mean "says"?'),
        ("$hello", "$helo", 12, "any[0]", 'Did you mean "hello"?'),
        ("section: s", "section: z", 9, "items.greet.section", "Allowed: s."),
        ("by: agent", "by: agnet", 12, "says.by", 'Did you mean "agent"?'),
        ("first_turns: 1", "first_turns: x", 12, "first_turns", "a number is needed"),
        ("first_turns: 1", "first_turns: 0", 12, "first_turns", "out of range"),
        ("first_turns: 1", "within_s: 3", 12, "where", "need before, after"),
        ("first_turns: 1", "after: hodl", 12, "after", 'Did you mean "hold"?'),
        ("any: [$hello]", "any: [您(好]", 12, "any[0]", "unmatched"),
        ("any: [$hello]", 'any: ["{surnam}先生"]', 12, "any[0]", 'Did you mean "surname"?'),
        ("any: [$hello]", "any: [好], all: [好]", 12, "says", "exactly one of"),
        ("source: [D]", "source: [E]", 10, "source[0]", "Allowed: D."),
        ("source: [D]", "wieght: 2", 10, "wieght", 'Did you mean "weight"?'),
        ("source: [D]", "weight: heavy", 10, "weight", "a number is needed"),
        ("source: [D]", "severity: hard", 10, "severity", "Allowed: minor"),
        ("source: [D]", "section: s", 10, "section", "stands here twice"),
        ("    pass:", "    psas:", 11, "psas", 'Did you mean "pass"?'),
        ("phrases:", "phrase:", 4, "phrase", 'Did you mean "phrases"?'),
        ("source: [D]", "when: {item: {id: gret, is: pass}}", 10, "id", 'Did you mean "greet"?'),
        ("source: [D]", "when: {item: {id: greet, is: pass}}", 7, "greet", "in a circle"),
        ("source: [D]", "when: {measure: {of: x}}", 10, "measure", "min or max is needed"),
        ("source: [D]", "when: {measure: {of: x, min: 3, max: 1}}", 10, "measure", "above max"),
        ("source: [D]", "when: {call: {local_time: {from: 8 Uhr, to: 22:00}}}", 10, "from", "08:00"),
        ("source: [D]", "when: {event: {kind: holt}}", 10, "kind", 'Did you mean "hold"?'),
        ("source: [D]", "when: {says: {regex: ['[']}}", 10, "regex", "regular expression"),
        ("source: [D]", "examples: {should_pass: ['B: 好']}", 10, "should_pass", "is no turn"),
        ("source: [D]", "examples: {should_pass: ['[hodl 3]']}", 10, "should", 'mean "hold"?'),
    ],
)  # fmt: skip
def test_errors_name_file_line_key_and_the_nearest_name(
    old: str, new: str, line: int, key: str, hint: str
) -> None:
    assert old in GOOD
    message = error_of(GOOD.replace(old, new, 1))
    assert message.startswith(f"my.yaml:{line}: ")
    assert key in message
    assert hint in message


def test_unknown_measures_are_errors_when_the_names_are_known(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    rule = "pass: {measure: {of: agent_speeking_rate, max: 180}}"
    file.write_text(GOOD[: GOOD.index("    pass:")] + "    " + rule, encoding="utf-8")
    assert load_rubric(file).items[0].id == "greet"
    with pytest.raises(RubricError, match='Did you mean "agent_speaking_rate"'):
        load_rubric(file, frozenset({"agent_speaking_rate", "holds"}))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RubricError, match="cannot be read"):
        load_rubric(tmp_path / "none.yaml")
    with pytest.raises(RubricError, match="hotline"):
        load_rubric("hotlin")
    bad = tmp_path / "bad.yaml"
    bad.write_text("rubric: {id: t\nitems: [", encoding="utf-8")
    with pytest.raises(RubricError, match=r"bad\.yaml:\d+: not valid YAML"):
        load_rubric(bad)
    bad.write_text("", encoding="utf-8")
    with pytest.raises(RubricError, match="empty"):
        load_rubric(bad)
    bad.write_bytes("您好".encode("gbk"))
    with pytest.raises(RubricError, match="UTF-8"):
        load_rubric(bad)


def test_a_rubric_extends_another_one(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(GOOD, encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(
        "extends: base.yaml\nrubric: {id: own}\nitems:\n  greet: {weight: 4, severity: veto}\n",
        encoding="utf-8",
    )
    rubric = load_rubric(own)
    assert (rubric.id, rubric.items[0].weight, rubric.items[0].severity) == ("own", 4.0, "veto")
    assert rubric.items[0].passes is not None
    own.write_text("extends: base.yaml\nitems:\n  greet: {enabled: false}\n", encoding="utf-8")
    assert load_rubric(own).items == ()
    own.write_text("extends: own.yaml\nitems: {}\n", encoding="utf-8")
    with pytest.raises(RubricError, match="circle"):
        load_rubric(own)


def test_the_digest_depends_on_what_the_file_says_not_on_its_name(tmp_path: Path) -> None:
    one, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    one.write_text(GOOD, encoding="utf-8")
    other.write_text(GOOD + "# a comment\n", encoding="utf-8")
    assert load_rubric(one).sha256 == load_rubric(other).sha256
    other.write_text(GOOD.replace("早上好", "晚上好"), encoding="utf-8")
    assert load_rubric(one).sha256 != load_rubric(other).sha256


def test_outbound_is_the_hotline_without_answered_calls() -> None:
    hotline, outbound = load_rubric("hotline"), load_rubric("outbound")
    assert {i.id for i in outbound.items} < {i.id for i in hotline.items}
    assert outbound.hearing.default_direction == "outbound"
    assert find_rubric("outbound").name == "outbound.yaml"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "pass: {says: {any: [请稍等一下], except: [稍等一下, 请稍等一下吧, 请稍等一下]}}",
            "barred by",
        ),
        (
            "applies: {call: {min_s: 60, max_s: 30}}\n    pass: {says: {any: [好]}}",
            "is above max_s",
        ),
        (
            "applies: {call: {direction: inbound}}\n    when: {call: {direction: outbound}}\n"
            "    pass: {says: {any: [好]}}",
            "an inbound and an outbound call at once",
        ),
        ("pass: {says: {any: [好, 行], at_least: 3}}", "at_least 3 of 2 phrases"),
        ("pass: {call: {local_time: {from: 22:00, to: 08:00}}}", "is after to 08:00"),
        ("fail: {says: {by: agent, any: [早上好]}}", 'it forbids "早上好", which greet asks for.'),
        (
            "pass: {says: {any: [再见]}}\n    examples: {should_pass: ['A: 好。']}",
            'the example "A: 好。" is fail, not pass.',
        ),
    ],
)
def test_the_check_finds_rules_that_cannot_work(tmp_path: Path, rule: str, message: str) -> None:
    file = tmp_path / "r.yaml"
    other = f"  other:\n    name: {{zh: 名, en: N}}\n    section: s\n    {rule}\n"
    file.write_text(GOOD + other, encoding="utf-8")
    errors = [p for p in check_rubric(file) if p.level == "error"]
    assert [p.item_id for p in errors] == ["other"]
    assert message in errors[0].message


def test_the_check_warns_of_missing_examples_and_reports_a_bad_file(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(GOOD, encoding="utf-8")
    assert [p.level for p in check_rubric(file)] == ["warning", "warning"]
    file.write_text(GOOD.replace("says:", "say:"), encoding="utf-8")
    (problem,) = check_rubric(file)
    assert "r.yaml:12" in problem.message


def test_the_diff_lists_verdicts_that_change() -> None:
    old = rubric_from_text(GOOD)
    new = rubric_from_text(GOOD.replace("早上好", "晚上好"))
    calls = [
        parse_example(Located(text, "t", 1, "t"), "pass").dialogue
        for text in ("A: 早上好。 / C: 你好。", "A: 您好。 / C: 你好。")
    ]
    (change,) = diff_verdicts(old, new, calls)
    assert (change.item_id, change.before, change.after) == ("greet", "pass", "fail")


def test_yaml_is_read_as_1_2() -> None:
    top = parse_located("a: 18:00\nb: no\nc: true\nd: 0x1F\ne: 1_000\nf: 010\ng: ~", "t").mapping()
    assert [top[k].value for k in "abcdefg"] == ["18:00", "no", True, 31, 1000, 10, None]


def _single_conditions(block: str) -> list[str]:
    """Split a block that shows several conditions one after the other."""
    parts = re.split(r"\n(?=\S)", block.rstrip())
    return [p for p in parts if p.strip()]


def _judged(text: str, lines: str, item: str = "it") -> str:
    rubric = rubric_from_text(text)
    found = parse_example(parse_located(f'"{lines}"', "example"), "pass")
    return next(v.verdict for v in judge(found.dialogue, rubric) if v.item_id == item)


_HEAD = (
    "rubric: {id: own}\nsections: {s: {zh: 节, en: Section}}\nitems:\n"
    "  it:\n    name: {zh: 项, en: It}\n    section: s\n"
)


@pytest.mark.parametrize(
    ("customer", "verdict"),
    [
        ("我的号码是一三八七四零零二三三五。", "not_applicable"),  # 七四 is no 气死
        ("星期四下午过来吧。", "not_applicable"),
        ("路由号器在门口。", "not_applicable"),  # 号器 is no 好气
        ("我真的气死了。", "fail"),
    ],
)
def test_numbers_and_other_words_are_no_trigger(customer: str, verdict: str) -> None:
    text = _HEAD + (
        "    when: {says: {by: customer, any: [气死, 好气]}}\n"
        "    pass: {says: {by: agent, any: [抱歉]}}\n"
    )
    assert _judged(text, f"C: {customer} / A: 知道了。") == verdict


@pytest.mark.parametrize("wide", ["（请）稍等", "请[您］稍等", "请｛surname｝"])
def test_full_width_brackets_are_refused_with_the_right_ones(wide: str) -> None:
    with pytest.raises(RubricError, match="full-width") as caught:
        parse_phrase(wide)
    assert "Write" in caught.value.hint


def test_asking_whether_one_minds_is_no_negation() -> None:
    text = _HEAD + "    pass: {says: {by: agent, any: [介意]}}\n"
    assert _judged(text, "A: 我给您转过去，您不介意吧？") == "pass"
    assert _judged(text, "A: 我不介意的。") == "fail"


@pytest.mark.parametrize("name", ["中国移动", "顺丰速运", "仁和医院预约挂号台", "美团"])
def test_organisations_of_any_length_introduce(name: str) -> None:
    rubric = load_rubric("hotline")
    for line in (
        f"A: 您好，{name}，请问有什么可以帮您？",
        f"A: 您好，{name}，请讲。",
        f"A: 您好，{name}。",
    ):
        found = parse_example(parse_located(f'"{line} / C: 我要报修。"', "example"), "pass")
        verdicts = {v.item_id: v.verdict for v in judge(found.dialogue, rubric)}
        assert verdicts["opening_self_introduction"] == "pass", line
        assert verdicts["opening_rude_answer"] == "pass", line


def test_a_number_taken_back_by_its_speaker_need_not_be_said_back() -> None:
    text = _HEAD + (
        "    when: {states: {by: customer, what: digits}}\n"
        "    pass: {repeats_back: {by: agent, of: customer, what: digits, share: 1}}\n"
    )
    call = "C: 我的卡号是七八九零，不对，是七八九一。 / A: {said}，对吗？"
    assert _judged(text, call.format(said="七八九一")) == "pass"
    assert _judged(text, call.format(said="七八九零")) == "fail"


def test_a_number_said_back_with_a_digit_in_doubt_passes_and_says_so() -> None:
    text = _HEAD + (
        "    when: {states: {by: customer, what: digits}}\n"
        "    pass: {repeats_back: {by: agent, of: customer, what: digits}}\n"
    )
    said = Turn(1, AGENT, 5.0, 8.0, ((5.0, 8.0),), "一三八零零一二七七四六", (), 0.72)
    stated = Turn(0, CUSTOMER, 0.0, 4.0, ((0.0, 4.0),), "一三八零零一二七七四五", (), 0.93)
    call = Dialogue(Recording("a", "a"), 10.0, (stated, said), ())
    found = judge(call, rubric_from_text(text))[0]
    assert (found.verdict, found.note) == (
        "pass",
        "something like it was said back, with digits in doubt",
    )
    sure = replace(call, turns=(stated, replace(said, confidence=0.95)))
    assert judge(sure, rubric_from_text(text))[0].verdict == "fail"


def test_an_open_trigger_in_doubt_is_cannot_tell() -> None:
    text = _HEAD + (
        "    when: {says: {by: customer, any: [转过去]}}\n"
        "    pass: {says: {by: agent, any: [抱歉]}}\n"
    )
    doubtful = Turn(0, CUSTOMER, 0.0, 4.0, ((0.0, 4.0),), "帮我传过去啊", (), 0.45)
    answer = Turn(1, AGENT, 5.0, 8.0, ((5.0, 8.0),), "知道了", (), 0.93)
    call = Dialogue(Recording("a", "a"), 10.0, (doubtful, answer), ())
    assert judge(call, rubric_from_text(text))[0].verdict == "cannot_tell"
    sure = replace(call, turns=(replace(doubtful, confidence=0.95), answer))
    assert judge(sure, rubric_from_text(text))[0].verdict == "not_applicable"


def test_a_start_without_time_of_day_cannot_tell_the_calling_hours() -> None:
    line = "[outbound] / [start 2026-03-11] / A: 您好。 / C: 你好。"
    found = parse_example(parse_located(f'"{line}"', "example"), "pass")
    verdicts = {v.item_id: v.verdict for v in judge(found.dialogue, load_rubric("hotline"))}
    assert verdicts["outbound_calling_hours"] == "cannot_tell"


def test_a_rubric_cannot_extend_itself_by_another_spelling(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(f"extends: ../{tmp_path.name}/own.yaml\n", encoding="utf-8")
    with pytest.raises(RubricError, match="in a circle"):
        load_rubric(file)


def test_before_the_trigger_warns_unless_triggers_are_taken_in_turn(tmp_path: Path) -> None:
    body = "    when: {{says: {{by: agent, any: [转接]}}}}\n    pass: {}\n"
    says = "{says: {by: agent, any: [因为], where: {before: trigger}}}"
    for condition, warned in (
        (says, True),
        (f"{{for_each: {says}}}", False),
        (f"{{for_any: {says}}}", False),
    ):
        file = tmp_path / "own.yaml"
        file.write_text(_HEAD + body.format(condition), encoding="utf-8")
        problems = [p.message for p in check_rubric(file)]
        assert any("before: trigger" in p for p in problems) is warned


def test_what_an_earlier_rubric_filled_in_is_taken_out() -> None:
    text = _HEAD + (
        "    when: {event: {kind: hold}}\n    fills: hold.NAME\n"
        "    pass: {for_each: {says: {by: agent, any: [久等], where: {after: trigger}}}}\n"
    )
    holds = tuple(Event("hold", 2.0, end, AGENT, {"medium": "music"}) for end in (5.0, 9.0))
    after = Turn(0, AGENT, 10.0, 11.0, ((10.0, 11.0),), "让您久等了", (), 0.93)
    call = Dialogue(Recording("a", "a"), 12.0, (after,), holds)
    first = annotated(call, rubric_from_text(text.replace("NAME", "one")))
    assert [(e.end, e.detail["one"]) for e in first.events] == [(5.0, True), (9.0, True)]
    second = annotated(first, rubric_from_text(text.replace("NAME", "two")))
    assert all("one" not in e.detail and e.detail["two"] for e in second.events)


def test_diff_lists_no_call_for_an_item_that_is_switched_off() -> None:
    item = "    pass: {says: {by: agent, any: [您好]}}\n"
    old = rubric_from_text(
        _HEAD + item + _HEAD.split("items:\n")[1].replace("it:", "other:") + item
    )
    new = rubric_from_text(_HEAD + item)
    call = parse_example(parse_located('"A: 您好。"', "example"), "pass").dialogue
    assert diff_verdicts(old, new, [call]) == ()


def test_the_short_form_of_an_item_is_the_long_one_written_out() -> None:
    head = _HEAD.replace("items:\n", "phrases: {sorry: [抱歉], angry: [投诉]}\nitems:\n")
    short = rubric_from_text(head + "    agent_says: $sorry\n    after: $angry\n    within_s: 30\n")
    long = rubric_from_text(
        head + "    when: {says: {by: customer, any: [$angry]}}\n"
        "    pass: {says: {by: agent, any: [$sorry], where: {after: trigger, within_s: 30}}}\n"
    )
    assert (short.items[0].when, short.items[0].passes) == (
        long.items[0].when,
        long.items[0].passes,
    )
    placed = rubric_from_text(head + "    agent_says: [您好, 早上好]\n    where: opening\n")
    assert placed.items[0].when is None
    assert "opening" in placed.items[0].passes.describe()
    never = rubric_from_text(head + "    agent_never_says: [不归我管]\n")
    assert never.items[0].polarity == "dont"
    assert never.items[0].fails.strictness == "strict"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("    within_s: 30\n", "within_s belongs to agent_says"),
        (
            "    agent_says: [好]\n    pass: {call: {min_s: 1}}\n",
            "pass and agent_says cannot stand",
        ),
        ("    agent_never_says: [好]\n    after: [坏]\n", "agent_never_says has no after"),
        (
            "    agent_says: [好]\n    after: [坏]\n    where: opening\n",
            "where and after cannot stand",
        ),
    ],
)
def test_the_short_form_says_what_does_not_fit(lines: str, message: str) -> None:
    with pytest.raises(RubricError, match=message):
        rubric_from_text(_HEAD + lines)


def test_conditions_have_names() -> None:
    head = _HEAD.replace("items:\n", "conditions:\n  long: {call: {min_s: 60}}\nitems:\n")
    named = rubric_from_text(head + "    applies: $long\n    pass: {not: $long}\n")
    plain = rubric_from_text(
        _HEAD + "    applies: {call: {min_s: 60}}\n    pass: {not: {call: {min_s: 60}}}\n"
    )
    assert (named.items[0].applies, named.items[0].passes) == (
        plain.items[0].applies,
        plain.items[0].passes,
    )
    with pytest.raises(RubricError, match='"\\$lang" is not defined'):
        rubric_from_text(head + "    pass: $lang\n")
    circle = head.replace("{call: {min_s: 60}}", "{not: $long}")
    with pytest.raises(RubricError, match="refers to itself"):
        rubric_from_text(circle + "    pass: $long\n")


def test_a_named_condition_of_the_extended_rubric_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    base = find_rubric("hotline")
    file.write_text(
        f"extends: {base}\nconditions:\n  outbound: {{call: {{direction: inbound}}}}\n", "utf-8"
    )
    item = load_rubric(file).item("outbound_convenient_time")
    assert "direction inbound" in item.applies.describe()


def test_the_clock_of_a_rubric_is_that_of_the_settings() -> None:
    item = "    pass: {says: {by: agent, any: [您好]}}\n"
    with pytest.raises(RubricError, match=r"one setting, time\.zone"):
        rubric_from_text("hearing: {utc_offset_hours: 9}\n" + _HEAD + item)


def test_a_rule_in_the_short_form_is_replaced_by_another_rule(tmp_path: Path) -> None:
    base, own = tmp_path / "base.yaml", tmp_path / "own.yaml"
    base.write_text(_HEAD + "    agent_says: [抱歉]\n    after: [投诉]\n", "utf-8")
    own.write_text(
        f"extends: base.yaml\nitems:\n  {load_rubric(base).items[0].id}:\n"
        "    pass: {says: {by: agent, any: [对不起], where: {after: trigger}}}\n",
        "utf-8",
    )
    before, after = load_rubric(base).items[0], load_rubric(own).items[0]
    assert after.when == before.when is not None
    assert "对不起" in after.passes.describe()


def in_parts(folder: Path, items: str) -> Path:
    """A rubric in three files: what it is, its phrases, the items of a section."""
    (folder / "parts").mkdir()
    (folder / "parts" / "phrases.yaml").write_text("phrases:\n  hello: [您好, 早上好]\n", "utf-8")
    (folder / "parts" / "opening.yaml").write_text("items:\n" + items, "utf-8")
    top = folder / "mine.yaml"
    top.write_text(
        "rubric: {id: mine}\ninclude: [parts/phrases.yaml, parts/opening.yaml]\n"
        "sections:\n  opening: {zh: 开场, en: Opening}\n",
        "utf-8",
    )
    return top


_GREET = (
    "  greet:\n    name: {zh: 问候, en: Greeting}\n    section: opening\n    agent_says: [$hello]\n"
    "    examples:\n      should_pass: ['A: 您好。', 'A: 早上好。']\n"
    "      should_fail: ['A: 喂。', 'A: 说。']\n"
)


def test_a_rubric_in_parts_is_that_of_one_file(tmp_path: Path) -> None:
    top = in_parts(tmp_path, _GREET)
    whole = tmp_path / "whole.yaml"
    whole.write_text(
        "rubric: {id: mine}\nsections:\n  opening: {zh: 开场, en: Opening}\n"
        "phrases:\n  hello: [您好, 早上好]\nitems:\n" + _GREET,
        "utf-8",
    )
    one, other = load_rubric(top), load_rubric(whole)
    assert one.sha256 == other.sha256
    assert one.items[0].passes == other.items[0].passes
    assert one.items[0].at == f"{tmp_path / 'parts' / 'opening.yaml'}:2"
    assert other.items[0].at == f"{whole}:7"
    own = tmp_path / "own.yaml"
    own.write_text("extends: mine.yaml\nitems:\n  greet: {weight: 3}\n", "utf-8")
    assert load_rubric(own).items[0].weight == 3
    assert load_rubric(own).items[0].at == f"{own}:3"


@pytest.mark.parametrize("part", ["phrases.yaml", "opening.yaml"])
def test_every_part_counts_in_the_identity(tmp_path: Path, part: str) -> None:
    top = in_parts(tmp_path, _GREET)
    before = load_rubric(top).sha256
    file = tmp_path / "parts" / part
    file.write_text(file.read_text("utf-8") + "# a remark\n", "utf-8")
    assert load_rubric(top).sha256 == before
    file.write_text(file.read_text("utf-8").replace("早上好", "晚上好"), "utf-8")
    assert load_rubric(top).sha256 != before


def test_errors_in_a_part_name_the_part(tmp_path: Path) -> None:
    top = in_parts(tmp_path, _GREET.replace("$hello", "$helo"))
    phrases, opening = tmp_path / "parts" / "phrases.yaml", tmp_path / "parts" / "opening.yaml"
    with pytest.raises(RubricError, match=r'opening\.yaml:5: .*"\$helo" is not defined'):
        load_rubric(top)
    opening.write_text("items:\n" + _GREET.replace("A: 喂。", "A: 您好。"), "utf-8")
    assert [p.at for p in check_rubric(top)] == [f"{opening}:8"]
    opening.write_text("items:\n" + _GREET + "phrases:\n  hello: [你好]\n", "utf-8")
    with pytest.raises(RubricError, match=rf"opening\.yaml:10: .*stands at {phrases}:2 too"):
        load_rubric(top)
    opening.write_text("include: [more.yaml]\n", "utf-8")
    with pytest.raises(RubricError, match=r'opening\.yaml:1: .*"include" is not known here'):
        load_rubric(top)
    opening.unlink()
    with pytest.raises(RubricError, match=r"mine\.yaml:2: include\[1\]: there is no file"):
        load_rubric(top)


SCHEMA = config_folder() / "rubrics" / "schema.json"


def marks(text: str) -> list[str]:
    """What an editor marks in a rubric, by the shipped schema."""
    found = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    return [e.message for e in found.iter_errors(read_yaml(text))]


def test_the_schema_for_editors_is_that_of_the_models() -> None:
    assert SCHEMA.read_text("utf-8") == documents.rubric_schema(), (
        "run: python -m pipeline.commands.documents"
    )
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text("utf-8")))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_editors_find_nothing_in_the_built_in_rubrics_and_know_their_schema(file: Path) -> None:
    text = file.read_text("utf-8")
    assert marks(text) == []
    named = text.partition("\n")[0].partition("$schema=")[2]
    assert (file.parent / named).resolve() == SCHEMA.resolve()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("where:", "wher:"), ("says:", "say:"), ("by: agent", "by: agnet"), ("zh: 名, en: N", "zh: 名"),
        ("first_turns: 1", "first_turns: x"), ("first_turns: 1", "first_turns: 0"),
        ("source: [D]", "weight: heavy"), ("source: [D]", "weight: -1"),
        ("source: [D]", "severity: hard"), ("phrases:", "phrase:"),
        ("source: [D]", "when: {event: {kind: holt}}"), ("source: [D]", "when: {event: {}}"),
        ("source: [D]", "when: {says: {any: [好]}, asks: {}}"),
        ("source: [D]", "when: {says: {any: [好], only: at_start}}"),
        ("source: [D]", "when: {call: {weekdays: [mo]}}"), ("source: [D]", "when: {call: {min_s: -1}}"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_marked_by_editors(old: str, new: str) -> None:
    assert marks(GOOD) == []
    assert old in GOOD
    error_of(GOOD.replace(old, new, 1))
    assert marks(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("before", "passes"),
    [
        (
            "A: 订单明天送到。 / C: 好的，谢谢。",
            False,
        ),  # thanks for something else, before the wait
        ("C: 好的，谢谢。 / A: 请您稍等，我查一下。", False),
        ("A: 我查一下，请您稍等可以吗？ / C: 好的，谢谢。", True),
    ],
)
def test_consent_to_a_wait_comes_after_its_announcement(before: str, passes: bool) -> None:
    line = f"A: 您好。 / C: 我想问一下订单。 / {before} / [hold 26 silence] / A: 感谢来电，再见。"
    found = parse_example(parse_located(f'"{line}"', "example"), "pass")
    verdicts = {v.item_id: v.verdict for v in judge(found.dialogue, load_rubric("hotline"))}
    assert (verdicts["hold_consent"] == "pass") is passes
