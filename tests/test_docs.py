"""The documentation names everything there is, and nothing in it points nowhere."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from pipeline.agents.frames import columns
from pipeline.cli import app
from pipeline.commands import documents
from pipeline.export import agent_columns
from pipeline.io import weights
from pipeline.measures import MEASURES, SCORES
from pipeline.rubric import load_rubric
from pipeline.settings import config_folder, presets, settings_table
from pipeline.store import TABLES

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READMES = sorted(ROOT.glob("README*.md"))
DOCS = "\n".join(p.read_text("utf-8") for p in PAGES)
EVERYTHING = DOCS + "\n".join(p.read_text("utf-8") for p in READMES)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"callcoach +((?:[a-z]+ ?){1,2})")


def commands(group: typer.Typer = app, before: str = "") -> Iterator[str]:
    """Every command of the command line, with the groups it stands in."""
    for one in group.registered_commands:
        yield f"{before}{one.name or one.callback.__name__}"
    for inner in group.registered_groups:
        yield from commands(inner.typer_instance, f"{before}{inner.name} ")


def named(name: str, text: str = DOCS) -> bool:
    """Whether a name stands in a text as a word of its own."""
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text) is not None


def test_there_is_documentation():
    assert PAGES
    assert {"README.md", "README.zh-CN.md"} <= {p.name for p in READMES}


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_documented(command: str):
    assert re.search(rf"callcoach +{command}\b", DOCS) is not None


@pytest.mark.parametrize("name", [row[0] for row in settings_table()])
def test_every_setting_is_documented(name: str):
    assert named(name)


@pytest.mark.parametrize("measure", [m.id for m in MEASURES])
def test_every_measure_is_documented(measure: str):
    assert named(measure)


@pytest.mark.parametrize(
    "path", sorted((config_folder() / "rubrics").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_item_of_every_rubric_is_documented(path: Path):
    missing = [item.id for item in load_rubric(path).items if not named(item.id)]
    assert missing == []
    assert path.name in DOCS


@pytest.mark.parametrize("preset", presets())
def test_every_preset_is_documented(preset: str):
    assert named(preset)


@pytest.mark.parametrize("page", ["measures", "settings"])
def test_pages_made_from_tables_are_up_to_date(page: str):
    made = {"measures": documents.measures_page, "settings": documents.settings_page}[page]()
    written = (ROOT / f"docs/{page}.md").read_text("utf-8")
    assert written == made, "run: python -m pipeline.commands.documents"


def test_explain_says_how_a_measure_is_formed_and_how_good_it_was_found_to_be():
    said = documents.explain("agent_level_dbfs")
    assert "formula     10 log10" in said
    assert re.search(r"accuracy    stereo: median error 0\.\d\d, p95 .* dB \(n \d+\)", said)
    assert re.search(r"            mono: median error .* dB \(n \d+\)", said)
    assert re.search(r"stereo: F1 \d\.\d\d \(n \d+\)", documents.explain("interruptions"))
    assert "single turns" in documents.explain("speaking_rate_p90")
    assert "not measured alone" in documents.explain("overlap_ratio")


def test_the_columns_that_a_measure_is_said_to_have_are_there():
    agents = {c.name for c in agent_columns(columns(("agent_id", "week")))}
    calls = {c.name for c in TABLES["calls"]}
    for one in (*MEASURES, *SCORES):
        line = next(x for x in documents.explain(one.id).splitlines() if x.startswith("columns "))
        names, _, tables = line.removeprefix("columns").strip().partition(" of ")
        assert set(names.split(", ")) <= (agents if tables else calls), one.id
        assert bool(tables) is not one.in_calls
    assert "weight over 0" in documents.explain("compliance_failed")


def test_explain_points_to_the_page_where_there_are_no_figures(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("CALLCOACH_CONFIGS", str(tmp_path))
    said = documents.explain("level_dbfs")
    assert "accuracy    not measured alone" in said
    assert "docs/accuracy.md" in said
    assert "callcoach evaluate" in said


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda p: p.name)
def test_commands_that_are_shown_exist(page: Path):
    known = set(commands())
    known |= {c.rsplit(" ", 1)[0] for c in known}
    groups = {c.split()[0] for c in known if " " in c}
    for match in COMMAND.finditer(
        "\n".join(re.findall(r"`[^`\n]+`|^ {4}.*|^callcoach.*", page.read_text("utf-8"), re.M))
    ):
        first, *rest = match.group(1).split()
        if first in groups and rest:
            assert f"{first} {rest[0]}" in known, match.group(0)
        else:
            assert first in known | groups, match.group(0)


def test_licences_of_all_weights_are_named():
    notice = (ROOT / "NOTICE").read_text("utf-8") + EVERYTHING
    for row in weights.manifest().values():
        assert row.licence in notice, row.name


def test_the_readme_of_the_package_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (ROOT / project["readme"]).is_file()
    for name in project["license-files"]:
        assert (ROOT / name).is_file()


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda p: p.name)
def test_links_point_to_files_that_are_there(page: Path):
    targets = [t for t in LINK.findall(page.read_text("utf-8")) if "://" not in t]
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert missing == []
