"""Intents as a quality manager writes them: YAML files of examples in ``configs/intents``.

An intent is shown by sentences that have it (``like``) and by near misses that do not
(``not_like``), each list by industry or author, so that cross-validation can leave out a group that
it has not seen. ``neutral.yaml`` holds sentences of ordinary calls, ``heard.tsv`` those of labelled
calls. A folder of one's own (``intents:`` in a rubric) adds intents and replaces built-in ones of the
same name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from ruamel.yaml.error import YAMLError

from pipeline.errors import SettingsError, nearest
from pipeline.io.yaml import read_large_yaml
from pipeline.settings import config_folder
from pipeline.text.script import simplify

Speaker = Literal["agent", "customer", "any"]
NEUTRAL = "neutral"
HEARD = "heard"
LABELLED = "labelled"
MIN_EXAMPLES = 10
DOUBT = (0.4, 0.6)  # probabilities between these are in doubt, where the file says no others
_KEYS = ("name", "note", "by", "includes", "overlaps", "doubt", "like", "not_like")

Examples = tuple[tuple[str, str], ...]  # (group, sentence)
Heard = tuple[str, bool, str, str]  # (sentence, has the intent, group, "heard")


class LabelledSentence(NamedTuple):
    """A sentence with all intents of its speaker that it shows, and some that it is near to."""

    text: str
    by: Speaker
    group: str
    shows: frozenset[str]
    near: frozenset[str]


@dataclass(frozen=True, slots=True)
class Definition:
    """One intent: what it means, who usually shows it, and sentences with and without it.

    ``includes`` are intents whose examples have this one as well, ``overlaps`` those whose examples
    may or may not have it; the examples of all other intents of the same speaker are without it.
    """

    id: str
    name_zh: str
    name_en: str
    note: str
    by: Speaker
    like: Examples
    not_like: Examples
    includes: tuple[str, ...] = ()
    overlaps: tuple[str, ...] = ()
    doubt: tuple[float, float] = DOUBT
    built_in: bool = True


@dataclass(frozen=True)
class Definitions:
    """All intents by name, neutral and labelled sentences, sentences of labelled calls."""

    intents: Mapping[str, Definition]
    neutral: Mapping[str, tuple[str, ...]]
    heard: Mapping[str, tuple[Heard, ...]]
    labelled: tuple[LabelledSentence, ...] = ()

    def find(self, name: str) -> Definition:
        """One intent.

        Raises
        ------
        SettingsError
            If there is none of this name, with the nearest.
        """
        if name not in self.intents:
            raise SettingsError(
                f'There is no intent "{name}".',
                nearest(name, self.intents, "one a file in configs/intents, and your own"),
            )
        return self.intents[name]

    def related(self, name: str) -> frozenset[str]:
        """The intent and those whose examples have it too, or may have it."""
        one = self.find(name)
        by_others = (other.id for other in self.intents.values() if name in other.overlaps)
        return frozenset({name, *one.includes, *one.overlaps, *by_others})

    def lessons(self, name: str) -> Iterator[tuple[str, bool, str, str]]:
        """Rows of (sentence, has the intent, group, where it stands) to learn an intent from.

        A sentence that stands in several places is taken from the first. The built-in intents learn
        from each other and from labelled calls only, so that intents of one's own never change them.
        """
        one = self.find(name)
        rows = [(text, True, group, f"{name} like") for group, text in one.like]
        for part in one.includes:
            rows += [(t, True, g, f"{part} like") for g, t in self.find(part).like]
        rows += [(text, False, group, f"{name} not_like") for group, text in one.not_like]
        for other in self._unlike(one):
            rows += [(t, False, g, f"{other.id} like") for g, t in other.like]
        for speaker, texts in self.neutral.items():
            if one.by in (speaker, "any"):
                rows += [(t, False, f"neutral {i % 5}", NEUTRAL) for i, t in enumerate(texts)]
        if one.built_in:
            related = self.related(name)
            rows += [
                (told.text, name in told.shows, told.group, LABELLED)
                for told in self.labelled
                if one.by in (told.by, "any")
                and (name in told.shows | told.near or not told.shows & related)
            ]
            rows += self.heard.get(name, ())
        seen: set[str] = set()
        for row in rows:
            if row[0] not in seen:
                seen.add(row[0])
                yield row

    def digest(self, name: str) -> str:
        """SHA-256 of everything that decides what a head of an intent learns."""
        one = self.find(name)
        told = [name, one.by, str(one.doubt), self._digests["not_like", name]]
        told += [self._digests["like", part] for part in (name, *one.includes)]
        told += [self._digests["like", other.id] for other in self._unlike(one)]
        told += [self._digests[NEUTRAL, who] for who in self.neutral if one.by in (who, "any")]
        if one.built_in:
            told += sorted(n for n in self.related(name) if self.intents[n].built_in)
            told += [self._digests[LABELLED, ""], _digest(self.heard.get(name, ()))]
        return _digest(told)

    @cached_property
    def _digests(self) -> Mapping[tuple[str, str], str]:
        """SHA-256 of each list of sentences."""
        out = {("like", name): _digest(one.like) for name, one in self.intents.items()}
        out |= {("not_like", name): _digest(one.not_like) for name, one in self.intents.items()}
        out |= {(NEUTRAL, speaker): _digest(texts) for speaker, texts in self.neutral.items()}
        sets = ((t.text, t.by, t.group, sorted(t.shows), sorted(t.near)) for t in self.labelled)
        return out | {(LABELLED, ""): _digest(list(sets))}

    def _unlike(self, one: Definition) -> Iterator[Definition]:
        """The intents of the same speaker whose examples are without this one."""
        related = self.related(one.id)
        for other in self.intents.values():
            heard_together = other.by == one.by or "any" in (other.by, one.by)
            if heard_together and other.id not in related and (other.built_in or not one.built_in):
                yield other


def _digest(told: object) -> str:
    return hashlib.sha256(repr(told).encode()).hexdigest()


def load_definitions(folder: Path | None = None) -> Definitions:
    """Read the built-in intents and those of a folder.

    Parameters
    ----------
    folder : Path, optional
        Intents of one's own.

    Raises
    ------
    SettingsError
        Naming the file and the key, where a file is not valid.
    """
    built_in = config_folder() / "intents"
    if folder is not None and not folder.is_dir():
        raise SettingsError(
            f"There is no folder {folder} with intents.", "Name it as seen from the rubric file."
        )
    intents: dict[str, Definition] = {}
    neutral: dict[str, tuple[str, ...]] = {}
    for place in [built_in, *([folder] if folder not in (None, built_in) else [])]:
        assert place is not None
        for file in sorted(place.glob("*.yaml")):
            data = _read(file)
            if file.stem == NEUTRAL:
                neutral |= {
                    who: tuple(text for _, text in _examples(file, who, data.get(who)))
                    for who in ("agent", "customer")
                }
            else:
                intents[file.stem] = _definition(file, data, place == built_in)
    for one in intents.values():
        for other in (*one.includes, *one.overlaps):
            if other not in intents:
                raise SettingsError(
                    f'{one.id}.yaml: there is no intent "{other}".', nearest(other, intents)
                )
    sentences = tuple(labelled(built_in / f"{LABELLED}.tsv"))
    for told in sentences:
        for name in told.shows | told.near:
            if name not in intents:
                raise SettingsError(
                    f'{LABELLED}.tsv: "{told.text}" names the intent "{name}", which there is not.',
                    nearest(name, intents),
                )
    return Definitions(intents, neutral, heard(built_in / f"{HEARD}.tsv"), sentences)


def labelled(file: Path) -> Iterator[LabelledSentence]:
    """Sentences with all that they show; none where there is no file.

    A row is a sentence, its speaker, a trade, the intents that it shows, and those it is near to.

    Raises
    ------
    SettingsError
        Naming the line that is no such row.
    """
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    for number, line in enumerate(lines, 1):
        cells = line.split("\t")
        if len(cells) != 5 or cells[1] not in ("agent", "customer"):
            raise SettingsError(
                f"{file.name}, line {number}: {line[:60]!r} is no labelled sentence.",
                "Write five columns with tabs between them: sentence, agent or customer, trade, "
                "intents, near misses.",
            )
        text, by, group, shows, near = cells
        yield LabelledSentence(
            text, cast(Speaker, by), group, frozenset(shows.split()), frozenset(near.split())
        )


def heard(file: Path) -> Mapping[str, tuple[Heard, ...]]:
    """Sentences of labelled calls by intent; none where there is no file.

    A row is a sentence, the number of its call, the intents that it shows, and those that it does
    not show although it looks like it. ``data/make_heard.py`` writes the file.
    """
    found: dict[str, list[Heard]] = {}
    for line in file.read_text("utf-8").splitlines() if file.is_file() else ():
        text, call, shown, absent = line.split("\t")
        group = f"call {int(call) % 10}"
        for names, shows in ((shown, True), (absent, False)):
            for name in names.split():
                found.setdefault(name, []).append((text, shows, group, HEARD))
    return {name: tuple(rows) for name, rows in found.items()}


def _definition(file: Path, data: Mapping[str, Any], built_in: bool) -> Definition:
    for key in data:
        if key not in _KEYS:
            raise SettingsError(f'{file.name}: the key "{key}" is not known.', nearest(key, _KEYS))
    speakers = get_args(Speaker)
    by = data.get("by")
    if by not in speakers:
        raise SettingsError(f'{file.name}: by: is "{by}".', f"Allowed: {', '.join(speakers)}.")
    given = data.get("name")
    names: Mapping[str, Any] = given if isinstance(given, dict) else {}
    doubt = data.get("doubt", DOUBT)
    try:
        low, high = float(doubt[0]), float(doubt[1])
    except (TypeError, ValueError, IndexError, KeyError):
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        raise SettingsError(
            f"{file.name}: doubt: is {doubt!r}.",
            "Write two probabilities, the lower first, such as [0.4, 0.6].",
        )
    one = Definition(
        file.stem,
        str(names.get("zh", file.stem)),
        str(names.get("en", file.stem)),
        " ".join(str(data.get("note", "")).split()),
        cast(Speaker, by),
        _examples(file, "like", data.get("like")),
        _examples(file, "not_like", data.get("not_like")),
        tuple(map(str, data.get("includes") or ())),
        tuple(map(str, data.get("overlaps") or ())),
        (low, high),
        built_in,
    )
    both = {t for _, t in one.like} & {t for _, t in one.not_like}
    if both:
        raise SettingsError(
            f'{file.name}: "{min(both)}" stands under like and under not_like.', "Keep one."
        )
    for key, examples in (("like", one.like), ("not_like", one.not_like)):
        if len(examples) < MIN_EXAMPLES:
            raise SettingsError(
                f"{file.name}: {key}: has {len(examples)} sentences; {MIN_EXAMPLES} are needed.",
                "Forty and more, from several industries and manners of speaking, work well.",
            )
    return one


def _examples(file: Path, key: str, value: object) -> Examples:
    """Sentences of a list, or of lists by group."""
    groups = value if isinstance(value, dict) else {"": value}
    out: list[tuple[str, str]] = []
    for group, texts in groups.items():
        if not isinstance(texts, list) or not all(isinstance(t, str) and t.strip() for t in texts):
            raise SettingsError(
                f"{file.name}: {key}: must hold a list of sentences, or such lists by industry.",
                "Numbers and sentences with a colon need quotes. See docs/intents.md.",
            )
        out += [(str(group), simplify(t.strip())) for t in texts]
    return tuple(dict.fromkeys(out))


def _read(file: Path) -> Mapping[str, Any]:
    try:
        data = read_large_yaml(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as cause:
        raise SettingsError(
            f"{file} cannot be read: {' '.join(str(cause).split())}", "It must be a YAML file."
        ) from cause
    if not isinstance(data, dict):
        raise SettingsError(f"{file} must hold keys such as like:.", "See docs/intents.md.")
    return data
