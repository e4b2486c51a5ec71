"""YAML 1.2 as people write it: read safely, and never more of it than a person could mean.

``18:00`` and ``no`` are text. Aliases that multiply into millions of values, values that hold
themselves and nesting without end are refused instead of being followed.
"""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, Node

MAX_VALUES = 200_000  # after every alias is written out; the largest shipped file has 6,000
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
            compose_yaml(text)
        return YAML(typ="safe", pure=True).load(text)
    except RecursionError as cause:
        raise YAMLError("it is nested too deeply") from cause


def compose_yaml(text: str) -> Node | None:
    """Read a text into the nodes it is made of, which know where they stand.

    Raises
    ------
    YAMLError
        If it is not YAML, or stands for too much.
    """
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
        if node is not None:
            _count(node, {}, ())
    except RecursionError as cause:
        raise YAMLError("it is nested too deeply") from cause
    return node


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
