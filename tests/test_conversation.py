"""Two voices that may be one: they are two where their words are those of an agent and a customer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.rubric import load_rubric
from pipeline.schema import AGENT, CUSTOMER, Audio, CallResult, Span, SpeakerSegment
from pipeline.settings import CONFIG_FOLDER_VARIABLE, ROLES, config_path, load_settings
from pipeline.speech.conversation import VOUCHED, two_likelier
from tests import fakes
from tests.fakes import Script

CONVERSATION = (
    (AGENT, "您好，请问有什么可以帮您？"),
    (CUSTOMER, "我想问一下，我的被子洗好了没有？"),
    (AGENT, "请您报一下取衣的单号。"),
    (CUSTOMER, "单子我找不着了，你们能不能查手机号？"),
    (AGENT, "可以，您说号码，我们帮您查。"),
    (CUSTOMER, "谢谢，那我等着。"),
)
NOTICE = (
    "您好我们是洗衣店", "您的被子已经洗好了", "请您带单子来取", "我们每天早上九点钟开门",
    "您也可以请别人过来取", "感谢您再见",
)  # fmt: skip


def test_an_agent_and_a_customer_are_likelier_two():
    assert two_likelier(CONVERSATION) > VOUCHED


def test_what_one_says_is_not_likelier_of_two():
    assert two_likelier([("01"[i % 2], text) for i, text in enumerate(NOTICE)]) < 0
    asked = [text for who, text in CONVERSATION if who == CUSTOMER]
    assert two_likelier([("01"[i % 2], text) for i, text in enumerate(asked)]) < 0
    assert two_likelier([("0", text) for _, text in CONVERSATION]) < VOUCHED


def test_voices_that_have_nothing_to_do_with_the_words_are_not_vouched_for():
    mixed = [("001101"[i], text) for i, (_, text) in enumerate(CONVERSATION)]
    assert two_likelier(mixed) < 0
    assert two_likelier([]) == two_likelier([("0", "，"), ("1", "")]) == 0


def test_a_line_that_is_no_word_with_its_odds_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "lexicons").mkdir()
    (tmp_path / ROLES).write_text("\t-0.5\n您=4\n", "utf-8")
    monkeypatch.setenv(CONFIG_FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(SettingsError, match="Line 2"):
        two_likelier(CONVERSATION)


class Doubting(fakes.PitchDiarizer):
    """Is not sure that there are two voices."""

    def __call__(
        self, audio: Audio, speech: tuple[Span, ...], speakers: int
    ) -> tuple[SpeakerSegment, ...]:
        return tuple(replace(s, sure=False) for s in super().__call__(audio, speech, speakers))


def heard(lines: tuple[tuple[str, float, str], ...], folder: Path) -> CallResult:
    script = Script.of(*lines)
    path = fakes.save(folder / "call.wav", script.mono())
    models = fakes.models(script, diarizer=Doubting())
    rubric = load_rubric(config_path("rubrics/hotline.yaml"))
    return fakes.run_call(fakes.recording(path), load_settings(), models, rubric)


def test_words_decide_whether_alike_voices_are_two(tmp_path: Path):
    lines = [(who, 0.5 + 5 * i, text) for i, (who, text) in enumerate(CONVERSATION)]
    result = heard(tuple(lines), tmp_path)
    assert [t.speaker for t in result.turns] == [who for who, _ in CONVERSATION]
    assert [t.text[:2] for t in result.turns] == [text[:2] for _, text in CONVERSATION]


def test_alike_voices_stay_one_where_one_could_say_it_all(tmp_path: Path):
    lines = [((AGENT, CUSTOMER)[i % 2], 0.5 + 5 * i, text) for i, text in enumerate(NOTICE)]
    result = heard(tuple(lines), tmp_path)
    assert {t.speaker for t in result.turns} == {AGENT}
