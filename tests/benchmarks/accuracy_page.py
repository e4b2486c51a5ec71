"""The figures of the accuracy benchmark: their targets, ``docs/accuracy.md``, and their summary.

The summary (``configs/accuracy.json``) is what ``callcoach explain`` and ``docs/measures.md`` show.

A part is what one condition came to, in plain JSON types: ``errors`` (lists of result - truth by
measure), ``missing`` (cases without a value) and ``counts``. Parts of several conditions add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.evaluation.measure_errors import UNITS
from tests.benchmarks.corpus import PLANS, Condition, conditions
from tests.benchmarks.pitch_trackers import Score, markdown

PRESET = "embedded"
EVENTS = ("interruption", "backchannel", "hold", "dead_air")
CONTROL = "base, text given"
PITCH_TRACKERS = "pitch trackers"
LABELLED = {
    "samples": "The labelled calls of data/samples",
    "fresh": "Calls of other voices, trades and hold music: data/fresh",
}
OF_TEXT = ("cer", "rate_bias")
RATES_OF_COUNTS = ("rings", "outcome")
LENGTHS = {"hold_length": "s", "dead_air_length": "s"}
ALL_STEREO = "all stereo conditions"
TAIL = 3
"""From so many times the target on, a p95 is named beside a median that may be met."""


@dataclass(frozen=True)
class Target:
    """One row of the table of targets; ``measure`` is a name of :func:`figure`."""

    name: str
    measure: str
    unit: str
    stereo: float
    mono: float | None
    higher: bool = False

    @property
    def median(self) -> bool:
        """Whether the target is for a median error, which says nothing of the few that are far off."""
        return "median" in self.name


TARGETS = (
    Target("speaking rate of a speaker, median error", "speaking_rate", "%", 3, 6),
    Target("speaking rate of a turn, median error", "turn_speaking_rate", "%", 3, 6),
    Target("level, median error", "level", "dB", 0.3, 1),
    Target("pitch variation, median error", "pitch_sd", "st", 0.3, 0.5),
    Target("agent's talk ratio, median error", "talk_ratio", "points", 1, 3),
    Target("interruption, F1", "interruption", "", 0.95, 0.70, True),
    Target("backchannel, F1", "backchannel", "", 0.85, None, True),
    Target("hold, F1", "hold", "", 1.0, 0.95, True),
    Target("hold length, p95 error", "hold_length:p95", "s", 0.5, 0.5),
    Target("dead air, F1", "dead_air", "", 0.98, 0.95, True),
    Target("ringing, count exact", "rings", "", 1.0, 1.0, True),
    Target("diarization error rate", "der", "%", 4, 10),
    Target("character error rate", "cer", "", 0.12, 0.12),
    Target("turn edges, median error", "turn_edges", "ms", 50, None),
)


def pooled(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Several conditions as one."""
    errors: dict[str, list[float]] = {}
    counts: dict[str, list[float]] = {}
    for part in parts:
        for measure, values in part["errors"].items():
            errors.setdefault(measure, []).extend(values)
        for name, values in part["counts"].items():
            if name in OF_TEXT and part["given_text"]:
                continue
            counts[name] = [a + b for a, b in zip(counts.get(name, [0] * 3), values, strict=False)]
    return {"errors": errors, "counts": counts, "given_text": False}


def figure(part: Mapping[str, Any], measure: str) -> tuple[float | None, float]:
    """One figure of a condition and how many cases it rests on.

    Median absolute error (``NAME:p95``: its 95th percentile), F1 of an event, or a rate of counts.
    """
    name, _, which = measure.partition(":")
    counts = part["counts"]
    if name in EVENTS:
        found, missed, extra = counts[name]
        cases = 2 * found + missed + extra
        return (2 * found / cases if cases else None), found + missed
    if name in OF_TEXT and part["given_text"]:
        return None, 0
    if name in counts:
        share, whole = counts[name]
        value = share / whole if whole else None
        return (100 * value if name == "der" and value is not None else value), whole
    errors = np.abs(part["errors"].get(name, []))
    if not errors.size:
        return None, 0
    return float(np.percentile(errors, 95 if which == "p95" else 50)), errors.size


def met(target: Target, value: float | None, bound: float | None) -> str:
    """Say whether a figure is as good as it must be."""
    if value is None or bound is None:
        return "-"
    good = value >= bound - 1e-9 if target.higher else value <= bound + 1e-9
    return "met" if good else "**not met**"


