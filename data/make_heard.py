"""Sentences of labelled dialogues as examples of intents: writes ``configs/intents/heard.tsv``.

A label says that something was said in a dialogue, not where: a pass or a fail of ``refusal_with_alternative``
says that the agent refused, ``not_applicable`` that nobody did. Of a dialogue that has an intent, the
sentences that a head taught by the examples alone takes for it are taken, at least the surest one; of one
that has it not, those that look like it (multiple-instance learning, Andrews et al. 2003, one round).

    python -m data.make_heard FOLDER...
    python -m data.make_heard --add FOLDER... [--calls FOLDER...] [--stores FOLDER=STORE...]

``--add`` keeps the rows of the file and adds those of other dialogues; there the heads in use say what shows
an intent and what looks like it. ``--calls`` are folders of calls with truth, read by their true words;
``--stores`` are such folders with the store that ``callcoach evaluate`` made of them, read as they were heard.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.evaluation.dialogues import Labelled, labelled_dialogues
from pipeline.settings import config_folder
from pipeline.text.intents import IntentReader, find_embedder, load_definitions
from pipeline.text.intents.definitions import HEARD
from pipeline.text.intents.embedding import BUILT_IN
from pipeline.text.intents.heads import heads
from pipeline.text.intents.reading import parts_of
from tests.benchmarks.hands import told as spoken
from tests.benchmarks.verdict_probability import labelled_calls

# What a verdict of an item says of an intent: of what starts a script, of what has to be said, and
# of what must not be said.
STARTS = {"pass": True, "fail": True, "not_applicable": False}
HAS_TO = {"pass": True, "fail": False}
MUST_NOT = {"fail": True, "pass": False}
UNLESS = {"not_applicable": False}  # one of several things that start a script
NEVER = {"pass": False}  # one of several things that must not be said
TOLD = (
    ("clarify_purpose", "request_unclear", STARTS),
    ("complaint_about_colleague", "complaint_about_colleague", STARTS),
    ("complaint_about_self", "complaint_about_self", STARTS),
    ("complaint_apology", "complaint", STARTS),
    ("complaint_empathy", "complaint", STARTS),
    ("establish_contact", "recurrence_feared", STARTS),
    ("harassment_handling", "harassment", STARTS),
    ("long_wait_apology", "complaint_line_hard_to_reach", STARTS),
    ("other_agent_request", "other_agent_wanted", STARTS),
    ("out_of_scope_request", "out_of_scope", STARTS),
    ("outbound_leave_message", "person_absent", STARTS),
    ("personal_information", "private_contact", STARTS),
    ("promise_time_limit", "promise", STARTS),
    ("refusal_with_alternative", "refusal", STARTS),
    ("respond_to_thanks", "thanks", STARTS),
    ("supervisor_request", "supervisor_wanted", STARTS),
    ("thank_for_suggestion", "suggestion", STARTS),
    ("transfer_consent", "transfer_announced", STARTS),
    ("transfer_handover", "transfer_announced", STARTS),
    ("transfer_reason", "transfer_announced", STARTS),
    ("weakness_before_strength", "recommendation", STARTS),
    ("wrong_number", "wrong_number", STARTS),
    ("ask_customer_name", "name_asked", HAS_TO),
    ("ask_customer_solution", "wish_asked", HAS_TO),
    ("closing_goodbye", "farewell", HAS_TO),
    ("closing_thanks", "closing_thanked", HAS_TO),
    ("complaint_about_self", "criticism_accepted", HAS_TO),
    ("complaint_apology", "apology", HAS_TO),
    ("complaint_empathy", "empathy", HAS_TO),
    ("confirm_understanding", "understanding_checked", HAS_TO),
    ("establish_contact", "contact_offered", HAS_TO),
    ("further_help", "further_help_asked", HAS_TO),
    ("hold_consent", "consent_asked", HAS_TO),
    ("hold_reason", "wait_reason", HAS_TO),
    ("hold_thanks", "wait_thanks", HAS_TO),
    ("inaudible_apology", "repeat_asked", HAS_TO),
    ("offer_choices", "alternative_offered", HAS_TO),
    ("opening_offer_help", "offer_of_help", HAS_TO),
    ("opening_self_introduction", "introduction", HAS_TO),
    ("outbound_convenient_time", "convenience_asked", HAS_TO),
    ("outbound_leave_message", "better_time_asked", HAS_TO),
    ("pen_and_paper", "pen_asked", HAS_TO),
    ("recap_summary", "recap", HAS_TO),
    ("refusal_with_alternative", "alternative_offered", HAS_TO),
    ("respond_to_thanks", "thanks_answered", HAS_TO),
    ("transfer_consent", "consent_asked", HAS_TO),
    ("transfer_reason", "transfer_reasoned", HAS_TO),
    ("transfer_received", "wait_thanks", HAS_TO),
    ("arguing_with_customer", "contradiction", MUST_NOT),
    ("blaming_colleague", "blame", MUST_NOT),
    ("personal_remark", "personal_remark", MUST_NOT),
    ("prohibited_phrases", "brush_off", MUST_NOT),
    ("ask_customer_solution", "proposal_rejected", UNLESS),
    ("complaint_empathy", "upset", UNLESS),
    ("confirm_understanding", "explanation_given", UNLESS),
    ("prohibited_phrases", "flat_denial", NEVER),
    ("prohibited_phrases", "lecturing", NEVER),
)
SHOWN = 0.5  # probability from which a sentence of a dialogue that has the intent shows it
SUREST = 0.2  # the surest one shows it from here on
NEAR = 0.02  # a sentence of a dialogue without the intent is worth learning from here on
HEARD_FROM = 0.3  # confidence of a turn whose words can be relied on


def main() -> None:
    """Read the folders and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--calls", nargs="+", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--stores", nargs="+", default=[], metavar="FOLDER=STORE")
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--out", type=Path, default=config_folder() / "intents" / f"{HEARD}.tsv")
    given = parser.parse_args()
    dialogues = [d for folder in given.folders for d in labelled_dialogues(folder)]
    for folder in given.calls:
        dialogues += [spoken(file, set()) for file in sorted(folder.glob("*.truth.json"))]
    for folder, _, store in (pair.partition("=") for pair in given.stores):
        dialogues += labelled_calls(Path(folder), Path(store))
    kept = given.out.read_text("utf-8").splitlines() if given.add else []
    first = max((int(line.split("\t")[1]) for line in kept), default=-1) + 1
    known = {line.split("\t")[0] for line in kept}
    embedder = find_embedder(BUILT_IN)
    reader = IntentReader(embedder)
    reader.prepare([t.text for d in dialogues for t in d.dialogue.turns])
    taught = load_definitions() if given.add else replace(load_definitions(), heard={})
    names = sorted({intent for _, intent, _ in TOLD})
    used = heads(names, taught, embedder)
    rows: dict[str, tuple[int, set[str], set[str]]] = {}
    for intent in names:
        for number, shows, texts in told(intent, dialogues, taught.find(intent).by):
            chances = used[intent].probabilities(embedder.embed(texts), texts)
            for text, chance in zip(texts, chances, strict=True):
                row = rows.setdefault(text, (number + first, set(), set()))
                if shows and (chance >= SHOWN or max(SUREST, *chances) == chance):
                    row[1].add(intent)
                elif not shows and chance >= NEAR:
                    row[2].add(intent)
    lines = [
        "\t".join([text, str(number), " ".join(sorted(shown)), " ".join(sorted(absent - shown))])
        for text, (number, shown, absent) in rows.items()
        if (shown or absent) and text not in known
    ]
    given.out.write_text("\n".join(sorted([*kept, *lines])) + "\n", "utf-8")


def told(intent: str, dialogues: list[Labelled], by: str) -> Iterator[tuple[int, bool, list[str]]]:
    """Dialogues whose labels say whether they have an intent: number, has it, what was said."""
    for number, one in enumerate(dialogues):
        answers = {
            meaning[verdict]
            for item, name, meaning in TOLD
            if name == intent and (verdict := one.expected.get(item)) in meaning
        }
        texts = [
            words
            for turn in one.dialogue.turns
            if by in (turn.speaker, "any") and turn.confidence > HEARD_FROM
            for _, _, words in parts_of(turn.text)
        ]
        if answers and texts:
            yield number, any(answers), list(dict.fromkeys(texts))


if __name__ == "__main__":
    main()
