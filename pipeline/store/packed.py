"""Rows of SQLite as batches, the numbers of a row packed into bytes while it is read.

Conventions
-----------
Python objects of all the numbers take most of the time that reading many rows takes. So SQLite is
given ``pack_numbers(format, number, ...)``, which is :func:`struct.pack`, and a row comes as bytes,
eight for each number in the order of the columns, followed by its texts. A null is ``NULL``: the
bits of an infinity, which is never stored, also in place of an integer.

SQLite before 3.48 takes at most 127 arguments: 126 numbers of one table. The driver stays Python's own:
one that brings its own SQLite drops the locks of this process when it closes the same file.
"""

from __future__ import annotations

import math
import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from pipeline.measures import KINDS, Dtype
from pipeline.store.rows import ARROW, schema_of
from pipeline.store.tables import Column

NULL = int(np.float64(np.inf).view(np.int64))
_FORMATS: Mapping[Dtype, tuple[str, float]] = {
    "float64": ("d", math.inf),
    "Int64": ("q", NULL),
    "boolean": ("q", NULL),
}


def teach(connection: sqlite3.Connection) -> None:
    """Give a connection the function that :func:`select` calls."""
    connection.create_function("pack_numbers", -1, struct.pack)


def select(table: sa.Table, columns: Sequence[Column]) -> sa.Select[Any]:
    """Query of these columns of the contract, as :func:`to_batch` takes its rows."""
    formats = [(c.name, *_FORMATS[dtype]) for c in columns if (dtype := _dtype(c)) != "str"]
    numbers = [sa.func.ifnull(table.c[name], null) for name, _, null in formats]
    packed = sa.func.pack_numbers("=" + "".join(f for _, f, _ in formats), *numbers)
    return sa.select(packed, *(table.c[c.name] for c in columns if _dtype(c) == "str"))


def to_batch(columns: Sequence[Column], parts: Iterable[Sequence[Any]]) -> pa.RecordBatch:
    """Build a batch with these columns of the contract from the rows of :func:`select`, part by part."""
    is_text = [_dtype(c) == "str" for c in columns]
    texts: list[list[str | None]] = [[] for text in is_text if text]
    packed, count = [], 0
    for rows in parts:
        numbers, *words = zip(*rows, strict=True)
        packed.append(b"".join(numbers))
        count += len(rows)
        for text, more in zip(texts, words, strict=True):
            text += more
    table = np.frombuffer(b"".join(packed), np.int64).reshape(count, is_text.count(False)).T
    bits, text_of = iter(np.ascontiguousarray(table)), iter(texts)
    arrays = [
        pa.array(next(text_of), pa.string()) if text else _numbers(_dtype(c), next(bits))
        for c, text in zip(columns, is_text, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(columns))


def _numbers(dtype: Dtype, words: NDArray[np.int64]) -> pa.Array:
    values = words.view(np.float64) if dtype == "float64" else words
    return pa.array(values != 0 if dtype == "boolean" else values, ARROW[dtype], mask=words == NULL)


def _dtype(column: Column) -> Dtype:
    return KINDS[column.kind].dtype
