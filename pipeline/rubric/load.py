"""The rubric: what is judged, loaded from YAML and checked to the last key.

A rubric may extend another one by file name; then only what differs has to be written. The engine
knows nothing of particular items: their names, phrases and places all come from the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pipeline.errors import RubricError, SettingsError, nearest
from pipeline.rubric.context import Condition, Hearing
from pipeline.rubric.doubt import COEFFICIENTS
from pipeline.rubric.examples import Example, parse_example
from pipeline.rubric.forms import (
    Flag,
    Form,
    Number,
    Phrases,
    Reader,
    Reads,
    Whole,
    entry,
    read,
)
from pipeline.rubric.located import Located, load_located, parse_located
from pipeline.rubric.meaning_rules import Meaning
from pipeline.rubric.parsing import Names
from pipeline.rubric.places import ANYWHERE, Where
from pipeline.rubric.speech_rules import Says
from pipeline.schema import AGENT, CUSTOMER, VerdictName
from pipeline.settings import Compliance, config_path
from pipeline.text import surnames
from pipeline.text.intents import IntentReader
from pipeline.text.phonetic.phrases import parse_phrase

Severity = Literal["minor", "normal", "serious", "veto", "report"]
Pair = tuple[str, str]
Rule = Annotated[Condition | None, Reads("condition")]
MIN_JUDGED_SHARE = Compliance().min_judged_share
_PART_KEYS = ("documents", "sections", "slots", "phrases", "conditions", "items")
_TOP_KEYS = ("rubric", "extends", "include", "intents", "hearing", *_PART_KEYS)
EXAMPLE_KEYS = ("should_pass", "should_fail", "should_not_apply")


_NOT_JUDGED: Mapping[VerdictName, tuple[str, str]] = {
    "cannot_tell": ("难以判断：{}", "Cannot be told: {}"),
    "not_applicable": ("不涉及：{}", "Not called for: {}"),
}
_OUTCOMES: Mapping[str, Mapping[VerdictName, tuple[str, str]]] = {
    "do": {"pass": ("做到了：{}", "Done: {}"), "fail": ("没有做到：{}", "Not done: {}"), **_NOT_JUDGED},
    "dont": {"pass": ("没有出现：{}", "Not found: {}"), "fail": ("出现了：{}", "Found: {}"),
             **_NOT_JUDGED},
}  # fmt: skip


class Item(Form):
    """One row of a rubric; ``at`` is the file and line where it stands."""

    unwritten = ("id", "at")

    id: str
    at: str
    name: Annotated[Pair, Reads("pair")] = entry(..., "the name in Chinese and English")
    description: Annotated[Pair | None, Reads("pair")] = entry(None, "what is asked; else the name")
    sources: Annotated[tuple[str, ...], Reads("sources")] = entry((), "ids of documents", "source")
    section: Annotated[str, Reads("section")] = entry(..., "one of sections")
    weight: Number = entry(1.0, "0 takes the item out of the score", ge=0)
    severity: Severity = entry("normal", "veto makes the score 0, report is never scored")
    record: Number = entry(0.0, "logits by which its fails were right more often than others")
    enabled: Flag = entry(True, "false switches the item off")
    polarity: Literal["do", "dont"] = entry("do", "something must be done, or must not be said")
    outcomes: Annotated[Mapping[VerdictName, Pair], Reads("outcomes")] = entry(
        {}, "a sentence for each verdict"
    )
    applies: Rule = entry(None, "the item is about calls of which this holds")
    when: Rule = entry(None, "the trigger")
    unless: Rule = entry(None, "an exception: the item does not apply")
    passes: Rule = entry(None, "what makes it pass", "pass")
    fails: Rule = entry(None, "what makes it fail; looked at before pass", "fail")
    fills: str | None = entry(None, "hold.thanked: written into the detail of the event")
    seen: Flag = entry(False, "say if it was done where the trigger did not happen")
    examples: Annotated[tuple[Example, ...], Reads("examples")] = entry((), "short dialogues")

    @property
    def name_zh(self) -> str:
        """The name in Chinese."""
        return self.name[0]

    @property
    def name_en(self) -> str:
        """The name in English."""
        return self.name[1]

    @property
    def description_zh(self) -> str:
        """What is asked, in Chinese."""
        return (self.description or self.name)[0]

    @property
    def description_en(self) -> str:
        """What is asked, in English."""
        return (self.description or self.name)[1]

    def outcome(self, verdict: VerdictName) -> tuple[str, str]:
        """A sentence in Chinese and one in English that say what a verdict means.

        As written under ``outcomes``, or made of the item's name and polarity.
        """
        zh, en = _OUTCOMES[self.polarity][verdict]
        return self.outcomes.get(verdict, (zh.format(self.name_zh), en.format(self.name_en)))

    @property
    def scored(self) -> bool:
        """Whether the item counts in the score; the others are only reported."""
        return self.severity != "report" and self.weight > 0


class Short(Form):
    """The short form of the rule of an item: words of the agent, perhaps after the customer's."""

    agent_says: Phrases = entry((), "phrases that the agent must say one of")
    agent_never_says: Phrases = entry((), "phrases that the agent must not say")
    excluded: Phrases = entry((), "a hit inside one of these does not count", "except")
    quoted_after: Phrases = entry((), "words after which somebody else is quoted", "except_after")
    or_means: Annotated[Meaning | None, Reads("meaning")] = entry(
        None, "an intent that is as good as the phrases"
    )
    after: Phrases = entry((), "the trigger: phrases of the customer")
    where: Where = entry(ANYWHERE, "where, instead of after")
    within_s: Number | None = entry(None, "so many seconds after the trigger at most", ge=0)
    within_turns: Whole | None = entry(None, "so many turns after it at most", ge=1)


