"""Rubric files: loading, errors that point, extending, checks, examples, documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import RubricError
from pipeline.rubric import (
    check_rubric,
    diff_verdicts,
    find_rubric,
    load_rubric,
    rubric_from_text,
    run_examples,
)
from pipeline.rubric.examples import parse_example
from pipeline.rubric.located import Located, parse_located
from pipeline.rubric.parsing import OPERATORS

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
        f"{r.line} {r.item_id}: {r.got}, not {r.expected}: {r.text}" for r in results if not r.ok
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
    rule_keys = re.findall(r'"(\w+)"', _source_of_says())
    for key in rule_keys:
        assert f"`{key}" in DOCS or f"{key}:" in DOCS, key


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
    without = rubric_from_text(GOOD.replace("greet:", "hello:"))
    assert {(c.before, c.after) for c in diff_verdicts(old, without, calls[1:])} == {
        ("pass", None),
        (None, "pass"),
    }


def test_yaml_is_read_as_1_2() -> None:
    top = parse_located("a: 18:00\nb: no\nc: true\nd: 0x1F\ne: 1_000\nf: 010\ng: ~", "t").mapping()
    assert [top[k].value for k in "abcdefg"] == ["18:00", "no", True, 31, 1000, 10, None]


def _source_of_says() -> str:
    source = (ROOT / "pipeline" / "rubric" / "parsing.py").read_text(encoding="utf-8")
    start = source.index("def _says(")
    return source[source.index("at.mapping(", start) : source.index("modes =", start)]


def _single_conditions(block: str) -> list[str]:
    """Split a block that shows several conditions one after the other."""
    parts = re.split(r"\n(?=\S)", block.rstrip())
    return [p for p in parts if p.strip()]
