"""Texts made from the tables the program works by: measures and settings, for people to read.

``python -m pipeline.commands.documents`` writes ``docs/measures.md``, ``docs/settings.md`` and
``configs/rubrics/schema.json``; tests compare.
How good each measure was found to be is read from ``accuracy.json`` in the configs folder, which the
accuracy benchmark writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError, nearest
from pipeline.measures import MEASURES, SCORES, SPEECH_S, Measure
from pipeline.rubric.json_schema import json_schema
from pipeline.schema import SPEAKERS
from pipeline.settings import config_folder, settings_table

ACCURACY = "accuracy.json"
SETS = ("stereo", "mono", "all stereo conditions")
DECIMALS = {"%": 1, "points": 1, "ms": 0, "dB": 2, "st": 2, "s": 2, "": 3}
DOCS = Path(__file__).parents[2] / "docs"


POINTER = (
    "synthetic calls, see docs/accuracy.md; on your own labelled calls: callcoach evaluate FOLDER"
)


def list_measures() -> str:
    """All measures, one line each."""
    width = max(len(m.id) for m in MEASURES)
    return "\n".join(f"{m.id:<{width}}  {m.zh}  [{m.unit}]  {m.en}" for m in (*MEASURES, *SCORES))


def explain(measure: str) -> str:
    """Everything known of one measure; a column name such as ``agent_speaking_rate`` works too.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    known = {m.id: m for m in (*MEASURES, *SCORES)}
    name = measure.removeprefix("agent_").removeprefix("customer_")
    if name not in known:
        raise UsageError(
            f'There is no measure "{measure}".', nearest(name, known, "callcoach explain lists all")
        )
    one = known[name]
    values = {row[0]: row for row in settings_table()}
    lines = [
        f"{one.en} ({one.zh})",
        f"columns     {_columns(one)}",
        f"unit        {one.unit}",
        f"definition  {one.definition}",
        f"formula     {one.formula}",
        f"pooled      {pooled(one)}",
        f"source      {one.source}",
    ]
    lines += [f"setting     {s} = {values[s][1]} {values[s][2]}".rstrip() for s in one.settings]
    lines.append(f"target      {one.target or 'reported, no target'} (stereo / mono)")
    figures = measured(one)
    for label, figure in zip(["accuracy", *[""] * len(figures)], figures.items(), strict=False):
        lines.append(f"{label:<12}{figure[0]}: {figure[1]}")
    lines.append(
        f"            {POINTER}" if figures else f"accuracy    not measured alone; {POINTER}"
    )
    return "\n".join(lines)


def _columns(one: Measure) -> str:
    """The columns that hold a measure."""
    names = [f"{s}_{one.id}" for s in SPEAKERS] if one.per == "speaker" else [one.id]
    if not one.in_calls:
        names = [f"{name}_mean" for name in names]
    return ", ".join(names) + ("" if one.in_calls else " of agents and agent_weeks")


def pooled(one: Measure) -> str:
    """How a measure is pooled over calls, which difference matters, and which way is better."""
    over = " + ".join(one.over).replace("{own}_", "own ").replace("{other}_", "the other's ")
    over = over.replace(SPEECH_S, "the speech of both")
    rule = {
        "mean": "mean over calls",
        "ratio": f"sum over sum, weighted by {over}",
        "count": f"events per {f'{one.per_s:.0f} s of {over}' if over else 'call'}",
        "amount": "mean over calls, with an interval that allows for calls with none",
        "share": "share of the calls",
    }[one.pool]
    if one.delta is not None:
        least = f"{100 * one.delta:g} %" if one.relative else f"{one.delta:g} {one.unit}".rstrip()
        rule += f"; a difference of {least} matters"
    return rule + (f"; {one.better} is better for the agent" if one.better else "")


def measured(one: Measure) -> dict[str, str]:
    """What the accuracy benchmark found of a measure, by set of calls; empty where nothing."""
    figure = _figures().get(one.accuracy, {})
    of = " (single turns)" if one.accuracy.startswith("turn_") else ""
    return {name + of: _in_words(figure[name], figure["unit"]) for name in SETS if name in figure}


def typical_error(one: Measure, *, is_mono: bool) -> tuple[float, str] | None:
    """Median error of a measure on synthetic calls with its unit; None where there is none."""
    figure = _figures().get(one.accuracy, {})
    of_set = figure.get("mono" if is_mono else "stereo", {})
    return (of_set["median"], figure["unit"]) if "median" in of_set else None


