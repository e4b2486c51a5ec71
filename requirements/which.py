"""Print the lock file (a pip constraints file) of the running Python."""

import pathlib
import sys

name = f"py{sys.version_info.major}{sys.version_info.minor}.lock"
print(pathlib.Path(__file__).with_name(name))  # noqa: T201 - read by the Makefile
