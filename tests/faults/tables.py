"""What a run leaves: all exported tables cell by cell, and every whole result of its store."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.export.folder import LEFT_S, PREFIX
from pipeline.schema import to_json
from pipeline.store import STORE_NAME, Store

CLOCK = ("processing_seconds",)  # how long the work took: the one thing that may differ
ROUNDING = 1e-12  # of the agents tables: sums over calls in the order in which they were stored
SHOWN = 3


@dataclass(frozen=True)
class Tables:
    """The tables by file name, the results by call id."""

    files: Mapping[str, pd.DataFrame]
    results: Mapping[str, Any]

    @property
    def calls(self) -> int:
        """Number of results."""
        return len(self.results)


def read(out: Path, store: str | None = None) -> Tables:
    """Read what was exported to a folder, and its store."""
    files = {
        path.name: _read_file(path).drop(columns=list(CLOCK), errors="ignore")
        for path in sorted(out.glob("*.*"))
        if path.suffix in (".csv", ".parquet")
    }
    with Store.open(store or str(out), create=False) as opened:
        results = {
            result.recording.call_id: to_json(changed(result, stage_seconds={}))
            for result in opened.results()
        }
    return Tables(files, results)


def differences(found: Tables, wanted: Tables, without: frozenset[str] = frozenset()) -> list[str]:
    """Say where two sets of tables differ, but for the calls ``without``."""
    said = [f"{name} is missing" for name in wanted.files if name not in found.files]
    for name, frame in found.files.items():
        if name not in wanted.files:
            said.append(f"{name} is one too many")
        elif not (without and _is_of_agents(name)):  # the means of fewer calls are others
            said += _frame(name, _less(frame, without), _less(wanted.files[name], without))
    for call_id in sorted((found.results.keys() | wanted.results.keys()) - without):
        if found.results.get(call_id) != wanted.results.get(call_id):
            said.append(f"the stored result of {call_id} differs")
    return said[:SHOWN] + ([f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else [])


def without_paths(tables: Tables) -> Tables:
    """The same without where the recordings lay."""
    files = {n: f.drop(columns="path", errors="ignore") for n, f in tables.files.items()}
    results = {
        call_id: result | {"recording": result["recording"] | {"path": ""}}
        for call_id, result in tables.results.items()
    }
    return Tables(files, results)


def damage(out: Path) -> list[str]:
    """What is wrong with the SQLite store in a folder, as SQLite itself sees it."""
    path = out / STORE_NAME
    if not path.exists():
        return []  # it was ended before it made one
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:  # too damaged to be checked
        said = [str(error)]
    return [] if said == ["ok"] else [f"integrity check: {line}" for line in said[:SHOWN]]


def litter(out: Path) -> list[str]:
    """What lies beside the tables that should not, once a run has ended well."""
    return [
        f"left in the output folder: {path.name}"
        for path in sorted(out.iterdir())
        if path.name.startswith(".") or path.suffix in (".tmp", ".lock") or path.is_dir()
    ]


def age(out: Path) -> None:
    """Let two days pass for what a killed export has left, so that the next one removes it."""
    for folder in out.glob(f"{PREFIX}*"):
        os.utime(folder, (time.time() - 2 * LEFT_S,) * 2)


def _read_file(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if _is_of_agents(path.name):
        return pd.read_csv(path, encoding="utf-8-sig")
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def _is_of_agents(name: str) -> bool:
    return name.startswith("agent")


def _less(frame: pd.DataFrame, without: frozenset[str]) -> pd.DataFrame:
    if not without or "call_id" not in frame:
        return frame
    return frame[~frame["call_id"].isin(without)].reset_index(drop=True)


def _frame(name: str, found: pd.DataFrame, wanted: pd.DataFrame) -> list[str]:
    if found.equals(wanted):
        return []
    if found.shape != wanted.shape or list(found) != list(wanted):
        return [f"{name} is {found.shape}, not {wanted.shape}"]
    unlike = ~((found == wanted) | (found.isna() & wanted.isna()))
    if _is_of_agents(name):
        numbers = list(found.select_dtypes("number"))
        apart = (found[numbers] - wanted[numbers]).abs()
        unlike[numbers] &= apart > ROUNDING * wanted[numbers].abs().clip(lower=1.0)
    places = [
        f"{name} row {row} {column}: {found.at[row, column]!r}, not {wanted.at[row, column]!r}"
        for column in found
        for row in found.index[unlike[column].fillna(True)]
    ]
    if not places and list(found.dtypes) != list(wanted.dtypes):
        return [f"{name} has other types of columns"]
    return places
