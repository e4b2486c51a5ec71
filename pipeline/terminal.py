"""What ``analyze`` and ``evaluate`` do and show: a bar while they run, tables at the end."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline import evaluation
from pipeline.audio import AUDIO_SUFFIXES
from pipeline.batch import Step, analyse
from pipeline.compliance import outside
from pipeline.errors import OutputError
from pipeline.export import export
from pipeline.recordings import Found, find_recordings
from pipeline.schema import Recording
from pipeline.settings import Settings
from pipeline.speech.models import load_models
from pipeline.store import Store

MANY = 10
AGENT_COLUMNS = (
    ("calls", "calls", "{:.0f}"),
    ("agent_speaking_rate_mean", "chars\n/min", "{:.0f}"),
    ("speaking_rate_vs_norm_mean", "of\nnorm", "{:.0%}"),
    ("agent_level_dbfs_mean", "level\ndBFS", "{:.1f}"),
    ("agent_pitch_sd_st_mean", "pitch\nSD st", "{:.1f}"),
    ("agent_interruptions_mean", "inter-\nrupts", "{:.1f}"),
    ("holds_mean", "holds", "{:.1f}"),
    ("hold_s_mean", "hold\ns", "{:.0f}"),
    ("compliance_score_mean", "our\nscore", "{:.0f}"),
    ("outside_score_mean", "QA\nscore", "{:.0f}"),
)


def analyze(
    inputs: list[str],
    out: Path,
    settings: Settings,
    *,
    metadata: Path | None,
    scores: Path | None,
    name_pattern: str | None,
    force: bool,
) -> int:
    """Analyse, export, and print the summary.

    Returns
    -------
    int
        How many recordings failed.
    """
    screen = Console(stderr=True)
    found = find_recordings(
        inputs, suffixes=AUDIO_SUFFIXES, metadata=metadata, name_pattern=name_pattern
    )
    sheet = outside.read_scores(scores) if scores else None
    _say_list(screen, "Note", found.warnings)
    with _open(out) as store:
        for failure in found.failures:
            store.save_failure(failure)
        steps = _run(screen, found, settings, store, force)
        unmatched: list[str] = []
        if sheet is not None and scores is not None:
            joined = outside.join(sheet, store.frame("calls")[["call_id", "path"]])
            store.save_outside(scores.name, joined)
            unmatched = [
                f"{scores.name} row {row.row}: {row.problem}"
                for row in joined.rows[joined.rows["problem"].notna()].itertuples()
            ]
        files = export(store, out, min_calls=settings.agents.min_calls)
    _say_list(screen, "Outside score not used", unmatched)
    _summary(screen, steps, found, settings)
    _agents(_paper(), out)
    _paths(_paper(), files, out)
    return sum(s.outcome == "failed" for s in steps) + len(found.failures)


def evaluate(
    folder: Path,
    settings: Settings,
    *,
    metadata: Path | None,
    out: Path | None,
    baseline: Path | None,
) -> int:
    """Analyse labelled calls, compare with their truth, print and save the figures.

    Returns
    -------
    int
        How many recordings failed.
    """
    screen = Console(stderr=True)
    earlier = evaluation.read_baseline(baseline) if baseline else None
    pairs = evaluation.find_truths(folder)
    found = find_recordings([str(p) for p, _ in pairs], suffixes=AUDIO_SUFFIXES, metadata=metadata)
    truths = {str(path.resolve()): truth for path, truth in pairs}
    found = found._replace(recordings=[_with_meta(r, truths[r.path]) for r in found.recordings])
    with tempfile.TemporaryDirectory() as temporary, _open(out or Path(temporary)) as store:
        steps = _run(screen, found, settings, store, force=False)
        done = [s.recording for s in steps if s.outcome != "failed"]
        figures = evaluation.summarise(
            [evaluation.evaluate_call(store.load(r.call_id), truths[r.path]) for r in done],
            failed=[s.recording.call_id for s in steps if s.outcome == "failed"],
        )
    text = _report(figures, settings)
    Console(soft_wrap=True).print(text, markup=False, highlight=False)
    if out is not None:
        data = json.dumps(figures.to_json(), ensure_ascii=False, indent=1)
        (out / "evaluation.json").write_text(data, "utf-8")
        (out / "evaluation.md").write_text(text, "utf-8")
        screen.print(f"Saved: {out / 'evaluation.json'}, {out / 'evaluation.md'}", soft_wrap=True)
    if earlier is not None:
        moved = [str(m) for m in evaluation.compare(figures, earlier)]
        _say_list(screen, "Moved", moved or ["nothing"])
    return sum(s.outcome == "failed" for s in steps) + len(found.failures)


def _with_meta(recording: Recording, truth: Mapping[str, Any]) -> Recording:
    """What the labels say of the call, where the metadata does not say it."""
    meta = truth.get("meta", {})
    return replace(
        recording,
        direction=recording.direction or meta.get("direction"),
        started_at=recording.started_at or meta.get("date"),
        agent_id=recording.agent_id or meta.get("agent_id"),
    )


def _report(figures: evaluation.Evaluation, settings: Settings) -> str:
    rows = [
        *markdown(evaluation.TABLE_HEADER, figures.table()),
        "",
        *markdown(evaluation.ITEM_HEADER, figures.item_table()),
        "",
        *(f"- {note}" for note in evaluation.NOTES),
        "",
        *(f"Wrong verdict: {line}" for line in figures.wrong_verdicts()),
        f"Preset {settings.preset} ({settings.asr.source}).",
    ]
    return "\n".join(rows)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |"


def _paper() -> Console:
    """Standard output, wide enough for the table also where it is a file."""
    console = Console()
    return console if console.is_terminal else Console(width=100)


def _open(out: Path) -> Store:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise OutputError(
            f"The output folder {out} cannot be made: {cause.strerror or cause}.",
            "Name a folder you can write to with --out.",
        ) from cause
    return Store.open(out)


def _run(
    screen: Console, found: Found, settings: Settings, store: Store, force: bool
) -> list[Step]:
    steps: list[Step] = []
    start = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task("Analysing", total=len(found.recordings), speed="", left="")
        for step in analyse(found.recordings, settings, store, load_models, force=force):
            steps.append(step)
            seconds = max(time.monotonic() - start, 1e-6)
            audio_h = sum(s.audio_s for s in steps) / 3600
            left = seconds / len(steps) * (len(found.recordings) - len(steps))
            progress.update(
                task,
                advance=1,
                speed=f"{audio_h / (seconds / 3600):.1f} audio hours/hour",
                left=f"{_clock(left)} left",
            )
            if step.failure is not None:
                progress.console.print(
                    f"Failed: {step.failure.path}: {step.failure.message} {step.failure.hint}",
                    markup=False,
                    highlight=False,
                )
    return steps


def _summary(screen: Console, steps: list[Step], found: Found, settings: Settings) -> None:
    counts = {
        o: sum(s.outcome == o for s in steps) for o in dict.fromkeys(s.outcome for s in steps)
    }
    failed = counts.pop("failed", 0) + len(found.failures)
    done = ", ".join(f"{n} {o}" for o, n in counts.items()) or "none analysed"
    hours = sum(s.audio_s for s in steps) / 3600
    screen.print(
        f"{len(steps) + len(found.failures)} recordings: {done}, {failed} failed; "
        f"{hours:.2f} h of audio; preset {settings.preset} ({settings.asr.source}).",
        highlight=False,
        soft_wrap=True,
    )
    if settings.preset == "embedded":
        screen.print(
            "The embedded preset is for trying out: it mishears one character in ten and more. "
            "Use --preset large-v3-turbo for decisions about people.",
            highlight=False,
            soft_wrap=True,
        )
    warned = [f"{s.recording.call_id}: {w}" for s in steps for w in s.warnings]
    _say_list(screen, "Note", warned)
    _say_list(screen, "Failed", [f"{f.path}: {f.message} {f.hint}" for f in found.failures])


def _agents(screen: Console, out: Path) -> None:
    frame = pd.read_parquet(out / "agents.parquet")
    table = Table(title="Agents, means per call", title_justify="left", box=SIMPLE, padding=(0, 1))
    table.add_column("agent", no_wrap=True)
    for _, header, _ in AGENT_COLUMNS:
        table.add_column(header, justify="right", no_wrap=True)
    for row in frame.astype(object).to_dict("records"):
        cells = [
            form.format(row[name]) if name in row and pd.notna(row[name]) else "-"
            for name, _, form in AGENT_COLUMNS
        ]
        names = [str(row[k]) for k in ("agent_id", "agent_name") if pd.notna(row.get(k))]
        table.add_row(" ".join(names) or "not named", *cells)
    screen.print(table)


def _paths(screen: Console, files: Iterable[Path], out: Path) -> None:
    names = sorted(p.name for p in files)
    book = [n for n in names if n.endswith(".xlsx")]
    tables = [n.removesuffix(".csv") for n in names if n.endswith(".csv")]
    screen.print(f"Open: {out / book[0] if book else out}", highlight=False, soft_wrap=True)
    screen.print(
        f"Tables in {out} as .csv and .parquet: {', '.join(tables)}; store: callcoach.db",
        highlight=False,
        soft_wrap=True,
    )


def _say_list(screen: Console, what: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    for line in lines[:MANY]:
        screen.print(f"{what}: {line}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > MANY:
        screen.print(f"{what}: {len(lines) - MANY} more; see the tables.", highlight=False)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
