"""The real command line, its models replaced: ``python -m tests.faults.program analyze ...``.

Workers import this module before they can see that their parent is gone: it is as light as the
program that is installed.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from functools import partial

    from pipeline import cli
    from pipeline.commands import jobs
    from tests.faults import calls

    jobs.Place = partial(jobs.Place, load=calls.load)
    cli.main()


if __name__ == "__main__":
    main()
