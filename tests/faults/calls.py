"""Two dozen synthetic calls, and the models that hear them in every worker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.schema import AGENT, CUSTOMER, Audio
from pipeline.settings import Settings
from pipeline.speech.asr.windows import Heard
from pipeline.speech.models import Models, weights_used
from tests import fakes
from tests.fakes import Script, ScriptDecoder, length_s, save

LINES = (
    "好的",
    "没问题",
    "请您稍等",
    "我想退个货",
    "您好请问哪位",
    "订单是哪一天的",
    "昨天下午买的鞋子",
    "麻烦您报一下手机号",
    "我姓欧阳住在清河东路",
    "感谢您的来电祝您生活愉快",
)
EVERYTHING = Script.of(*((AGENT, 0.0, line) for line in LINES))
AGENTS = (("A17", "慕容晓", "售后组"), ("A23", "司徒敏", "售后组"), ("B05", "上官宁", "售前组"))
PHONE = "1395550"  # the calls are named after telephone numbers, as recorders do
GAPS_S = (-0.3, 1.5)  # between two lines; negative is an overlap


def load(settings: Settings) -> Models:
    """The stand-ins for the models, called in each worker."""
    decoder = _Forgetful(EVERYTHING)
    return fakes.models(EVERYTHING, decoder=decoder, weights=weights_used(settings))


def make(folder: Path, count: int, seed: int, lines: int = 3) -> Path:
    """Write so many calls, their metadata and outside scores; returns the folder of the calls."""
    rng = np.random.default_rng(seed)
    calls = folder / "calls"
    calls.mkdir(parents=True)
    rows = []
    for number in range(count):
        script, name = _script(rng, lines), f"{PHONE}{number:04d}"
        mono = number % 4 == 3
        save(calls / f"{name}.wav", script.mono() if mono else script.stereo(agent=number % 2))
        agent = AGENTS[number % len(AGENTS)]
        direction = ("inbound", "outbound")[number % 5 == 0]
        rows.append((name, *agent, direction, None if mono else number % 2, 60 + number % 40))
    columns = ["recording", "agent_id", "agent_name", "team", "direction", "agent_channel", "score"]
    table = pd.DataFrame(rows, columns=columns).astype({"agent_channel": "Int64"})
    table.drop(columns="score").to_csv(folder / "metadata.csv", index=False)
    scores = table[["recording", "score"]].rename(columns={"recording": "call_id"})
    scores.to_csv(folder / "scores.csv", index=False)
    return calls


def private() -> tuple[str, ...]:
    """What was said, by whom, and from where: none of it belongs into a log."""
    names = (word for agent in AGENTS for word in agent)
    return (*(line for line in LINES if len(line) > 2), *names, PHONE)


class _Forgetful(ScriptDecoder):
    """Keeps no windows: memory is looked at."""

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        heard = super().__call__(windows, careful=careful)
        self.windows.clear()
        return heard


def _script(rng: np.random.Generator, lines: int) -> Script:
    said, at = [], float(rng.uniform(0.3, 1.0))
    speaker = AGENT
    for line in rng.permutation(LINES)[:lines].tolist():
        said.append((speaker, at, line))
        at += length_s(line) + float(rng.uniform(*GAPS_S))
        speaker = CUSTOMER if speaker == AGENT else AGENT
    return Script.of(*said)
