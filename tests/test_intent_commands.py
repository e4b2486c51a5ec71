"""The tools over intents: cross-validated figures, confusions, sentences in doubt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.commands import intents
from pipeline.errors import SettingsError
from pipeline.settings import Settings, load_settings
from pipeline.store import Store
from tests import fakes
from tests.test_intents import tiny_folder

GROUPS = ("shop", "bank", "courier", "airline", "hospital")
CALL = fakes.Script.of(
    ("agent", 1.0, "您好请问有什么可以帮您"),
    ("customer", 6.0, "你们这个电视我真不想要了"),
    ("agent", 11.0, "我给您查一下看看"),
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A tiny embedder of random weights, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tiny_folder(tmp_path / "tiny")
    return load_settings(overrides={"intents.embedder": str(tmp_path / "tiny")})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    own.mkdir()
    like = {g: [f"把钱退给我，{g}{i}" for i in "一二三四"] for g in GROUPS}
    like["shop"] = [*like["shop"], "甲乙丙丁戊己"]
    data = {
        "name": {"zh": "退款", "en": "Refund"},
        "by": "customer",
        "like": like,
        "not_like": {g: [f"帮我查一下{g}{i}" for i in "一二三四"] for g in GROUPS},
        "doubt": [0.0, 0.9],
    }
    (own / "refund.yaml").write_text(json.dumps(data, ensure_ascii=False), "utf-8")
    return own


def test_figures_and_confusions_of_a_named_intent(settings: Settings, folder: Path):
    head, figures, *rest = intents.test(["refund"], settings, folder)
    assert head.split()[:3] == ["intent", "like", "others"]
    name, like, _, auc, *_ = figures.split()
    assert (name, like) == ("refund", "21")
    assert float(auc) > 0.9
    assert rest[0].startswith("  taken for it: ")
    assert any(line.startswith("  missed: ") for line in rest)


def test_unknown_intents_are_told_before_any_work(settings: Settings, folder: Path):
    with pytest.raises(SettingsError, match='Did you mean "refund"'):
        next(iter(intents.test(["refunds"], settings, folder)))


def test_sentences_in_doubt_are_lines_of_yaml(settings: Settings, folder: Path, tmp_path: Path):
    path = fakes.save(tmp_path / "one.wav", CALL.stereo())
    recording = fakes.recording(path, agent_channel=0, direction="inbound")
    with Store.open(tmp_path) as store:
        (step,) = fakes.batch([recording], load_settings(), store, lambda _: fakes.models(CALL))
        assert step.outcome == "analysed"
    lines = list(intents.suggest("refund", str(tmp_path), settings, folder))
    assert "退款" in lines[0]
    assert YAML(typ="safe").load("\n".join(lines)) == ["你们这个电视我真不想要了"]
    assert "one 0:0" in lines[-1]
    assert len(list(intents.suggest("refund", str(tmp_path), settings, folder, limit=1))) == 3


def test_area_under_the_curve():
    shows = np.array([True, True, False, False])
    assert intents.area_under_curve(np.array([0.9, 0.8, 0.2, 0.1]), shows) == 1.0
    assert intents.area_under_curve(np.array([0.1, 0.2, 0.8, 0.9]), shows) == 0.0
    assert intents.area_under_curve(np.array([0.5, 0.5, 0.5, 0.5]), shows) == 0.5
    assert intents.area_under_curve(np.array([0.9, 0.3, 0.5, 0.1]), shows) == 0.75