def _figures() -> Mapping[str, Any]:
    """The figures of the accuracy benchmark; none where it has not been run."""
    try:
        return _read_figures(config_folder() / ACCURACY)
    except OSError:
        return {}


@cache
def _read_figures(path: Path) -> Mapping[str, Any]:
    figures: Mapping[str, Any] = json.loads(path.read_text("utf-8"))["figures"]
    return figures


def _in_words(figure: Mapping[str, Any], unit: str) -> str:
    n = f"(n {figure['n']:.0f})"
    for kind, name in (("F1", "F1"), ("share", "right in")):
        if kind in figure:
            return f"{name} {figure[kind]:.2f} {n}"
    places = DECIMALS[unit]
    size = [
        f"{name} {figure[key]:.{places}f}" for name, key in (("error", "median"), ("p95", "p95"))
    ]
    return f"median {', '.join(size)}, bias {figure['bias']:+.{places}f} {unit} {n}"


def measures_page() -> str:
    """``docs/measures.md``."""
    return "\n".join(_measures())


def settings_page() -> str:
    """``docs/settings.md``."""
    return "\n".join(_settings())


def _measures() -> Iterator[str]:
    yield "# Measures"
    yield ""
    yield "Made from the table in `pipeline/measures.py` by `python -m pipeline.commands.documents`."
    yield "`callcoach explain MEASURE` shows one. Sources S0-S4 are the service-training documents"
    yield "cited in the rubric."
    yield ""
    yield "Missing is null, never 0, and `warnings` of the call says why: the audio is too poor (noise,"
    yield "clipping, a narrow band, two voices mixed), there is too little speech, a party is on no channel"
    yield "that carries a signal, or it is in doubt who is the agent. Rubric items that rest on a missing"
    yield "measure are `cannot_tell`."
    yield ""
    yield "Measured: result against truth on synthetic calls, as in [accuracy.md](accuracy.md): the median"
    yield "and the 95th percentile of the absolute error, the bias (mean of result - truth), and how many"
    yield 'cases; events by F1. "Stereo" and "mono" are the plain sets; "all stereo conditions" are with'
    yield "noise, crosstalk, codecs, other tempo, level and spread of pitch."
    for per, title in (("speaker", "Per speaker"), ("call", "Per call")):
        yield ""
        yield f"## {title}"
        if per == "speaker":
            yield ""
            yield "Columns `agent_ID` and `customer_ID` of the calls table, unless it says otherwise."
        for one in (*MEASURES, *SCORES):
            if one.per == per:
                yield ""
                yield from _measure(one)
    yield ""


def _measure(one: Measure) -> Iterator[str]:
    yield f"### `{one.id}`: {one.en}, {one.zh} [{one.unit}]"
    yield one.definition
    if not one.in_calls:
        yield f"Not in the calls table: {_columns(one)}."
    settings = ", ".join(f"`{s}`" for s in one.settings) or "none"
    target = one.target or "reported only"
    yield f"Formula: {one.formula}. Over an agent's calls: {pooled(one)}."
    yield f"Settings: {settings}. Source: {one.source}. Target error (stereo / mono): {target}."
    figures = measured(one)
    if figures:
        said = "; ".join(f"{name}: {figure}" for name, figure in figures.items())
        yield f"Measured: {said}."


def _settings() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Made from `pipeline/settings.py` by `python -m pipeline.commands.documents`. A preset"
    yield "(`configs/presets/NAME.yaml`, or"
    yield "your own file given to `--preset`) says only what differs; `--set asr.beam_size=1` sets one."
    yield ""
    yield "| setting | default | unit | range | what |"
    yield "|---|---|---|---|---|"
    for name, default, unit, limits, text in settings_table():
        yield f"| `{name}` | {default!r} | {unit} | {limits} | {text} |"
    yield ""


def rubric_schema() -> str:
    """The JSON Schema of rubric files, for editors."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n"


def write_pages() -> None:
    """Write both pages into the documentation folder, and the schema beside the rubrics."""
    (DOCS / "measures.md").write_text(measures_page(), "utf-8")
    (DOCS / "settings.md").write_text(settings_page(), "utf-8")
    (config_folder() / "rubrics" / "schema.json").write_text(rubric_schema(), "utf-8")


if __name__ == "__main__":
    write_pages()
