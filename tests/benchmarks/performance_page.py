"""``docs/performance.md``: what was measured by ``performance.py``, for people who plan a night's run.

A run is one way to hear one file, in plain JSON types, as :class:`tests.benchmarks.performance.Run`.
Ratios are of CPU seconds, the median over the files of a layout; totals are sums over those files.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

OURS, MIXED, CHANNELS = "callcoach", "plain recipe", "plain recipe by channel"
LAYOUTS = {2: "two channels", 1: "mono"}
MAX_OVERHEAD, MIN_FASTER, MAX_FEATURES = 1.10, 2.0, 0.03
HOUR_S = 3600

Row = Mapping[str, Any]


def document(data: Row) -> str:
    """Write the figures down as Markdown."""
    runs: Sequence[Row] = data["runs"]
    lines = [
        *_preface(data), "", "## Against the targets", "", *_targets(runs), "",
        "## How long an hour of audio takes", "",
        "Seconds on one core; a machine of eight cores hears eight calls at a time (`--workers`).", "",
        *_totals(runs), "", "## Where the time goes", "",
        "Our stages, wall seconds for an hour of audio. What is no model: reading and checking the "
        "audio, tones, level, pitch, dialogue, measures, rubric, store.", "", *_stages(runs), "",
        "Calls of the models, CPU seconds for an hour of audio.", "", *_models(runs), "",
        "## File by file", "", *_files(runs), "", *_limits(),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def overhead(run: Row) -> float:
    """The whole over the bare calls of the models."""
    return float(run["spent"]["cpu_s"]) / _model_s(run)


def faster(runs: Sequence[Row], channels: int, way: str) -> float | None:
    """How many times the CPU seconds of ours another way takes: the median over the files."""
    theirs = {r["file"]: r for r in _of(runs, channels, way)}
    ratios = [
        theirs[r["file"]]["spent"]["cpu_s"] / r["spent"]["cpu_s"]
        for r in _of(runs, channels, OURS)
        if r["file"] in theirs
    ]
    return statistics.median(ratios) if ratios else None


def error_rate(runs: Iterable[Row], wrong: str, whole: str) -> float | None:
    """Errors over all that could be wrong, pooled."""
    listed = list(runs)
    total = sum(r[whole] for r in listed)
    return sum(r[wrong] for r in listed) / total if total else None


def _preface(data: Row) -> list[str]:
    used = ", ".join(f"{n} ({d[:12]})" for n, d in data["weights"].items())
    files = {r["file"]: r["audio_s"] for r in data["runs"]}
    machine = data["machine"]
    left = data["files"] - len(files)
    part = f" The run was stopped: {left} longer files are not in these figures." if left else ""
    return [
        "# Performance",
        "",
        "Written by `make bench` (`python -m tests.benchmarks.performance`); do not edit. All figures are in "
        "`docs/performance.json`.",
        "",
        f"- Date: {data['date']}. Machine: {machine['processor']}, {machine['system']}, no GPU, "
        f"{data['threads']} thread; load average at the end {data['load']}, ours included.",
        f"- Program: version {data['version']}, preset `{data['preset']}`; weights {used}.",
        f"- Audio: {len(files)} files, {sum(files.values()) / 60:.0f} min: `data/samples` and two calls of "
        f"`tests/benchmarks/corpus.py`.{part}",
        "- The plain recipe is faster-whisper's `BatchedInferencePipeline` (beam 5, batches of 8, voice "
        "activity, words with times) and then a pyannote.audio pipeline with its own step of 0.1, with the "
        "same weights in the same process; recordings of two channels are mixed down. *By channel* recognises "
        "each channel by itself and needs no diarization. It gives words and speakers: no turns, events, "
        "measures, levels, pitch or verdicts. Its roles are given as they fit the truth best.",
        "- A word given to the wrong speaker is wrong for both, in every way alike: where voices are merged, "
        "the character error rate is mostly theirs.",
        "- Every file is heard in every way in turn. Ratios are of CPU seconds, the median over the files.",
        f"- Loading and warming up took {data['loading_s']:.0f} s once; at its peak the process, with both "
        f"programs in it, held {data['peak_memory_mib']} MiB.",
    ]


def _targets(runs: Sequence[Row]) -> list[str]:
    rows = []
    for channels, layout in LAYOUTS.items():
        ours = _of(runs, channels, OURS)
        if not ours:
            continue
        over = statistics.median(map(overhead, ours))
        rows.append(_row(f"whole / bare calls of the models, {layout}", f"<= {MAX_OVERHEAD:.2f}",
                         f"{over:.3f}", over <= MAX_OVERHEAD))  # fmt: skip
        rest = _sum(ours, _features_s) / _sum(ours, lambda r: r["audio_s"])
        rows.append(_row(f"all that is no model, share of the audio, {layout}",
                         f"<= {MAX_FEATURES:.0%}", f"{rest:.1%}", rest <= MAX_FEATURES))  # fmt: skip
        for way in (MIXED, CHANNELS):
            times = faster(runs, channels, way)
            if times is not None:
                rows.append(_row(f"times as fast as the {way}, {layout}", f">= {MIN_FASTER:g}",
                                 f"{times:.2f}", times >= MIN_FASTER))  # fmt: skip
                rows += _no_worse(ours, _of(runs, channels, way), f"{way}, {layout}")
    return _table(("", "target", "measured", ""), rows)


def _no_worse(ours: Sequence[Row], theirs: Sequence[Row], name: str) -> list[list[str]]:
    rows = []
    for what, wrong, whole in (
        ("character error rate", "character_errors", "characters"),
        ("diarization error rate", "speaker_errors_s", "speech_s"),
    ):
        own, other = error_rate(ours, wrong, whole), error_rate(theirs, wrong, whole)
        if own is not None and other is not None:
            rows.append(_row(f"{what} beside the {name}", f"<= {other:.1%}", f"{own:.1%}",
                             own <= other))  # fmt: skip
    return rows


def _totals(runs: Sequence[Row]) -> list[str]:
    rows = []
    for channels, layout in LAYOUTS.items():
        for way in (OURS, MIXED, CHANNELS):
            own = _of(runs, channels, way)
            if own:
                rows.append([
                    layout, way, _per_hour(own, lambda r: r["spent"]["cpu_s"]),
                    _per_hour(own, lambda r: r["spent"]["wall_s"]),
                    f"{_sum(own, lambda r: r['audio_s']) / _sum(own, lambda r: r['spent']['cpu_s']):.1f}",
                    _percent(error_rate(own, "character_errors", "characters")),
                    _percent(error_rate(own, "speaker_errors_s", "speech_s")),
                ])  # fmt: skip
    header = ("recordings", "", "CPU s", "wall s", "hours of audio in a core-hour",
              "character error rate", "diarization error rate")  # fmt: skip
    return _table(header, rows)


def _stages(runs: Sequence[Row]) -> list[str]:
    return _by_layout(runs, "stages", "stage", lambda value: float(value))


def _models(runs: Sequence[Row]) -> list[str]:
    return _by_layout(runs, "models", "model", lambda value: float(value["cpu_s"]))


def _by_layout(
    runs: Sequence[Row], key: str, title: str, seconds: Callable[[Any], float]
) -> list[str]:
    layouts = {n: _of(runs, n, OURS) for n in LAYOUTS if _of(runs, n, OURS)}
    names = list(dict.fromkeys(name for own in layouts.values() for r in own for name in r[key]))
    rows = [
        [name, *(_per_hour(own, lambda r, n=name: seconds(r[key][n]) if n in r[key] else 0.0)  # type: ignore[misc]
                 for own in layouts.values())]
        for name in names
    ]  # fmt: skip
    return _table((title, *(LAYOUTS[n] for n in layouts)), rows)


def _files(runs: Sequence[Row]) -> list[str]:
    rows = [
        [
            r["file"], LAYOUTS[r["channels"]], f"{r['audio_s']:.0f}", r["way"],
            f"{r['spent']['cpu_s']:.1f}", f"{r['spent']['wall_s']:.1f}",
            f"{overhead(r):.3f}" if r["models"] else "-",
            f"{r['character_errors']} of {r['characters']}",
            f"{r['speaker_errors_s']:.1f} of {r['speech_s']:.1f} s",
        ]
        for r in runs
    ]  # fmt: skip
    return _table(("file", "", "audio s", "heard by", "CPU s", "wall s", "whole / models",
                   "characters wrong", "speakers wrong"), rows)  # fmt: skip


def _limits() -> list[str]:
    return [
        "## What this does and does not say",
        "",
        "- Time goes with the speech that is recognised, not with the length of the recording: holds and "
        "pauses cost next to nothing. These calls are spoken through without long waits.",
        "- The weights are small. With larger ones the models take more and the rest takes the same.",
        "- Wall time depends on what else the machine does; CPU seconds do so only a little.",
        "- Speech is synthetic; measure error rates on your own calls with `callcoach evaluate FOLDER`.",
    ]


def _of(runs: Sequence[Row], channels: int, way: str) -> list[Row]:
    return [r for r in runs if r["channels"] == channels and r["way"] == way]


def _model_s(run: Row) -> float:
    return float(sum(m["cpu_s"] for m in run["models"].values()))


def _features_s(run: Row) -> float:
    return float(run["spent"]["cpu_s"]) - _model_s(run)


def _sum(runs: Sequence[Row], value: Callable[[Row], float]) -> float:
    return float(sum(map(value, runs)))


def _per_hour(runs: Sequence[Row], value: Callable[[Row], float]) -> str:
    return f"{_sum(runs, value) / _sum(runs, lambda r: r['audio_s']) * HOUR_S:.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _row(name: str, target: str, value: str, good: bool) -> list[str]:
    return [name, target, value, "met" if good else "**not met**"]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