def document(data: Mapping[str, Any]) -> str:
    """Write the figures down as Markdown."""
    parts: Mapping[str, dict[str, Any]] = data["conditions"]
    known = [c for c in conditions() if c.name in parts]
    left = [c.name for c in conditions() if c.name not in parts]
    lines = [
        *_preface(data, parts), "", "## Against the targets", "", *target_table(parts, known), "",
        *crosstalk_lines(parts), "", *_not_met(parts), "", "## Timing and events, by condition", "",
        "Turn edges in ms and lengths in s: median / p95 of the absolute error, bias (mean of result - truth).",
        "Events: F1 (found of true, + extra).", "", *_event_table(known, parts), "",
        "## Rate, level, pitch, talk ratio, by condition", "",
        "Median / p95 / bias (n). \"-\": not measured; the program does not score level and pitch "
        "under 15 dB of signal to noise.", "", *_measure_table(known, parts), "",
        "## Text and speakers, by condition", "",
        "Rate bias: (insertions - deletions) / characters of the truth. This is what recognition errors do to "
        "the speaking rate; a substituted character still counts as one.", "",
        *_text_table(known, parts), "",
    ]  # fmt: skip
    if data.get("pitch_trackers"):
        lines += _pitch_lines(data["pitch_trackers"])
    else:
        left.append(PITCH_TRACKERS)
    for name, what in LABELLED.items():
        if data.get(name):
            lines += [f"## {what}", "", *_sample_table(data[name]), ""]
        else:
            left.append(name)
    lines += _limits(left)
    return "\n".join(lines) + "\n"


