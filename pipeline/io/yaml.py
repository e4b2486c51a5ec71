"""YAML 1.2 as people write it: read safely, and never more of it than a person could mean.

``18:00`` and ``no`` are text. Aliases that multiply into millions of values, values that hold
themselves and nesting without end are refused instead of being followed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from pipeline.io import cache

MAX_VALUES = 200_000  # after every alias is written out; the largest shipped file has 6,000
_RECIPE = "1"  # of what is kept
_ALIAS = re.compile(r"\*[^\s,\]}]")


def read_yaml(text: str) -> Any:
    """Read a text into plain values.

    Raises
    ------
    YAMLError
        If it is not YAML, or stands for too much.
    """
    try:
        if _ALIAS.search(text):
            _compose(text)
        return YAML(typ="safe", pure=True).load(text)
    except RecursionError as cause:
        raise YAMLError("it is nested too deeply") from cause


def read_large_yaml(text: str) -> Any:
    """The same for texts that are read in every process: what they hold is kept in the cache folder.

    It takes a second for 150,000 characters, and a hundredth of that once it is kept. Never for a
    text that may hold a password or what was said in a call.
    """
    return _once(read_yaml, text)


def marked_yaml(text: str) -> Any:
    """Read a text into values with the lines where they stand.

    Returns
    -------
    list or None
        ``[line, value]``, lines counted from 1. A value is a scalar, a list of such pairs, or, for a
        mapping, ``{"": [[key, line of the key, [line, value]], ...]}``. Nothing for an empty text.

    Raises
    ------
    YAMLError
        If it is not YAML, or stands for too much.
    """
    node = _compose(text)
    return None if node is None else _marked(node)


def marked_large_yaml(text: str) -> Any:
    """The same, kept as by `read_large_yaml`."""
    return _once(marked_yaml, text)


def _once(read: Callable[[str], Any], text: str) -> Any:
    digest = hashlib.sha256(f"{_RECIPE} {read.__name__} {text}".encode()).hexdigest()
    name = f"yaml/{digest}.json"
    stored = cache.kept(name)
    if stored is not None:
        try:
            return json.loads(stored)
        except ValueError:
            pass
    found = read(text)
    try:
        written = json.dumps(found, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):  # a date: no JSON
        return found
    if json.loads(written) == found:  # a number as a key would come back as text
        cache.keep(name, written.encode())
    return found


def _compose(text: str) -> Node | None:
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
        if node is not None:
            _count(node, {}, ())
    except RecursionError as cause:
        raise YAMLError("it is nested too deeply") from cause
    return node


def _marked(node: Node) -> list[Any]:
    line = node.start_mark.line + 1
    if isinstance(node, MappingNode):
        keys = [
            [str(name.value), name.start_mark.line + 1, _marked(child)]
            for name, child in node.value
        ]
        return [line, {"": keys}]
    if isinstance(node, SequenceNode):
        return [line, [_marked(child) for child in node.value]]
    assert isinstance(node, ScalarNode)
    return [line, _scalar(node)]


def _scalar(node: ScalarNode) -> str | int | float | bool | None:
    kind = str(node.tag).rpartition(":")[2]
    text = str(node.value)
    if kind == "int":
        return (
            int(text.replace("_", ""), 0) if not text.lstrip("+-").startswith("0") else _octal(text)
        )
    if kind == "float":
        return float(text.replace("_", ""))
    if kind == "bool":
        return text.lower() == "true"
    return None if kind == "null" else text


def _octal(text: str) -> int:
    return int(text, 0) if text.lower().startswith(("0o", "0x")) else int(text)


def _count(node: Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Number of values below and with a node, each alias counted as what it stands for."""
    if id(node) in above:
        raise YAMLError(f"line {node.start_mark.line + 1}: a value that holds itself")
    if id(node) not in known:
        below = node.value if isinstance(node, CollectionNode) else ()
        parts = [part for one in below for part in (one if isinstance(one, tuple) else (one,))]
        known[id(node)] = 1 + sum(_count(part, known, (*above, id(node))) for part in parts)
    if known[id(node)] > MAX_VALUES:
        line = node.start_mark.line + 1
        raise YAMLError(f"line {line}: aliases that stand for more than {MAX_VALUES} values")
    return known[id(node)]
