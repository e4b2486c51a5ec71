"""Recordings against a table of what was said in them, whoever said it: characters only.

For recordings without labels of time, such as read sentences of many people. What was heard in a
recording is joined in the order of time and compared with its transcript. Another recogniser's texts
can stand beside. Nothing here runs a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import MetadataError
from pipeline.evaluation.texts import TextErrors, align
from pipeline.io.user_tables import CALL_COLUMNS, read_table
from pipeline.schema import Utterance
from pipeline.text import normalise_for_cer

COLUMNS = {
    "recording": CALL_COLUMNS["recording"],
    "text": ("transcript", "sentence", "文本", "转写", "转写文本", "内容"),
    "group": ("set", "corpus", "组", "分组"),
}
LEAST_OF_A_GROUP = 10  # files; smaller groups say nothing by themselves
ALL = "all"
HEADER = ("group", "files", "characters", "heard by", "wrong", "substituted", "deleted", "inserted")


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in one recording."""

    path: Path
    text: str
    group: str


def read_transcripts(table: Path, folder: Path) -> list[Transcript]:
    """Read a table with the columns ``recording``, ``text`` and, if there is one, ``group``.

    Rows without text are left out. Recordings are sought in ``folder`` by path, then by name.

    Raises
    ------
    MetadataError
        If the table cannot be read, or no recording of it is in the folder.
    """
    by_name = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}
    found: list[Transcript] = []
    for row in read_table(str(table), COLUMNS, [["recording"], ["text"]], MetadataError).rows:
        named = row.cells.get("recording", "")
        path = folder / named if (folder / named).is_file() else by_name.get(Path(named).name)
        if path is not None and row.cells.get("text"):
            found.append(Transcript(path, row.cells["text"], row.cells.get("group", "")))
    if not found:
        raise MetadataError(
            f"{table}: no row has a text and a recording that is in {folder}.",
            "The column recording must hold paths in the folder or names of files.",
        )
    return found


def joined(utterances: Sequence[Utterance]) -> str:
    """What was heard of all speakers, in comparison form and the order of time."""
    in_time = sorted(utterances, key=lambda u: (u.start, u.end))
    return "".join(normalise_for_cer(u.text) for u in in_time)


def compare_texts(
    transcripts: Sequence[Transcript], heard: Mapping[str, Mapping[Path, str]]
) -> list[tuple[str, ...]]:
    """Rows of the table: for all and for each group of ten and more, what each recogniser made of it.

    Parameters
    ----------
    transcripts : sequence of Transcript
    heard : mapping of str to mapping of Path to str
        Texts by recogniser and recording. Recordings that one of them lacks are left out of all.
    """
    known = [t for t in transcripts if all(t.path in texts for texts in heard.values())]
    groups = sorted({t.group for t in known if t.group})
    members = {ALL: known} | {g: [t for t in known if t.group == g] for g in groups}
    rows = []
    for group, own in members.items():
        if group != ALL and len(own) < LEAST_OF_A_GROUP:
            continue
        for name, texts in heard.items():
            e = sum(
                (align(normalise_for_cer(t.text), normalise_for_cer(texts[t.path])) for t in own),
                start=TextErrors(),
            )
            wrong = "-" if e.cer is None else f"{100 * e.cer:.1f} %"
            counts = (e.substitutions, e.deletions, e.insertions)
            rows.append(
                (group, str(len(own)), str(e.characters), name, wrong, *(str(n) for n in counts))
            )
    return rows