@dataclass(frozen=True, slots=True)
class Section:
    """A group of items with a subtotal of its own."""

    id: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Rubric:
    """A loaded rubric.

    ``order`` has every item after those that it refers to, ``needs`` the items that each one
    refers to directly or through others, ``intents`` the intents that its rules read with ``meaning``.
    ``min_judged_share`` is the share of the weight that must be judged for a score, ``coefficients``
    make the probability that a verdict is right (:mod:`pipeline.rubric.doubt`).
    """

    id: str
    name_zh: str
    name_en: str
    version: str
    documents: Mapping[str, str]
    sections: tuple[Section, ...]
    hearing: Hearing
    slots: Mapping[str, str]
    items: tuple[Item, ...]
    order: tuple[str, ...]
    needs: Mapping[str, frozenset[str]]
    file: str
    sha256: str
    intents: tuple[str, ...] = ()
    min_judged_share: float = MIN_JUDGED_SHARE
    coefficients: Mapping[str, float] = field(default_factory=lambda: COEFFICIENTS)
    meaning: IntentReader = field(default_factory=IntentReader, compare=False, repr=False)

    def item(self, item_id: str) -> Item:
        """The item with an id.

        Raises
        ------
        RubricError
            If there is none, with the nearest id.
        """
        for item in self.items:
            if item.id == item_id:
                return item
        raise RubricError(
            f'The rubric {self.id} has no item "{item_id}".',
            nearest(item_id, (i.id for i in self.items)),
        )

    def outline(self) -> str:
        """What a reader of verdicts needs of it, as JSON: sections and items in both languages."""
        items = [
            {
                "id": i.id,
                "name": {"zh": i.name_zh, "en": i.name_en},
                "description": {"zh": i.description_zh, "en": i.description_en},
                "sources": i.sources,
                "section": i.section,
                "weight": i.weight,
                "severity": i.severity,
                "fails_by_omission": i.fails is None,
                "polarity": i.polarity,
                "outcomes": {
                    v: dict(zip(("zh", "en"), i.outcome(v), strict=True))
                    for v in get_args(VerdictName)
                },
                "has_trigger": i.when is not None,
                "looks_for": list(dict.fromkeys(_wordings((i.fails, i.passes)))),
            }
            for i in self.items
        ]
        sections = [{"id": s.id, "name": {"zh": s.name_zh, "en": s.name_en}} for s in self.sections]
        head = {"id": self.id, "name": {"zh": self.name_zh, "en": self.name_en}}
        return json.dumps(
            head
            | {"version": self.version, "min_judged_share": self.min_judged_share}
            | {"sections": sections, "items": items},
            ensure_ascii=False,
        )


def _wordings(part: object) -> Iterator[str]:
    """The phrases that conditions look for, as they are written."""
    if isinstance(part, Says):
        yield from (phrase.notation for phrase in part.phrases)
    if isinstance(part, Form):
        for name in type(part).model_fields:
            value = getattr(part, name)
            if isinstance(value, Form | tuple):
                yield from _wordings(value)
    elif isinstance(part, tuple):
        for one in part:
            yield from _wordings(one)


