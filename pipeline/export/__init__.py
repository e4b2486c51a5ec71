"""The tables of the store as files for other programs and for people.

Conventions
-----------
Every table becomes one Parquet file and one CSV file (UTF-8 with byte-order mark, so that
spreadsheets show Chinese; CRLF; text in quotes, null without), with the columns and types of the
contract even when it is empty. ``callcoach.xlsx`` holds calls, agents and verdicts for people.

All files are made aside and then put in place one by one, so that a reader never meets half a
file. Tables are read in batches from one snapshot of the store: memory does not grow with the
calls, only with the agents and weeks.

Parts: ``tables`` what is exported; ``workbook``; ``calls`` one file per call; ``folder``.
"""

from pipeline.export.call_files import CALL_FORMATS, export_calls, to_json, to_rttm, to_srt
from pipeline.export.table_files import FORMATS, TABLE_NAMES, Exported, agent_columns, export
from pipeline.export.workbook import WORKBOOK

__all__ = [
    "CALL_FORMATS",
    "FORMATS",
    "TABLE_NAMES",
    "WORKBOOK",
    "Exported",
    "agent_columns",
    "export",
    "export_calls",
    "to_json",
    "to_rttm",
    "to_srt",
]
