"""Assemble random but plausible hotline calls with full truth, to develop against.

    python data/make_dev_calls.py --out FOLDER --seed 1 --calls 40

The same seed and number give the same calls. Compliance labels follow from what was said; whatever
a listener could argue about stays unlabelled. Needs numpy, scipy and soundfile.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from signals import RATE
from synthesis import Bank, Call, CallBuilder, Line, Medium, Party, Style, write_call

HERE = Path(__file__).resolve().parent
METADATA_COLUMNS = (
    "recording",
    "call_id",
    "agent_id",
    "agent_name",
    "team",
    "direction",
    "started_at",
    "agent_channel",
)
AGENTS = {  # voice -> id, name, team
    "xiaoxiao": ("N101", "小林", "售前组"),
    "yunyang": ("N102", "小郭", "售后组"),
    "xiaoyi": ("N103", "小苏", "售后组"),
    "yunxi": ("N104", "小方", "售后组"),
}
CUSTOMERS = {
    "xiaobei": "y",
    "xiaohe": "y",
    "yunjian": "x",
    "yunxia": "x",
}  # voice -> whose telephone number
SKILLS = {"good": 0.95, "mixed": 0.6, "bad": 0.15}  # how often the agent does the right thing
FIRST_DAY = datetime(2026, 3, 2)
TABOOS = ("弄错", "不可能", "不关我的事", "公司的规定", "看着办", "怎么连这个", "不归我管", "填错")
REFUSALS = ("不行", "我不能", "没有办法", "帮不了")
SHORTEST_OVERLAPPED = 1.5


@dataclass
class Scene:
    """One call in the making: who speaks, how well the agent does, and what has been judged so far."""

    bank: Bank
    rng: np.random.Generator
    call: CallBuilder
    agent: str
    customer: str
    skill: float
    compliance: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    last: tuple[Party, float] = ("A", 0.0)  # who spoke last, for how many seconds

    def chance(self, probability: float) -> bool:
        """Throw a coin."""
        return bool(self.rng.random() < probability)

    def well(self) -> bool:
        """Decide whether the agent does the next thing right."""
        return self.chance(self.skill)

    def pick(self, party: Party, *kinds: str) -> str | None:
        """Choose a clip of one of these kinds in the party's voice."""
        voice = self.agent if party == "A" else self.customer
        names = [name for kind in kinds for name in self.bank.names(voice, kind)]
        return str(self.rng.choice(names)) if names else None

    def say(self, party: Party, *kinds: str) -> str:
        """Say a clip of one of these kinds; return its text, empty where the voice has none."""
        name = self.pick(party, *kinds)
        if name is None:
            return ""
        early = party != self.last[0] and self.last[1] > SHORTEST_OVERLAPPED and self.chance(0.1)
        self.call.say(party, name, gap=-self.between(0.1, 0.4) if early else self.between(0.2, 1.3))
        self.last = (party, len(self.bank[name].samples) / RATE)
        self.said.append(name)
        return self.bank[name].text

    def judge(self, verdict: bool, *items: str) -> None:
        """Label rubric items."""
        self.compliance.update(dict.fromkeys(items, "pass" if verdict else "fail"))

    def between(self, low: float, high: float) -> float:
        """Draw a number."""
        return round(float(self.rng.uniform(low, high)), 3)

    def hum(self, party: Party, count: int) -> None:
        """Put listening signals on the other party's last turn."""
        for position in range(count):
            name = self.pick(party, "backchannel")
            if name:
                self.call.backchannel(
                    party, name, at=(position + self.between(0.4, 0.7)) / (count + 0.3)
                )


def inbound(scene: Scene) -> None:
    """Play a call to the hotline."""
    rings = int(scene.rng.choice([0, 1, 1, 2, 3, 4]))
    scene.call.ring(rings)
    if rings:
        scene.judge(rings <= 2, "answer_within_two_rings")
    kind = "open_full" if scene.well() else str(scene.rng.choice(["open_bare", "open_rude"]))
    opening = scene.say("A", kind)
    scene.judge(kind != "open_rude", "opening_greeting")
    scene.judge("晴山商城" in opening or "服务部" in opening, "opening_self_introduction")
    scene.judge(kind == "open_full", "opening_offer_help")
    if kind != "open_bare":
        scene.judge(kind == "open_full", "opening_rude_answer")
    request(scene)
    if scene.chance(0.6):
        verification(scene)
    if scene.chance(0.65):
        hold(scene)
    elif scene.chance(0.25):
        scene.call.silence(scene.between(5.2, 7.2))
    explanation(scene)
    closing(scene)