def load_rubric(
    path: str | Path,
    measures: frozenset[str] | None = None,
    meaning: IntentReader | None = None,
    min_judged_share: float = MIN_JUDGED_SHARE,
) -> Rubric:
    """Load and check a rubric.

    Parameters
    ----------
    path : str or Path
        A file, or the name of a rubric in ``configs/rubrics`` (``hotline``).
    measures : frozenset of str, optional
        The names of measures that exist; if given, others are errors.
    meaning : IntentReader, optional
        Reads intents, with the embedder of the settings; by default with the built-in one.
    min_judged_share : float
        Share of the weight that must be judged for a score, 0-1.

    Returns
    -------
    Rubric
        Frozen; the same file always gives the same rubric.

    Raises
    ------
    RubricError
        Pointing at file, line and key, with the nearest valid name.
    """
    file = find_rubric(path)
    top = _merged(load_located(file, is_kept=True), file, ())
    rubric = _build(top, file, measures, meaning or IntentReader())
    if min_judged_share == rubric.min_judged_share:
        return rubric
    identity = hashlib.sha256(f"{rubric.sha256}{min_judged_share}".encode()).hexdigest()
    return replace(rubric, min_judged_share=min_judged_share, sha256=identity)


def rubric_from_text(text: str, name: str = "rubric.yaml") -> Rubric:
    """Load a rubric from YAML text; files it names are looked up in ``configs/rubrics``."""
    top = parse_located(text, name)
    return _build(
        _merged(top, find_rubric("hotline").parent / name, ()), Path(name), None, IntentReader()
    )


def find_rubric(path: str | Path) -> Path:
    """The file of a rubric given by path or by name."""
    given = Path(path)
    if given.suffix or given.exists():
        return given
    try:
        return config_path(f"rubrics/{given.name}.yaml")
    except SettingsError as error:
        raise RubricError(error.message, error.hint) from error


def _merged(top: Located, file: Path, seen: tuple[Path, ...]) -> Located:
    """A rubric with the files that it includes, laid over the one that it extends."""
    keys = _with_parts(top, file)
    if "items" in keys:
        written = {k: _written_out(v) for k, v in keys["items"].mapping().items()}
        keys["items"] = replace(keys["items"], value=written)
    if "intents" in keys:  # a folder, seen from the file that names it
        at = keys["intents"]
        folder = file.parent / at.text()
        if not folder.is_dir():
            at.fail(f"there is no folder {folder} with intents.")
        keys["intents"] = replace(at, value=str(folder))
    top = replace(top, value=keys)
    if "extends" not in keys:
        return top
    base_file = file.parent / keys["extends"].text()
    if any(_same_file(base_file, other) for other in (*seen, file)):
        keys["extends"].fail("rubrics extend each other in a circle.")
    base = _merged(load_located(base_file, is_kept=True), base_file, (*seen, file))
    return _overlay(base, top, depth=0)


def _with_parts(top: Located, file: Path) -> dict[str, Located]:
    """What a rubric holds, and after that what its ``include`` files hold, in their order."""
    keys = dict(top.mapping(_TOP_KEYS))
    parts = keys.pop("include").items() if "include" in keys else []
    for named in parts:
        path = file.parent / named.text()
        if not path.is_file():
            named.fail(f"there is no file {path}.", "Paths are seen from the file that names them.")
        for key, group in load_located(path, is_kept=True).mapping(_PART_KEYS).items():
            held = dict(keys[key].mapping()) if key in keys else {}
            for name, child in group.mapping().items():
                if name in held:
                    child.fail(f"this key stands at {held[name].at} too.")
                held[name] = child
            keys[key] = replace(group, value=held)
    return keys


