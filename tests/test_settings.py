"""Settings: presets and overrides are merged, and every slip is told with the nearest name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import (
    CONFIG_FOLDER_VARIABLE,
    DEFAULT_PRESET,
    Settings,
    config_folder,
    config_path,
    load_settings,
    presets,
    settings_table,
)

ROOT = Path(__file__).parents[1]
TABLE = list(settings_table())


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", presets())
def test_every_shipped_preset_loads_and_carries_its_name(name: str):
    assert load_settings(name).preset == name


def test_the_presets_that_the_documentation_promises_are_there():
    assert {"embedded", "large-v3-turbo", "gpu"} <= set(presets())
    assert DEFAULT_PRESET in presets()


def test_a_preset_says_only_what_differs(tmp_path: Path):
    path = write(tmp_path / "mine.yaml", "vad:\n  threshold: 0.7\n")
    mine = load_settings(path)
    assert mine.preset == "mine"
    assert mine.vad.threshold == 0.7
    assert mine.vad.min_pause_s == Settings().vad.min_pause_s
    assert mine.asr == Settings().asr


def test_an_empty_preset_is_the_defaults(tmp_path: Path):
    path = write(tmp_path / "empty.yaml", "# nothing\n")
    assert load_settings(path) == Settings(preset="empty")


def test_single_settings_override_the_preset(tmp_path: Path):
    path = write(tmp_path / "mine.yaml", "asr:\n  beam_size: 2\n  threads: 1\n")
    chosen = load_settings(path, {"asr.beam_size": 3, "compliance.rubric_by_team": {"一组": "x"}})
    assert (chosen.asr.beam_size, chosen.asr.threads) == (3, 1)
    assert chosen.compliance.rubric_by_team == {"一组": "x"}


@pytest.mark.parametrize(
    ("preset", "overrides", "says"),
    [
        ("embeded", {}, 'no preset "embeded". Did you mean "embedded"?'),
        ("gpu.yaml", {}, 'Did you mean "gpu"?'),
        ("embedded", {"asr.beam_sise": 1}, '"asr.beam_sise". Did you mean "beam_size"?'),
        ("embedded", {"vda.threshold": 1}, 'unknown section "vda". Did you mean "vad"?'),
        ("embedded", {"asr.beam_size": 0}, "asr.beam_size = 0 is not allowed"),
        ("embedded", {"asr.beam_size": "many"}, "asr.beam_size = 'many' is not allowed"),
        ("embedded", {"asr.device": "gpu"}, "asr.device = 'gpu' is not allowed"),
        ("embedded", {"interruptions.preset": "loose"}, "'tree', 'strict', 'sca' or 'huawei'"),
        ("embedded", {"voice.rate_norm": -150}, "greater than 0"),
    ],
)
def test_a_slip_is_told_with_what_is_allowed(preset: str, overrides: dict, says: str):
    with pytest.raises(SettingsError) as caught:
        load_settings(preset, overrides)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("asr: [unclosed", "cannot be read"),
        ("- asr\n", "must hold sections"),
        ("asr: 5\n", '"asr" must hold settings, not 5'),
        ("asr:\n  beam_sise: 2\n", '"asr.beam_sise"'),
        ("asr:\n  beam_size: 99\n", "asr.beam_size = 99"),
    ],
)
def test_a_bad_preset_file_is_told(tmp_path: Path, text: str, says: str):
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path / "bad.yaml", text))
    assert says in str(caught.value)
    assert "bad.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_preset_of_bytes_that_are_no_text_is_told(tmp_path: Path):
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(str(tmp_path / "bad.yaml"))


def test_the_table_holds_every_setting_with_its_help():
    names = [row[0] for row in TABLE]
    sections = Settings().model_dump()
    expected = {f"{s}.{n}" for s, v in sections.items() if isinstance(v, dict) for n in v}
    assert set(names) == expected
    assert len(names) == len(set(names))
    for name, default, _unit, _limits, text in TABLE:
        section, key = name.split(".")
        assert sections[section][key] == default
        assert len(text) > 3, name


def test_the_digest_is_that_of_what_is_heard_and_measured():
    base = load_settings()
    assert base.digest() == load_settings().digest()
    for name, value in [("asr.beam_size", 1), ("vad.threshold", 0.6), ("voice.rate_norm", 160)]:
        assert load_settings(overrides={name: value}).digest() != base.digest(), name
    for name, value in [
        ("agents.min_calls", 2),
        ("agents.min_calls", 3),
        ("compliance.rubric", "other.yaml"),
    ]:
        assert load_settings(overrides={name: value}).digest() == base.digest(), name
    other = load_settings(overrides={"asr.beam_size": 1})
    assert other.digest("vad") == base.digest("vad")
    assert other.digest("asr") != base.digest("asr")


def test_settings_cannot_be_changed_later():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().asr.beam_size = 2


def test_config_files_are_found_by_name_and_by_path(tmp_path: Path):
    assert config_path("rubrics/hotline.yaml") == config_folder() / "rubrics/hotline.yaml"
    own = write(tmp_path / "own.yaml", "rubric: {}\n")
    assert config_path(own) == Path(own)
    with pytest.raises(SettingsError, match=r'no file "rubrics/hotlin.yaml".*hotline\.yaml'):
        config_path("rubrics/hotlin.yaml")
    with pytest.raises(
        SettingsError, match=r"rubrics/hotline\.yaml, rubrics/outbound\.yaml"
    ) as caught:
        config_path("nothere.yaml", typed=True)
    assert str(config_folder()) in str(caught.value)
    with pytest.raises(SettingsError, match=r'Did you mean "rubrics/outbound\.yaml"\?'):
        config_path("outbond.yaml", typed=True)


def test_another_configs_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "presets").mkdir()
    write(tmp_path / "presets/night.yaml", "agents:\n  min_calls: 4\n")
    monkeypatch.setenv(CONFIG_FOLDER_VARIABLE, str(tmp_path))
    assert presets() == ["night"]
    assert load_settings("night").agents.min_calls == 4


def test_what_is_set_on_the_command_line_is_not_blamed_on_the_preset():
    with pytest.raises(SettingsError, match=r'^--set: unknown setting "asr.beams"'):
        load_settings(overrides={"asr.beams": 1})
    with pytest.raises(SettingsError, match=r"^--set asr.beam_size = 'many' is not allowed"):
        load_settings(overrides={"asr.beam_size": "many"})


def hashes(folder: Path, configs: Path) -> list[str]:
    """Identity of settings and rubric, and how a surname is taken, by a process in ``folder``."""
    code = (
        "from pipeline.settings import load_settings; from pipeline.rubric import Rubrics;"
        "from pipeline.text import surnames; s = load_settings();"
        "print(s.digest(), Rubrics(s).load('rubrics/hotline.yaml').sha256, len(surnames()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True,
        env=os.environ | {CONFIG_FOLDER_VARIABLE: str(configs), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.stdout.split()


def test_word_lists_are_part_of_a_results_identity_and_never_taken_from_where_one_stands(
    tmp_path: Path,
):
    configs, here = tmp_path / "configs", tmp_path / "here"
    shutil.copytree(config_folder(), configs)
    (here / "lexicons").mkdir(parents=True)
    (here / "rubrics").mkdir()
    before = hashes(tmp_path, configs)
    for name in ("lexicons/surnames.yaml", "lexicons/backchannels.yaml", "lexicons/hotline.yaml",
                 "rubrics/hotline.yaml"):  # fmt: skip
        (here / name).write_text("single: [王]\ndouble: []\nphrases: []\n")
    assert hashes(here, configs) == before
    for name, old, new, changed in (
        ("backchannels.yaml", "words:", "words:\n  - 晓得晓得", [True, False]),
        ("hotline.yaml", "phrases:", "phrases:\n  - 晴山商城服务中心", [True, False]),
        ("surnames.yaml", "double:", "double:\n  - 晴山", [False, True]),
    ):
        path = configs / "lexicons" / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
        after = hashes(tmp_path, configs)
        assert [a != b for a, b in zip(after[:2], before[:2], strict=True)] == changed, name
        before = after


def test_a_file_typed_on_the_command_line_is_the_one_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "rubrics").mkdir()
    mine = tmp_path / "rubrics" / "hotline.yaml"
    mine.write_text("mine: true\n")
    monkeypatch.chdir(tmp_path)
    assert config_path("rubrics/hotline.yaml") != mine
    assert config_path("rubrics/hotline.yaml", typed=True).absolute() == mine
    typed = load_settings(overrides={"compliance.rubric": "rubrics/hotline.yaml"})
    assert typed.compliance.rubric == str(mine)
