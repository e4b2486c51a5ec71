"""``python -m pipeline`` is ``callcoach``."""

from pipeline.cli import main

main()