def _same_file(one: Path, other: Path) -> bool:
    """Whether two spellings name one file (links, ``./``, case of the file system)."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def _overlay(base: Located, top: Located, depth: int) -> Located:
    """Lay ``top`` over ``base``: mappings are joined down to the keys of an item."""
    if depth > 2 or not isinstance(base.value, dict) or not isinstance(top.value, dict):
        return top
    if base.key.startswith("conditions."):  # a condition is replaced whole
        return top
    joined = dict(base.value)
    for key, child in top.value.items():
        joined[key] = _overlay(joined[key], child, depth + 1) if key in joined else child
    if depth == 2 and {"pass", "fail"} & set(top.value):  # a new rule replaces the old one whole
        for key in {"pass", "fail"} - set(top.value):
            joined.pop(key, None)
    return Located(joined, top.file, top.line, top.key)


def _build(
    top: Located, file: Path, measures: frozenset[str] | None, meaning: IntentReader
) -> Rubric:
    keys = top.mapping(_TOP_KEYS)
    if "intents" in keys:
        meaning = meaning.with_folder(Path(keys["intents"].text()))
    for needed in ("rubric", "items"):
        if needed not in keys:
            top.fail(f'the key "{needed}" is missing.', "See docs/rubrics.md for a start.")
    head = keys["rubric"].mapping(("id", "name", "version"))
    documents = _texts(keys.get("documents"))
    sections = _sections(keys.get("sections"))
    slots = _texts(keys.get("slots"))
    if "slots" in keys:
        for child in keys["slots"].mapping().values():
            child.pattern()
    item_nodes = keys["items"].mapping()
    names = Names(_phrase_sets(keys.get("phrases")), slots, frozenset(item_nodes), measures)
    names.conditions = keys["conditions"].mapping() if "conditions" in keys else {}
    names.meaning = meaning
    items: list[Item] = []
    references: dict[str, set[str]] = {}
    for item_id, node in item_nodes.items():
        names.references = set()
        item = _item(item_id, node, names, documents, [s.id for s in sections])
        if item.enabled:
            items.append(item)
            references[item_id] = names.references
    order = _order(references, item_nodes)
    name = _pair(head["name"]) if "name" in head else ("", "")
    return Rubric(
        id=head["id"].text() if "id" in head else file.stem,
        name_zh=name[0],
        name_en=name[1],
        version=head["version"].text() if "version" in head else "1",
        documents=documents,
        sections=sections,
        hearing=_hearing(keys.get("hearing")),
        slots=slots,
        items=tuple(items),
        order=order,
        needs=_closure(order, references),
        file=str(file),
        sha256=_digest(top, meaning.identity(names.intents)),
        intents=tuple(sorted(names.intents)),
        meaning=meaning,
    )


def _item(
    item_id: str, node: Located, names: Names, documents: Mapping[str, str], sections: list[str]
) -> Item:
    body = node.mapping()
    if "pass" not in body and "fail" not in body:
        node.fail("pass: or fail: is missing.", "Say when the item passes or when it fails.")
    readers: dict[str, Reader] = {
        "pair": _pair,
        "section": lambda at: at.choice(sections),
        "sources": lambda at: tuple(s.choice(documents) for s in at.items()),
        "outcomes": lambda at: {v: _pair(t) for v, t in at.mapping(get_args(VerdictName)).items()},
        "examples": _examples,
    }
    polarity = "do" if "pass" in body else "dont"
    given = {"id": item_id, "at": node.at, "polarity": polarity}
    return read(Item, node, {**names.readers(), **readers}, **given)


def _written_out(node: Located) -> Located:
    """An item with its short form written out as ``when`` and ``pass`` or ``fail``.

    ``agent_says: $apology, after: $complaint, within_s: 30`` asks for words of the agent after words
    of the customer; without ``after``, at a place (``where: opening``) or anywhere;
    ``agent_never_says`` forbids words. ``except``, ``except_after`` and ``or_means`` are those of
    ``says``.
    """
    keys = node.mapping((*Item.written(), *Short.written()))
    short = [k for k in Short.written() if k in keys]
    if not short:
        return node
    says = next((k for k in ("agent_says", "agent_never_says") if k in keys), None)
    clash = next((k for k in ("pass", "fail") if k in keys), None)
    if says is None:
        keys[short[0]].fail(f"{short[0]} belongs to agent_says.", "Add agent_says: with phrases.")
    if clash is not None:
        keys[clash].fail(f"{clash} and {says} cannot stand together.", "Write one of the two.")
    alone = [k for k in short if k not in (says, "except", "except_after", "or_means")]
    if says == "agent_never_says" and alone:
        keys[alone[0]].fail(f"agent_never_says has no {alone[0]}.", f"Take {alone[0]} out.")
    for one, other in (("when", "after"), ("where", "after")):
        if one in keys and other in keys:
            keys[one].fail(f"{one} and {other} cannot stand together.", "Write one of the two.")
    near = {k: keys[k] for k in ("within_s", "within_turns") if k in keys}
    if near and "after" not in keys:
        next(iter(near.values())).fail(f"{next(iter(near))} needs after.", "Add after: phrases.")

    def at(key: str, value: Any) -> Located:
        return Located(value, node.file, keys[says].line, f"{node.key}.{key}")

    out = {k: v for k, v in keys.items() if k not in Short.written()}
    spoken = {"by": at("by", AGENT), "any": keys[says]}
    spoken |= {k: keys[k] for k in ("except", "except_after", "or_means", "where") if k in keys}
    if says == "agent_never_says":
        spoken["match"] = at("match", "strict")
        return replace(node, value=out | {"fail": at("fail", {"says": at("says", spoken)})})
    if "after" in keys:
        asked = {"by": at("by", CUSTOMER), "any": keys["after"]}
        out["when"] = at("when", {"says": at("says", asked)})
        spoken["where"] = at("where", near | {"after": at("after", "trigger")})
    return replace(node, value=out | {"pass": at("pass", {"says": at("says", spoken)})})


def _examples(at: Located) -> tuple[Example, ...]:
    verdicts = dict(zip(EXAMPLE_KEYS, ("pass", "fail", "not_applicable"), strict=True))
    return tuple(
        parse_example(line, verdicts[key])
        for key, lines in at.mapping(EXAMPLE_KEYS).items()
        for line in lines.items()
    )


def _pair(at: Located) -> tuple[str, str]:
    keys = at.mapping(("zh", "en"))
    if set(keys) != {"zh", "en"}:
        at.fail("both zh and en are needed.")
    return keys["zh"].text(), keys["en"].text()


def _texts(at: Located | None) -> dict[str, str]:
    return {k: v.text() for k, v in at.mapping().items()} if at is not None else {}


def _sections(at: Located | None) -> tuple[Section, ...]:
    if at is None:
        return ()
    return tuple(Section(k, *_pair(v)) for k, v in at.mapping().items())


def _phrase_sets(at: Located | None) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for name, node in (at.mapping() if at is not None else {}).items():
        notations: list[str] = []
        for item in node.items():
            text = item.text()
            if text.startswith("$"):
                if text[1:] not in out:
                    item.fail(
                        f'the phrase set "{text}" is not defined above.', nearest(text[1:], out)
                    )
                notations += out[text[1:]]
                continue
            try:
                parse_phrase(text)
            except RubricError as error:
                item.fail(error.message, error.hint)
            notations.append(text)
        out[name] = tuple(notations)
    return out


def _hearing(at: Located | None) -> Hearing:
    if at is None:
        return Hearing()
    if isinstance(at.value, dict) and "utc_offset_hours" in at.value:
        at.fail(
            '"utc_offset_hours" is no longer here: one setting, time.zone, governs all clocks.',
            "Remove the line, and set time.zone where it is not Asia/Shanghai.",
        )
    return read(Hearing, at, {})


def _order(references: Mapping[str, set[str]], nodes: Mapping[str, Located]) -> tuple[str, ...]:
    """Order items so that what is referred to comes first.

    Raises
    ------
    RubricError
        If items refer to each other in a circle, or to an item that is switched off.
    """
    order: list[str] = []
    state: dict[str, int] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if state.get(name) == 2:
            return
        if state.get(name) == 1:
            nodes[name].fail(
                f"items refer to each other in a circle: {' -> '.join((*path, name))}."
            )
        state[name] = 1
        for other in sorted(references[name]):
            if other not in references:
                nodes[name].fail(f'it refers to "{other}", which is switched off.')
            visit(other, (*path, name))
        state[name] = 2
        order.append(name)

    for name in references:
        visit(name, ())
    return tuple(order)


def _closure(
    order: tuple[str, ...], references: Mapping[str, set[str]]
) -> dict[str, frozenset[str]]:
    needs: dict[str, frozenset[str]] = {}
    for name in order:
        direct = references[name]
        needs[name] = frozenset(direct).union(*(needs[d] for d in direct))
    return needs


def _digest(top: Located, intents: str) -> str:
    """SHA-256 of what the rubric says, and of the intents it reads; where they lie does not matter."""

    def plain(at: Located) -> object:
        if isinstance(at.value, dict):
            return {k: plain(v) for k, v in at.value.items()}
        return [plain(v) for v in at.value] if isinstance(at.value, list) else at.value

    said = {k: plain(v) for k, v in top.mapping().items() if k != "intents"}
    names = "".join(sorted(surnames()))  # what a slot takes for a name
    return hashlib.sha256(f"{said!r}{intents}{names}".encode()).hexdigest()


__all__ = ["Item", "Rubric", "Section", "field", "find_rubric", "load_rubric", "rubric_from_text"]
