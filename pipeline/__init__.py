"""callcoach: who said what in a hotline call, how it sounded, and whether the script was kept."""

from __future__ import annotations

import os

# pyannote.audio reports usage to its makers unless told not to, before it is imported.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"

__version__ = "0.1.0"
