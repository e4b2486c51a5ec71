"""YAML values that know where they stand, so that every error can point at file, line and key.

YAML 1.2 through ruamel.yaml: ``18:00`` is text, ``no`` is text. Duplicate keys are errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.errors import RubricError, nearest
from pipeline.io.yaml import marked_large_yaml, marked_yaml
from pipeline.text.patterns import safe_pattern

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Located:
    """One YAML value: a dict or list of located values, or a scalar."""

    value: dict[str, Located] | list[Located] | Scalar
    file: str
    line: int
    key: str

    @property
    def at(self) -> str:
        """File and line, as editors take them."""
        return f"{self.file}:{self.line}"

    def fail(self, message: str, hint: str = "") -> NoReturn:
        """Raise an error that points here."""
        raise RubricError(f"{self.at}: {self.key}: {message}", hint)

    def mapping(self, allowed: Iterable[str] | None = None) -> dict[str, Located]:
        """The value as a mapping, its keys checked against those allowed."""
        if not isinstance(self.value, dict):
            self.fail(f"a mapping is needed here, not {self._kind()}.")
        if allowed is not None:
            names = list(allowed)
            for name, child in self.value.items():
                if name not in names:
                    child.fail(f'"{name}" is not known here.', nearest(name, names))
        return self.value

    def items(self) -> list[Located]:
        """The value as a list; a single scalar is a list of one."""
        if isinstance(self.value, list):
            return self.value
        if isinstance(self.value, dict) or self.value is None:
            self.fail(f"a list is needed here, not {self._kind()}.")
        return [self]

    def text(self) -> str:
        """The value as text (numbers are taken as written)."""
        if isinstance(self.value, (dict, list)) or self.value is None:
            self.fail(f"text is needed here, not {self._kind()}.")
        return str(self.value)

    def choice(self, allowed: Iterable[str]) -> str:
        """The value as one of some names."""
        text = self.text()
        names = list(allowed)
        if text not in names:
            self.fail(f'"{text}" is not allowed.', nearest(text, names))
        return text

    def number(self, low: float = float("-inf"), high: float = float("inf")) -> float:
        """The value as a number within bounds."""
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            self.fail(f"a number is needed here, not {self._kind()}.")
        if not low <= self.value <= high:
            self.fail(f"{self.value} is out of range; {low:g} to {high:g} is allowed.")
        return float(self.value)

    def integer(self, low: int = 0) -> int:
        """The value as a whole number of at least ``low``."""
        number = self.number(low)
        if number != int(number):
            self.fail(f"a whole number is needed here, not {number}.")
        return int(number)

    def flag(self) -> bool:
        """The value as true or false."""
        if not isinstance(self.value, bool):
            self.fail(f"true or false is needed here, not {self._kind()}.")
        return self.value

    def plain(self) -> Any:
        """The value with what is inside of it, without places."""
        if isinstance(self.value, dict):
            return {k: v.plain() for k, v in self.value.items()}
        return [v.plain() for v in self.value] if isinstance(self.value, list) else self.value

    def pattern(self) -> re.Pattern[str]:
        """The value as a regular expression."""
        try:
            return safe_pattern(self.text())
        except ValueError as error:
            self.fail(f"{error}.")

    def _kind(self) -> str:
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        return "nothing" if self.value is None else f'"{self.value}"'


def load_located(path: Path, *, is_kept: bool = False) -> Located:
    """Read a YAML file into located values; ``is_kept`` says that the user's cache may hold them.

    Raises
    ------
    RubricError
        If the file cannot be read or is not YAML, with the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RubricError(
            f"The rubric {path} cannot be read: {error.strerror}.",
            "Check the path, or name a rubric of configs/rubrics.",
        ) from error
    except UnicodeDecodeError as error:
        raise RubricError(f"The rubric {path} is not UTF-8 text.", "Save it as UTF-8.") from error
    return parse_located(text, str(path), is_kept=is_kept)


def parse_located(text: str, file: str, *, is_kept: bool = False) -> Located:
    """Read YAML text into located values; ``file`` is the name for errors."""
    try:
        marked = marked_large_yaml(text) if is_kept else marked_yaml(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RubricError(
            f"{file}:{line}: not valid YAML: {error.problem}.",
            "Check the indentation and the quotes of this line and the one before.",
        ) from error
    except YAMLError as error:
        raise RubricError(f"{file}: not usable: {error}.", "Write it out plainly.") from error
    if marked is None:
        raise RubricError(f"{file}:1: the file is empty.", "See docs/rubrics.md for a start.")
    return _locate(marked, file, "(top)", marked[0])


def _locate(marked: list[Any], file: str, key: str, line: int) -> Located:
    value = marked[1]
    if isinstance(value, dict):
        out: dict[str, Located] = {}
        for name, at, child in value[""]:
            where = name if key == "(top)" else f"{key}.{name}"
            if name in out:
                raise RubricError(f"{file}:{at}: {where}: this key stands here twice.")
            out[name] = _locate(child, file, where, at)
        return Located(out, file, line, key)
    if isinstance(value, list):
        children = [_locate(child, file, f"{key}[{i}]", child[0]) for i, child in enumerate(value)]
        return Located(children, file, line, key)
    return Located(value, file, line, key)
