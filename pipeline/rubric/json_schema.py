"""The JSON Schema of rubric files, so that editors complete keys and mark mistakes while one types.

It is made from the models that files are read with. ``configs/rubrics/schema.json`` holds it, written
by ``python -m pipeline.commands.documents``; the first line of a rubric file names it.
"""

from __future__ import annotations

from typing import Any, get_args

from pipeline.rubric.context import Hearing
from pipeline.rubric.forms import Form
from pipeline.rubric.load import EXAMPLE_KEYS, Item, Short
from pipeline.rubric.meaning_rules import Meaning
from pipeline.rubric.measured_rules import Quantity
from pipeline.rubric.parsing import BARE, OPERATORS, TURN_MEASURES
from pipeline.rubric.places import INNER, Part, Place
from pipeline.schema import EventKind, VerdictName

_TEXT = {"type": "string"}
_TEXTS = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}


def json_schema() -> dict[str, Any]:
    """The schema of a rubric file, or of a file that a rubric includes."""
    part = _reads("part")
    defs = {f"operator.{name}": _operator(name) for name in OPERATORS} | {
        "pair": _mapping({"zh": _TEXT, "en": _TEXT}, required=["zh", "en"]),
        "part": {"enum": list(get_args(Part))},
        "phrases": _TEXTS,
        "patterns": _TEXTS,
        "place": {"anyOf": [part, _form(Place)]},
        "anchor": {
            "anyOf": [
                {"enum": ["trigger", *get_args(EventKind)]},
                _mapping({"item": _TEXT}, required=["item"]),
                _reads("condition"),
            ]
        },
        "quantity": {"anyOf": [_TEXT, _form(Quantity) | {"required": ["turns"]}]},
        "intents": _TEXTS,
        "meaning": {"anyOf": [_TEXT, _form(Meaning)]},
        "item": _TEXT,
        "section": _TEXT,
        "sources": _TEXTS,
        "clock": _mapping({"from": _TEXT, "to": _TEXT}, required=["from", "to"]),
        "conditions": {"type": "array", "items": _reads("condition"), "minItems": 1},
        "condition": {
            "anyOf": [
                {"type": "string", "pattern": r"^\$"},
                _reads("conditions"),
                _mapping({name: _reads(f"operator.{name}") for name in OPERATORS})
                | {"minProperties": 1, "maxProperties": 1},
            ]
        },
        "outcomes": _mapping(dict.fromkeys(get_args(VerdictName), _reads("pair"))),
        "examples": _mapping(dict.fromkeys(EXAMPLE_KEYS, _TEXTS)),
        "rubric_item": _item(),
    }
    defs["quantity"]["anyOf"][1]["properties"]["turns"]["enum"] = list(TURN_MEASURES)
    named = {"type": "object", "additionalProperties": _reads("pair")}
    texts = {"type": "object", "additionalProperties": _TEXT}
    top = _mapping(
        {
            "rubric": _mapping({"id": _TEXT, "name": _reads("pair"), "version": _TEXT}),
            "extends": _TEXT,
            "include": _TEXTS,
            "intents": _TEXT,
            "documents": texts,
            "hearing": _form(Hearing),
            "sections": named,
            "slots": texts,
            "phrases": {"type": "object", "additionalProperties": _TEXTS},
            "conditions": {"type": "object", "additionalProperties": _reads("condition")},
            "items": {"type": "object", "additionalProperties": _reads("rubric_item")},
        }
    )
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    found: dict[str, Any] = _resolved(head | top | {"$defs": defs})
    return found


def _reads(name: str) -> dict[str, Any]:
    return {"$reads": name}


def _mapping(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": required} if required else {})


def _form(form: type[Form]) -> dict[str, Any]:
    found = form.model_json_schema(mode="validation")
    kept = {k: v for k, v in found["properties"].items() if k not in form.unwritten}
    required = [k for k in found.get("required", ()) if k in kept]
    return _mapping(kept, required) | {"description": (form.__doc__ or "").partition("\n")[0]}


def _operator(name: str) -> dict[str, Any]:
    if name not in BARE:
        return _form(OPERATORS[name])
    field = next(n for n in INNER if n in OPERATORS[name].model_fields)
    about = (OPERATORS[name].__doc__ or "").partition("\n")[0]
    return _reads("conditions" if field == "conditions" else "condition") | {"description": about}


def _item() -> dict[str, Any]:
    """An item; one that changes an item of the extended rubric may leave everything out."""
    whole, short = _form(Item), _form(Short)
    return _mapping(whole["properties"] | short["properties"]) | {
        "description": whole["description"]
    }


def _resolved(value: Any) -> Any:
    """References instead of the names of readers, and without what editors do not need."""
    if isinstance(value, list):
        return [_resolved(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "$reads" in value:
        about = {k: v for k, v in value.items() if k == "description"}
        return {"$ref": f"#/$defs/{value['$reads']}"} | about
    if {"type": "null"} in value.get("anyOf", ()):  # a key that may be left out is never null
        (given,) = (v for v in value["anyOf"] if v != {"type": "null"})
        return _resolved(given | {k: v for k, v in value.items() if k not in ("anyOf", "default")})
    if value.get("default", 0.0) in ([], {}, float("inf"), float("-inf")):
        value = {k: v for k, v in value.items() if k != "default"}
    return {k: _resolved(v) for k, v in value.items() if k != "title" or isinstance(v, dict)}
