"""The labelled dialogues: verdicts of the built-in rubric against those of a supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import RubricError
from pipeline.evaluation.dialogues import agreement_with, labelled_dialogues
from pipeline.rubric import Rubric, load_rubric

FOLDER = Path(__file__).parent / "dialogues"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def rubric() -> Rubric:
    return load_rubric("hotline")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_verdicts_of_labelled_dialogues(file: Path, rubric: Rubric) -> None:
    found = agreement_with(rubric, labelled_dialogues(file))
    assert found.labels
    assert found.accuracy == 1.0, "\n".join(found.lines())


def test_every_item_that_is_scored_has_a_label(rubric: Rubric) -> None:
    labelled = {item for row in labelled_dialogues(FOLDER) for item in row.expected}
    assert {i.id for i in rubric.items if i.scored} <= labelled


def test_agreement_counts_right_labels_and_fails(tmp_path: Path, rubric: Rubric) -> None:
    (tmp_path / "two.yaml").write_text(
        """
- id: polite
  turns: [[agent, "您好，请问有什么可以帮您？"], [customer, "我要报修。"]]
  expect: {opening_greeting: pass, opening_offer_help: fail}
- id: rude
  turns: [[agent, "喂，什么事？"], [customer, "我要报修。"]]
  expect: {opening_greeting: fail, opening_offer_help: fail}
""",
        encoding="utf-8",
    )
    found = agreement_with(rubric, labelled_dialogues(tmp_path))
    assert (found.right, len(found.labels)) == (3, 4)
    assert found.fail_precision == 1.0
    assert found.fail_recall == pytest.approx(2 / 3)
    assert found.fail_f1 == pytest.approx(0.8)
    assert found.as_json()["items"] == {
        "opening_greeting": {"labels": 2, "right": 2},
        "opening_offer_help": {"labels": 2, "right": 1},
    }
    assert "two polite opening_offer_help: pass, not fail" in "\n".join(found.lines())


def test_a_dialogue_with_times_is_measured_as_a_call(tmp_path: Path, rubric: Rubric) -> None:
    (tmp_path / "timed.yaml").write_text(
        """
- id: slow_and_loud
  turns:
  - [agent, 您好，这里是客服中心。, 0.5, 3.0]
  - [customer, 我的账单好像不太对。, 3.4, 5.8]
  - [agent, 您的账单金额是八十元。, 13.0, 15.6]
  - [customer, 那为什么上个月只扣了我六十块钱呢我想那就是说还要, 16.0, 22.0]
  - [agent, 套餐是上个月改的所以金额不一样, 19.5, 25.0]
  turn_levels_dbfs: [-10, -30, -10, -30, -10]
  expect: {response_latency: fail, volume_match: fail, no_interrupting: fail}
- id: quick_and_even
  turns:
  - [agent, 您好，这里是客服中心。, 0.5, 3.0]
  - [customer, 我的账单好像不太对。, 3.4, 5.8]
  - [agent, 您的账单金额是八十元。, 6.3, 9.0]
  turn_levels_dbfs: [-20, -22, -20]
  expect: {response_latency: pass, volume_match: pass, no_interrupting: pass, dead_air: pass}
- id: no_times
  turns: [[agent, 您好，这里是客服中心。], [customer, 我的账单好像不太对。]]
  expect: {response_latency: cannot_tell, volume_match: cannot_tell}
""",
        encoding="utf-8",
    )
    found = agreement_with(rubric, labelled_dialogues(tmp_path))
    assert found.accuracy == 1.0, "\n".join(found.lines())


def test_a_label_of_an_unknown_item_is_named_with_its_nearest(
    tmp_path: Path, rubric: Rubric
) -> None:
    (tmp_path / "one.yaml").write_text(
        "- {id: a, turns: [[agent, 您好。]], expect: {opening_greting: pass}}", encoding="utf-8"
    )
    with pytest.raises(RubricError) as caught:
        agreement_with(rubric, labelled_dialogues(tmp_path))
    assert "opening_greting" in str(caught.value)
    assert "opening_greeting" in caught.value.hint


def test_a_folder_without_dialogues_says_so(tmp_path: Path) -> None:
    with pytest.raises(RubricError, match="holds no dialogues"):
        list(labelled_dialogues(tmp_path))
