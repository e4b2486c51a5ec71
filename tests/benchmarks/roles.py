"""How often the agent is told from the customer without metadata, in a batch of two layouts.

Calls are composed of the lines of ``data/utterances``: an agent's voice and a customer's, each with lines
drawn from the seed. Greetings and closings are often missing, lines are noisy and coded, so that many
calls leave doubt. Half of the calls are in a folder where the agent is on channel 0, half in one where it
is on channel 1; inbound and outbound are mixed, and the metadata names neither channel nor agent.

    python -m tests.benchmarks.roles OUT --calls 64

prints how many calls have the wrong agent by their words alone, and as the batch leaves them.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.batch.engines import Job
from pipeline.batch.engines.inline import InlineEngine
from pipeline.batch.runner import analyse
from pipeline.rubric import Rubrics
from pipeline.schema import AGENT, SPEAKERS, CallResult, Recording
from pipeline.settings import load_settings
from pipeline.speech.models import load_models
from pipeline.speech.roles import assign_roles
from pipeline.store import Store
from tests.benchmarks.corpus import CODECS, MadeCall, write_recording

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "data"))

from synthesis import Bank, CallBuilder, Line, Party  # noqa: E402

GREETING = 0.4  # of calls begin with the agent's greeting
CLOSING = 0.3
OPENINGS = ("open_full", "open_bare", "open_rude", "out_open")
CLOSINGS = (
    "close_full",
    "welcome_close",
    "welcome_bye",
    "bye",
    "hang_up",
    "no_more",
    "no_more_thanks",
)
APART = (*OPENINGS, *CLOSINGS, "backchannel")


def compose(folder: Path, number: int, agent_channel: int, seed: int = 1) -> Recording:
    """Write one call and return what its metadata says."""
    rng = np.random.default_rng((seed, number))
    with (ROOT / "data" / "utterances.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    opens = {row["voice"] for row in rows if row["kind"] in OPENINGS}
    voices = sorted({row["voice"] for row in rows})
    outbound = rng.random() < 0.5
    of: dict[Party, str] = {
        "A": str(rng.choice([v for v in voices if v in opens])),
        "C": str(rng.choice([v for v in voices if v not in opens])),
    }
    bank = Bank(ROOT / "data" / "utterances")
    call = CallBuilder(bank, f"call_{number:03d}", number + 1)
    if rng.random() < GREETING:
        call.say("A", str(rng.choice(bank.names(of["A"], "out_open" if outbound else "open_full"))))
    elif outbound:
        call.say("C", str(rng.choice(bank.names(of["C"], "yes"))))
    first: Party = "A" if rng.random() < 0.5 else "C"
    lines = {p: [r["id"] for r in rows if r["voice"] == v and r["kind"] not in APART]
             for p, v in of.items()}  # fmt: skip
    second: Party = "C" if first == "A" else "A"
    for party in (first, second) * int(rng.integers(2, 4)):
        call.say(party, str(rng.choice(lines[party])), float(rng.uniform(0.2, 0.9)))
    if rng.random() < CLOSING:
        ends = [n for kind in CLOSINGS for n in bank.names(of["A"], kind)]
        call.say("A", str(rng.choice(ends)))
    line = Line(
        float(rng.uniform(12, 30)), float(rng.uniform(-40, -28)), agent_channel=agent_channel
    )
    made = call.finish(line, {}, {})
    codec = CODECS[int(rng.integers(len(CODECS)))]
    path = write_recording(folder, MadeCall(made.samples, made.truth, (), codec, mono=False))
    return Recording(str(path), f"{folder.name}_{path.stem}",
                     direction="outbound" if outbound else "inbound")  # fmt: skip


def batch(recordings: Sequence[Recording], store: Store) -> Iterator[CallResult]:
    """The calls as the batch leaves them."""
    settings = load_settings()
    rubrics = Rubrics(settings)
    engine = InlineEngine(Job(settings, rubrics, load_models))
    for _ in analyse(recordings, settings, store, engine, rubrics):
        pass
    yield from store.results()


def by_words(result: CallResult) -> tuple[int, float]:
    """The agent's channel by the words of this call alone, and how sure that is."""
    channel = {p.role: str(p.channel) for p in result.parties}
    heard = [replace(u, speaker=channel[u.speaker]) for u in result.utterances]
    roles = assign_roles(heard, sorted(channel.values()), direction=result.recording.direction)
    return next(int(v) for v, r in roles.speakers.items() if r == AGENT), roles.confidence


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line of counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--calls", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    recordings = []
    for number in range(options.calls):
        folder = options.out / ("first", "second")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        recordings.append(compose(folder, number, number % 2, options.seed))
    calls = words = left = unsure = warned = 0
    with Store.open(options.out / "callcoach.db") as store:
        for result in batch(recordings, store):
            if sum(p.live for p in result.parties) < len(SPEAKERS):
                continue
            truth = int(Path(result.recording.path).parent.name == "second")
            said, sure = by_words(result)
            found = next(p.channel for p in result.parties if p.role == AGENT)
            calls, words, left = calls + 1, words + (said != truth), left + (found != truth)
            unsure += sure < 0.95
            warned += found != truth and any("who is the agent" in w for w in result.warnings)
    print(
        f"{calls} calls, {unsure} of which leave doubt by their words: wrong by the words alone {words}, "
        f"in the batch {left} ({warned} of them with a warning)"
    )


if __name__ == "__main__":
    main()
