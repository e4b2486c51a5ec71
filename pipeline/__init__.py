"""callcoach: who said what in a hotline call, how it sounded, and whether the script was kept."""

from __future__ import annotations

import os

# Libraries report usage to their makers unless told not to, before they are imported; and what is
# loaded with torch holds weights, never code.
os.environ.update(
    PYANNOTE_METRICS_ENABLED="0",
    OTEL_SDK_DISABLED="true",
    ORT_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    DO_NOT_TRACK="1",
    RAY_USAGE_STATS_ENABLED="0",
    TORCH_FORCE_WEIGHTS_ONLY_LOAD="1",
)

__version__ = "0.1.0"