def summary(data: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured of each figure, stereo and mono, for people who ask about one measure.

    Returns
    -------
    dict
        ``figures``: by name its ``unit`` and by set of calls (``stereo``, ``mono``, all stereo
        conditions) either ``median``, ``p95``, ``bias`` or ``F1`` or ``share``, each with ``n``.
    """
    parts: Mapping[str, dict[str, Any]] = data["conditions"]
    stereo = [parts[c.name] for c in conditions() if c.name in parts and not c.line.mono]
    sets = {"stereo": parts.get("base"), "mono": parts.get("mono"), ALL_STEREO: pooled(stereo)}
    units = {**UNITS, **LENGTHS}
    figures: dict[str, Any] = {
        name: {"unit": units.get(name, "")}  # type: ignore[call-overload]
        for name in (*units, *EVENTS, *RATES_OF_COUNTS)
    }
    for name, row in figures.items():
        for which, part in sets.items():
            found = _summed_up(part, name) if part else None
            if found:
                row[which] = found
    return {
        "date": max((p["date"] for p in parts.values()), default=""),
        "calls": len(PLANS),
        "figures": {name: row for name, row in figures.items() if len(row) > 1},
    }


def _summed_up(part: Mapping[str, Any], name: str) -> dict[str, float] | None:
    if name in EVENTS or name in RATES_OF_COUNTS:
        if name not in part["counts"]:
            return None
        value, n = figure(part, name)
        kind = "F1" if name in EVENTS else "share"
        return None if value is None else {kind: round(value, 3), "n": n}
    errors = np.array(part["errors"].get(name, []))
    if not errors.size:
        return None
    size = np.abs(errors)
    found = {"median": np.median(size), "p95": np.percentile(size, 95), "bias": errors.mean()}
    return {k: round(float(v), 3) for k, v in found.items()} | {"n": errors.size}


def _preface(data: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    dates = sorted({p["date"] for p in parts.values()})
    seconds = sum(p["audio_s"] for p in parts.values())
    weights = ", ".join(f"{n} ({d[:12]})" for n, d in data["weights"].items())
    return [
        "# Accuracy",
        "",
        "Written by `make accuracy` (`python -m tests.benchmarks.accuracy`); do not edit. The errors of "
        "every case are in `docs/accuracy.json`.",
        "",
        f"- Date: {dates[0]}" + (f" to {dates[-1]}." if len(dates) > 1 else "."),
        f"- Corpus: {len(parts)} conditions of {len(PLANS)} calls, {seconds / 60:.0f} min of audio, "
        "made by `tests/benchmarks/corpus.py` with fixed seeds. Each condition is the base set with one thing "
        "changed; the base set is two-channel A-law at 8 kHz, 30 dB signal to noise, no crosstalk.",
        f"- Program: preset `{PRESET}`, version {data['version']}; weights {weights}.",
        f"- Machine: {data['cores']} CPU cores, no GPU.",
        "- **All of this is tuning.** Voices, texts and calls of this page were looked at while things were "
        "chosen: it says what a condition does, and is no promise. What was measured at first sight, on "
        "voices and sentences that nothing was chosen on, is said so in `voices.md` and `recognition.md`. "
        "A reporting set that was looked at for a repair becomes a tuning set and is replaced.",
        "- Speech is synthetic (neural text-to-speech, eight voices), so recognition and roles are "
        "easier or harder than on your calls: measure those with `callcoach evaluate FOLDER`.",
    ]


def target_table(parts: Mapping[str, Any], known: Sequence[Condition]) -> list[str]:
    """The base and the mono set against the targets, all stereo conditions beside them."""
    stereo = pooled(parts[c.name] for c in known if not c.line.mono)
    rows = []
    for t in TARGETS:
        cells = [t.name]
        for name, bound in (("base", t.stereo), ("mono", t.mono)):
            value, n = figure(parts[name], t.measure) if name in parts else (None, 0)
            wanted = "-" if bound is None else f"{'>=' if t.higher else '<='} {bound:g} {t.unit}"
            tail = _p95(parts[name], t) if name in parts and t.median else None
            worst = "" if tail is None else f", p95 {_shown(tail, t.unit, None)}"
            cells += [wanted.strip(), _shown(value, t.unit, n) + worst, met(t, value, bound)]
        cells.insert(4, _shown(*_swap(figure(stereo, t.measure), t.unit)))
        rows.append(cells)
    header = (
        "measure", "target stereo", "base set (n)", "", "all stereo conditions (n)", "target mono",
        "mono (n)", "",
    )  # fmt: skip
    return _table(header, rows)


def _not_met(parts: Mapping[str, Any]) -> list[str]:
    missed = [
        f"{t.name} ({layout})"
        for layout, name in (("stereo", "base"), ("mono", "mono"))
        for t in TARGETS
        if name in parts
        and met(t, figure(parts[name], t.measure)[0], t.stereo if name == "base" else t.mono)
        == "**not met**"
    ]
    tails = [
        f"{t.name.partition(',')[0]} ({layout}: {_shown(tail, t.unit, None)})"
        for layout, name in (("stereo", "base"), ("mono", "mono"))
        for t in TARGETS
        if name in parts and t.median
        for tail, bound in [(_p95(parts[name], t), t.stereo if name == "base" else t.mono)]
        if tail is not None and bound is not None and tail > TAIL * bound
    ]
    lines = [f"Not met: {', '.join(missed)}." if missed else "All targets are met."]
    if tails:
        lines += ["", f"Met or not, p95 is over {TAIL} times the target for: {', '.join(tails)}."]
    return lines


def _p95(part: Mapping[str, Any], target: Target) -> float | None:
    return figure(part, f"{target.measure}:p95")[0]


def crosstalk_lines(parts: Mapping[str, Any]) -> list[str]:
    """What crosstalk made up."""
    rows = [
        (name, *(f"{x:g}" for x in p["counts"]["invented"]))
        for name, p in parts.items()
        if name == CONTROL or name.startswith("crosstalk")
    ]
    return [
        "Crosstalk, down to -25 dB under the talker, must create no turns and no overlaps: both "
        "columns must be as in the first row, which has none.",
        "",
        *_table(
            ("condition", "turns that are in no truth", "overlap events that are in no truth"), rows
        ),
    ]


def _event_table(known: Sequence[Condition], parts: Mapping[str, Any]) -> list[str]:
    header = ("condition", "turn edges", *(k.replace("_", " ") for k in EVENTS), "outcome right",
              "hold length", "dead air length", "rings exact")  # fmt: skip
    rows = []
    for c in known:
        p = parts[c.name]
        counts = p["counts"]
        rows.append([
            c.name, _spread(p, "turn_edges", 0), *(_f1(p, k) for k in EVENTS),
            "{:g} of {:g}".format(*counts["outcome"]), _spread(p, "hold_length", 2),
            _spread(p, "dead_air_length", 2), "{:g} of {:g}".format(*counts["rings"]),
        ])  # fmt: skip
    return _table(header, rows)


def _measure_table(known: Sequence[Condition], parts: Mapping[str, Any]) -> list[str]:
    columns = {
        "speaking_rate": ("rate of a speaker, %", 1), "turn_speaking_rate": ("rate of a turn, %", 1),
        "turn_articulation_rate": ("articulation rate of a turn, %", 1), "level": ("level, dB", 2),
        "pitch_sd": ("pitch variation, st", 2), "talk_ratio": ("talk ratio, points", 1),
        "response_latency": ("median latency, ms", 0),
    }  # fmt: skip
    rows = [
        [_named(c, parts), *(_spread(parts[c.name], m, d) for m, (_, d) in columns.items())]
        for c in known
    ]
    return _table(("condition", *(title for title, _ in columns.values())), rows)


def _text_table(known: Sequence[Condition], parts: Mapping[str, Any]) -> list[str]:
    rows = []
    for c in known:
        p = parts[c.name]
        cer, n = figure(p, "cer")
        role, _ = figure(p, "role")
        bias, _ = figure(p, "rate_bias") if "rate_bias" in p["counts"] else (None, 0)
        text = "text given" if p["given_text"] else f"{_shown(cer, '', n)} characters"
        rows.append([
            c.name, text, "-" if bias is None else f"{100 * bias:+.1f} %",
            _shown(figure(p, "der")[0], "%", None),
            "-" if role is None else f"{100 * role:.1f} %", "{:g} of {:g}".format(*p["counts"]["turns"]),
        ])  # fmt: skip
    return _table(
        (
            "condition", "character error rate", "rate bias", "DER", "role accuracy",
            "turns found of true",
        ),
        rows,
    )  # fmt: skip


def _sample_table(samples: Mapping[str, Any]) -> list[str]:
    rows = []
    for t in TARGETS:
        cells = [
            _shown(*_swap(figure(samples[layout], t.measure), t.unit))
            for layout in ("stereo", "mono")
        ]
        if any(cell != "-" for cell in cells):
            rows.append([t.name, *cells])
    stereo, mono = samples["stereo"]["calls"], samples["mono"]["calls"]
    return [
        "Their truth does not know the pauses inside turns, which costs talk ratio a point or two, and "
        "it counts a silent hold from 0.3 s after the last word to 0.5 s before the next.",
        "",
        *_table(("measure", f"{stereo} stereo calls (n)", f"{mono} mono calls (n)"), rows),
    ]


def _pitch_lines(tables: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    lines = [
        "## Pitch trackers",
        "",
        "Synthetic speakers of known pitch, by `tests/benchmarks/pitch_trackers.py`: the program's own tracker "
        "beside others. Gross error: voiced frames more than 20 % off; recall: truly voiced frames that are "
        "called voiced.",
        "",
    ]
    for title, rows in tables.items():
        scores = {name: Score(**values) for name, values in rows.items()}
        lines += [*markdown(title, scores).rstrip().splitlines(), ""]
    return lines


def _limits(left: Sequence[str]) -> list[str]:
    lines = [
        "## What this does and does not say",
        "",
        "- The base and the mono set are recognised by the model named above. Where the text is given, "
        "rates and events rest on true words, evenly spread over their turn: compare those rows with "
        f'"{CONTROL}"; they say what the condition does to timing, level and pitch.',
        "- Tempo and pitch spread are changed by resynthesis, which itself costs recognition some characters.",
        "- True level: clean tracks before noise, crosstalk and codec. True pitch variation: the program's "
        "own tracker on the clean 16 kHz clips, where it agrees with WORLD's Harvest to 0.3 st (four "
        "voices compared); the tracker alone is measured by `tests/benchmarks/pitch_trackers.py`.",
        "- True pauses inside turns: frames more than 40 dB under the peak of the clip, for 0.18 s and more.",
        "- GSM, AMR and Opus code each leg by itself, as a gateway does; MP3 codes both in one file.",
        "- n is small for events (8 interruptions, 12 backchannels, 4 holds a condition): one miss moves "
        "F1 by several points.",
    ]
    if left:
        lines.append(
            f"- Not run for this table: {', '.join(left)}. Run them with `--only` and their names."
        )
    return lines


def _named(condition: Condition, parts: Mapping[str, Any]) -> str:
    return (
        f"{condition.name} (text given)"
        if parts[condition.name]["given_text"] and condition.name != CONTROL
        else condition.name
    )


def _swap(value_n: tuple[float | None, float], unit: str) -> tuple[float | None, str, float]:
    return value_n[0], unit, value_n[1]


def _shown(value: float | None, unit: str, n: float | None) -> str:
    if value is None:
        return "-"
    decimals = {"": 3, "dB": 2, "st": 2, "s": 2, "%": 1, "points": 1, "ms": 0}[unit]
    text = f"{value:.{decimals}f} {unit}".strip()
    return text if n is None else f"{text} ({n:.0f})"


def _spread(part: Mapping[str, Any], measure: str, decimals: int) -> str:
    errors = np.array(part["errors"].get(measure, []))
    if not errors.size:
        return "-"
    values = (np.median(np.abs(errors)), np.percentile(np.abs(errors), 95))
    shown = " / ".join(f"{v:.{decimals}f}" for v in values)
    missing = part["missing"].get(measure, 0)
    absent = f", {missing} not measured" if missing else ""
    return f"{shown} / {np.mean(errors):+.{decimals}f} ({errors.size}{absent})"


def _f1(part: Mapping[str, Any], kind: str) -> str:
    value, true = figure(part, kind)
    found, _, extra = part["counts"][kind]
    return "-" if value is None else f"{value:.2f} ({found:g} of {true:g}, +{extra:g})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
