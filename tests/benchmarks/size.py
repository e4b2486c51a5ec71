"""How large the program is, and of what pieces: ``python -m tests.benchmarks.size [FOLDER]``."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

PIPELINE = Path(__file__).parents[2] / "pipeline"


def main() -> None:
    """Print lines, functions, helpers and data classes of a folder of Python files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PIPELINE
    texts = [path.read_text("utf-8") for path in folder.rglob("*.py")]
    lines = sum(text.count("\n") for text in texts)
    functions = private = once = classes = tuples = 0
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions += 1
                if node.name.startswith("_") and not node.name.startswith("__"):
                    private += 1
                    once += len(re.findall(rf"\b{node.name}\b", text)) == 2
            if isinstance(node, ast.ClassDef):
                classes += any("dataclass" in ast.unparse(d) for d in node.decorator_list)
                tuples += any("NamedTuple" in ast.unparse(b) for b in node.bases)
    print(
        f"{len(texts)} modules, {lines} lines, {1000 * functions / lines:.0f} functions per 1,000"
    )
    print(f"private: {private / functions:.0%} of functions; used once in their module: {once}")
    print(f"data classes: {classes}; named tuples: {tuples}")


if __name__ == "__main__":
    main()
