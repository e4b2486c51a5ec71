"""What is shown: a bar while recordings are analysed, tables and sentences at the end.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipeline import evaluation
from pipeline.batch.runner import Step, Tally
from pipeline.io import files
from pipeline.settings import Settings
from pipeline.store import shown_address

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


def watch_progress(steps: Iterable[Step], tally: Tally, recordings: int) -> None:
    """Show a bar while the steps come in and ``tally`` counts them, and each failure at once."""
    start = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=_screen(), transient=True) as progress:
        task = progress.add_task("Analysing", total=recordings, speed="", left="")
        for step in steps:
            seconds = max(time.monotonic() - start, 1e-6)
            left = seconds / tally.steps * (recordings - tally.steps)
            progress.update(
                task,
                advance=1,
                speed=f"{tally.new_audio_s / seconds:.1f} audio hours/hour",
                left=f"{clock(left)} left",
            )
            if step.failure is not None:
                progress.console.print(_failed(step), markup=False, highlight=False)


def say_step(step: Step) -> None:
    """One line for one recording."""
    text = (
        _failed(step)
        if step.failure is not None
        else f"{step.outcome}: {files.shown(step.recording.path)}"
    )
    _screen().print(text, markup=False, highlight=False, soft_wrap=True)


def summary(tally: Tally, settings: Settings) -> None:
    """What became of the recordings, and what to bear in mind."""
    screen = _screen()
    counts = {k: n for k, n in tally.counts.items() if k != "failed"}
    done = ", ".join(f"{n} {o}" for o, n in counts.items()) or "none analysed"
    screen.print(
        f"{tally.steps} recordings: {done}, {tally.failed} failed; "
        f"{tally.audio_s / 3600:.2f} h of audio; "
        f"preset {settings.preset} ({settings.asr.source}).",
        markup=False,
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
    say_list("Note", tally.warnings, more=tally.warned - len(tally.warnings))


def agents(frame: pd.DataFrame) -> None:
    """The table of the agents, as it was exported."""
    adjusted = frame["adjusted_for"].dropna() if "adjusted_for" in frame else frame.iloc[:0]
    title = "Agents, pooled over their calls"
    title += f", adjusted for {adjusted.iloc[0]}" if len(adjusted) else ""
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1))
    table.add_column("agent", no_wrap=True)
    for _, header, _ in AGENT_COLUMNS:
        table.add_column(header, justify="right", no_wrap=True)
    for row in frame.astype(object).to_dict("records"):
        cells = [
            form.format(row[name]) if name in row and pd.notna(row[name]) else "-"
            for name, _, form in AGENT_COLUMNS
        ]
        names = [str(row[k]) for k in ("agent_id", "agent_name") if pd.notna(row.get(k))]
        table.add_row(Text(" ".join(names) or "not named"), *cells)
    _paper().print(table)


def paths(files: Iterable[Path], out: Path, store: str | None) -> None:
    """Where the results are."""
    screen = _paper()
    names = sorted(p.name for p in files)
    book = [n for n in names if n.endswith(".xlsx")]
    tables = sorted({n.rpartition(".")[0] for n in names if not n.endswith(".xlsx")})
    screen.print(
        f"Open: {out / book[0] if book else out}", markup=False, highlight=False, soft_wrap=True
    )
    where = shown_address(store) if store else "callcoach.db"
    screen.print(
        f"Tables in {out} as .csv and .parquet: {', '.join(tables)}; store: {where}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def evaluation_report(figures: evaluation.Evaluation, settings: Settings) -> str:
    """The figures of an evaluation as Markdown."""
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


def transcripts_report(rows: Sequence[Sequence[str]], settings: Settings) -> str:
    """What recognisers made of transcribed recordings, as Markdown."""
    lines = [*markdown(evaluation.TRANSCRIPTS_HEADER, rows), ""]
    return "\n".join([*lines, f"Preset {settings.preset} ({settings.asr.source})."])


def show(text: str) -> None:
    """Print a result as it is."""
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def say(text: str) -> None:
    """Print a sentence about the run."""
    _screen().print(text, markup=False, highlight=False, soft_wrap=True)


def say_list(what: str, lines: Iterable[str], more: int = 0) -> None:
    """Print the first of many lines and how many there are besides."""
    lines = list(lines)
    for line in lines[:MANY]:
        say(f"{what}: {line}")
    if (rest := len(lines) - MANY if len(lines) > MANY else 0) + more:
        say(f"{what}: {rest + more} more; see the tables.")


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _failed(step: Step) -> str:
    assert step.failure is not None
    failure = step.failure
    return files.shown(f"Failed: {failure.path}: {failure.message} {failure.hint}")


def _screen() -> Console:
    return Console(stderr=True)


def _paper() -> Console:
    """Standard output, wide enough for the table also where it is a file."""
    console = Console()
    return console if console.is_terminal else Console(width=100)