def request(scene: Scene) -> None:
    """Let the customer say what it is about, and the agent listen or not."""
    kind = str(scene.rng.choice(["request", "story", "complaint"]))
    scene.say("C", kind)
    scene.judge(True, "no_interrupting")
    if kind != "request" and not scene.well():
        rude = scene.pick("A", "prohibited", "negative")
        if rude and scene.chance(0.75):
            scene.call.interrupt(
                "A", rude, at=scene.between(0.35, 0.75), overlap=scene.between(0.5, 1.2)
            )
            scene.said.append(rude)
            scene.judge(False, "no_interrupting")
            scene.say("C", "angry")
        else:
            scene.call.attempt(
                "A", str(scene.pick("A", "ask_phone")), at=scene.between(0.3, 0.6), overlap=0.8
            )
            del scene.compliance["no_interrupting"]
    elif kind != "request":
        scene.hum("A", int(scene.rng.integers(1, 3)))
    if kind == "complaint":
        sorry = scene.well()
        if sorry:
            scene.say("A", "empathy")
        scene.judge(sorry, "complaint_apology", "complaint_empathy")


def verification(scene: Scene) -> None:
    """Ask for the telephone number."""
    number = CUSTOMERS[scene.customer]
    scene.say("A", "ask_phone")
    scene.say("C", f"phone_{number}")
    repeated = scene.well()
    if repeated:
        scene.say("A", f"read_back_{number}")
        scene.say("C", "yes")
    scene.judge(repeated, "repeat_back_information")


def hold(scene: Scene) -> None:
    """Let the customer wait."""
    seconds = scene.between(9.0, 40.0)
    medium: Medium = "music" if scene.chance(0.5) else "silence"
    asked = scene.well()
    announced = asked or scene.chance(0.5)
    if asked:
        scene.say("A", "hold_ask")
        scene.say("C", "consent")
    elif announced:
        announced = bool(scene.say("A", "hold_bare"))
        if announced:
            scene.judge(seconds <= 30, "hold_bare_wait")
    scene.judge(asked, "hold_reason", "hold_consent")
    if seconds > 31:
        scene.judge(asked, "hold_time_limit")
    scene.call.hold(seconds, medium, announced)
    thanked = scene.well()
    if thanked:
        scene.say("A", "hold_thanks")
    scene.judge(thanked, "hold_thanks")


def explanation(scene: Scene) -> None:
    """Let the agent explain, and the customer listen, ask, or break in."""
    scene.say("A", "explain")
    if scene.chance(0.2):
        scene.call.interrupt(
            "C", str(scene.pick("C", "ask_back")), at=scene.between(0.4, 0.7), overlap=0.7
        )
        scene.judge(bool(scene.say("A", "promise")), "promise_time_limit")
        return
    if scene.chance(0.15):
        scene.call.attempt(
            "C", str(scene.pick("C", "ask_back")), at=scene.between(0.3, 0.6), overlap=0.6
        )
    elif scene.chance(0.5):
        scene.hum("C", 1)
    checked = scene.well() and scene.pick("A", "check") is not None
    if checked:
        scene.say("A", "check")
        scene.say("C", "understood")
    scene.judge(checked, "confirm_understanding")
    if not scene.well() and scene.chance(0.6):
        scene.say("C", "ask_back")
        scene.say("A", "prohibited", "negative")
        scene.say("C", "angry")


