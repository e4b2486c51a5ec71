"""YAML that is read in every process: what it holds is kept, and a cache costs time only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml.error import YAMLError

from pipeline.evaluation.dialogues import labelled_dialogues
from pipeline.io import yaml
from pipeline.io.cache import CACHE_VARIABLE, keep, kept
from pipeline.io.yaml import marked_large_yaml, marked_yaml, read_large_yaml, read_yaml
from pipeline.rubric import load_rubric
from pipeline.settings import config_folder

TEXT = "open: 18:00\nsay:\n  - 您好\n  - 'no'\nshare: 0.5\nnone: ~\non: true\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of one's own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path / "callcoach" / "yaml"


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("it was parsed again")


@pytest.mark.parametrize("read", [read_large_yaml, marked_large_yaml])
def test_a_text_is_parsed_once(read: Any, cache: Path, monkeypatch: pytest.MonkeyPatch):
    first = read(TEXT)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(yaml, "YAML", never)
    assert read(TEXT) == first
    with pytest.raises(AssertionError, match="again"):
        read(TEXT.replace("18:00", "18:01"))


def test_the_values_are_those_of_the_parser():
    assert read_large_yaml(TEXT) == read_large_yaml(TEXT) == read_yaml(TEXT)
    assert read_yaml(TEXT) == {
        "open": "18:00", "say": ["您好", "no"], "share": 0.5, "none": None, "on": True,
    }  # fmt: skip


def test_values_stand_with_their_lines():
    assert marked_yaml("a: 1\nb:\n  - x\n  - {c: no}\n") == [
        1,
        {"": [["a", 1, [1, 1]], ["b", 2, [3, [[3, "x"], [4, {"": [["c", 4, [4, "no"]]]}]]]]]},
    ]
    assert marked_yaml("# nothing\n") is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_damaged_cache_costs_time_only(content: bytes, cache: Path):
    first = read_large_yaml(TEXT)
    for file in cache.iterdir():
        file.write_bytes(content)
    assert read_large_yaml(TEXT) == first
    assert b"18:00" in next(cache.iterdir()).read_bytes()  # it is mended


def test_a_cache_that_cannot_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    assert read_large_yaml(TEXT) == read_yaml(TEXT)
    keep("one", b"1")
    assert kept("one") is None


@pytest.mark.parametrize("text", ["when: 2026-11-27\n", "1: one\n", "x: .nan\n"])
def test_what_json_cannot_hold_is_read_every_time(text: str, cache: Path):
    assert str(read_large_yaml(text)) == str(read_large_yaml(text)) == str(read_yaml(text))
    assert not cache.exists()


@pytest.mark.parametrize("read", [read_yaml, read_large_yaml, marked_yaml, marked_large_yaml])
def test_what_is_no_yaml_is_refused_every_time(read: Any, cache: Path):
    for _ in range(2):
        with pytest.raises(YAMLError):
            read("a: [1")
    assert not cache.exists()


def test_shipped_files_are_the_same_from_the_cache():
    files = sorted((config_folder() / "intents").glob("*.yaml"))[:5]
    for text in (file.read_text("utf-8") for file in files):
        assert read_large_yaml(text) == read_large_yaml(text) == read_yaml(text)


def test_what_was_said_in_labelled_dialogues_is_not_kept(cache: Path):
    file = Path(__file__).parent / "dialogues" / "garbled.yaml"
    assert next(labelled_dialogues(file)).dialogue.turns
    assert not cache.exists()
    load_rubric("hotline")
    assert cache.exists()
