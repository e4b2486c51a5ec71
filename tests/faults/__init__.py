"""Faults, proven: what can befall a night's run is done to it, and its tables stay the same.

Every fault is done to the real command line in processes of its own, with stand-ins for the models
(``program``), so that a run of two dozen calls takes seconds. ``python -m tests.faults`` does them
all and writes ``docs/faults.md``; ``--short`` is what the tests run.
"""
