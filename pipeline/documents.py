"""Texts made from the tables the program works by: measures and settings, for people to read.

``python -m pipeline.documents`` writes ``docs/measures.md`` and ``docs/settings.md``; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UsageError, nearest
from pipeline.metrics import CATALOGUE, Measure
from pipeline.settings import settings_table

DOCS = Path(__file__).parents[1] / "docs"


def list_measures() -> str:
    """All measures, one line each."""
    width = max(len(m.id) for m in CATALOGUE)
    return "\n".join(f"{m.id:<{width}}  {m.name_zh}  [{m.unit}]  {m.name}" for m in CATALOGUE)


def explain(measure: str) -> str:
    """Everything known of one measure; a column name such as ``agent_speaking_rate`` works too.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    known = {m.id: m for m in CATALOGUE}
    name = measure.removeprefix("agent_").removeprefix("customer_")
    if name not in known:
        raise UsageError(f'There is no measure "{measure}".', nearest(name, known))
    one = known[name]
    columns = f"agent_{one.id}, customer_{one.id}" if one.per == "speaker" else one.id
    values = {row[0]: row for row in settings_table()}
    lines = [
        f"{one.name} ({one.name_zh})",
        f"columns     {columns}",
        f"unit        {one.unit}",
        f"definition  {one.definition}",
        f"source      {one.source}",
    ]
    lines += [f"setting     {s} = {values[s][1]} {values[s][2]}".rstrip() for s in one.settings]
    lines.append(f"target      {one.target or 'reported, no target'} (stereo / mono)")
    lines.append(
        "accuracy    docs/accuracy.md; on your own labelled calls: callcoach evaluate FOLDER"
    )
    return "\n".join(lines)


def measures_page() -> str:
    """``docs/measures.md``."""
    return "\n".join(_measures())


def settings_page() -> str:
    """``docs/settings.md``."""
    return "\n".join(_settings())


def _measures() -> Iterator[str]:
    yield "# Measures"
    yield ""
    yield "Made from the catalogue in `pipeline/metrics.py` by `python -m pipeline.documents`."
    yield "Missing is null, never 0. `callcoach explain MEASURE` shows one with the settings in force."
    yield "Measured accuracy: [accuracy.md](accuracy.md). Sources S0-S4 are the service-training"
    yield "documents cited in the rubric."
    for per, title in (("speaker", "Per speaker"), ("call", "Per call")):
        yield ""
        yield f"## {title}"
        if per == "speaker":
            yield ""
            yield "Columns `agent_ID` and `customer_ID` of the calls table."
        for one in CATALOGUE:
            if one.per == per:
                yield ""
                yield from _measure(one)
    yield ""


def _measure(one: Measure) -> Iterator[str]:
    yield f"### `{one.id}`: {one.name}, {one.name_zh} [{one.unit}]"
    yield one.definition
    settings = ", ".join(f"`{s}`" for s in one.settings) or "none"
    target = one.target or "reported only"
    yield f"Settings: {settings}. Source: {one.source}. Target error (stereo / mono): {target}."


def _settings() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Made from `pipeline/settings.py` by `python -m pipeline.documents`. A preset"
    yield "(`configs/presets/NAME.yaml`, or"
    yield "your own file given to `--preset`) says only what differs; `--set asr.beam_size=1` sets one."
    yield ""
    yield "| setting | default | unit | range | what |"
    yield "|---|---|---|---|---|"
    for name, default, unit, limits, text in settings_table():
        yield f"| `{name}` | {default!r} | {unit} | {limits} | {text} |"
    yield ""


if __name__ == "__main__":
    (DOCS / "measures.md").write_text(measures_page(), "utf-8")
    (DOCS / "settings.md").write_text(settings_page(), "utf-8")