def closing(scene: Scene) -> None:
    """End the call."""
    offered = scene.well()
    last = ""
    if offered:
        scene.say("A", "further_help")
        last = scene.say("C", "no_more", "no_more_thanks")
    elif scene.last[0] == "A" and scene.chance(0.6):
        last = scene.say("C", "thanks")
    scene.judge(offered, "further_help")
    thanked = "谢" in last
    if scene.well():
        kinds = (
            ["welcome_close"] if thanked and scene.pick("A", "welcome_close") else ["close_full"]
        )
    else:
        kinds = ["welcome_bye"] if thanked else ["hang_up"]
    words = scene.say("A", *kinds)
    thanks = "感谢" in words or "谢谢您" in words
    scene.judge(thanks, "closing_thanks")
    scene.judge("再见" in words, "closing_goodbye")
    welcome = any(mark in words for mark in ("不客气", "不用谢", "没事"))
    if thanked and (welcome or not thanks):
        scene.judge(welcome, "respond_to_thanks")
    if "再见" in words and scene.chance(0.7):
        scene.say("C", "bye")


def outbound(scene: Scene) -> None:
    """Play a call from the hotline."""
    scene.say("A", "out_open")
    scene.judge(True, "opening_greeting", "opening_self_introduction", "outbound_self_introduction")
    scene.judge(True, "outbound_convenient_time", "outbound_within_three_minutes")
    scene.say("C", "out_yes")
    scene.say("A", "out_ask")
    scene.say("C", "out_reply")
    if scene.chance(0.5):
        scene.hum("A", 1)
    closing(scene)


def make_call(bank: Bank, name: str, seed: int) -> Call:
    """Make one call."""
    rng = np.random.default_rng(seed)
    agent, customer = str(rng.choice(list(AGENTS))), str(rng.choice(list(CUSTOMERS)))
    styles: dict[Party, Style] = {
        "A": Style(gain_db=rng.uniform(-8, 4), tempo=rng.uniform(0.94, 1.08)),
        "C": Style(
            gain_db=rng.uniform(-8, 4), tempo=rng.uniform(0.92, 1.12), pitch=rng.uniform(0.95, 1.06)
        ),
    }
    call = CallBuilder(bank, name, seed, styles)
    scene = Scene(bank, rng, call, agent, customer, float(rng.choice(list(SKILLS.values()))))
    direction = "outbound" if scene.chance(0.2) else "inbound"
    started = FIRST_DAY + timedelta(
        days=int(rng.integers(0, 25)), minutes=int(rng.integers(8 * 60 + 5, 21 * 60))
    )
    if direction == "outbound":
        if scene.chance(0.15):
            started = started.replace(hour=22, minute=int(rng.integers(5, 59)))
        scene.judge(started.hour < 22, "outbound_calling_hours")
        outbound(scene)
    else:
        inbound(scene)
    agents_words = "".join(bank[said].text for said in scene.said if bank[said].voice == agent)
    scene.judge(not any(mark in agents_words for mark in TABOOS), "prohibited_phrases")
    scene.judge(not any(mark in agents_words for mark in REFUSALS), "negative_language")
    line = Line(
        snr_db=scene.between(15, 35),
        crosstalk_db=-scene.between(20, 40),
        mono=scene.chance(0.2),
        agent_channel=1 if scene.chance(0.2) else 0,
    )
    meta = {"direction": direction, "date": str(started), "agent_id": AGENTS[agent][0]}
    return call.finish(line, scene.compliance, meta, tail=scene.between(0.4, 2.0))


def main() -> None:
    """Write the recordings, their truth and ``metadata.csv``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=20)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bank = Bank(HERE / "utterances")
    agents = {identity: (identity, name, team) for identity, name, team in AGENTS.values()}
    with (options.out / "metadata.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(METADATA_COLUMNS)
        for number in range(1, options.calls + 1):
            call = make_call(
                bank, f"dev_{options.seed}_{number:04d}", options.seed * 100_000 + number
            )
            path = write_call(options.out, call)
            meta = call.truth["meta"]
            started = meta["date"].replace(" ", "T") + "+08:00"
            channel = "" if call.line.mono else call.line.agent_channel
            writer.writerow(
                [
                    path.name,
                    path.stem,
                    *agents[meta["agent_id"]],
                    meta["direction"],
                    started,
                    channel,
                ]
            )


if __name__ == "__main__":
    main()
