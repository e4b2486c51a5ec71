"""Synthesise the fresh calls, whose voices and texts are not those of the bank: -> ``fresh/``.

    venv/bin/python data/make_fresh_calls.py --voices package/voices [--clips FOLDER] [--out FOLDER]

Needs what ``make_utterances.py`` needs; its head says how to get that and the voices. With
``--clips`` every clip is kept in that folder and spoken only once. What the calls are for is in
``README.md``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal

import make_utterances
import numpy as np
from make_samples import METADATA_COLUMNS, meta, verdicts
from make_utterances import count_characters, load_style
from pypinyin import load_single_dict
from scipy.signal import lfilter, resample_poly
from signals import RATE, FloatArray, fade, from_db, hold_music, telephone_band, to_samples
from synthesis import (
    Call,
    CallBuilder,
    Line,
    Medium,
    Party,
    Style,
    Utterance,
    write_call,
)

HERE = Path(__file__).resolve().parent
SPEEDS = (0.55, 1.6)
MUSIC_TAIL_S = 4
LATIN = re.compile(r"[A-Za-z]+")

Music = Callable[[float, int], FloatArray]

MEASURED = "麻烦您把去年的水费单子找出来，我们一起看看到底是哪个月多收了钱。"

# voice -> Kokoro styles and their shares, the seconds it takes over ``MEASURED`` at speed 1
VOICES: dict[str, tuple[dict[str, float], float]] = {
    "ni": ({"zf_xiaoni": 1.0}, 5.66),
    "ni_yi": ({"zf_xiaoni": 0.55, "zf_xiaoyi": 0.45}, 5.61),
    "ni_xiao": ({"zf_xiaoni": 0.5, "zf_xiaoxiao": 0.5}, 5.68),
    "bei_yi": ({"zf_xiaobei": 0.55, "zf_xiaoyi": 0.45}, 6.04),
    "xiao_heart": ({"zf_xiaoxiao": 0.75, "af_heart": 0.25}, 5.63),
    "ni_nova": ({"zf_xiaoni": 0.75, "af_nova": 0.25}, 5.68),
    "yi_jf": ({"zf_xiaoyi": 0.8, "jf_alpha": 0.2}, 5.59),
    "bei_ni": ({"zf_xiaobei": 0.6, "zf_xiaoni": 0.4}, 6.29),
    "bei_bella": ({"zf_xiaobei": 0.78, "af_bella": 0.22}, 6.74),
    "xi_yang": ({"zm_yunxi": 0.5, "zm_yunyang": 0.5}, 5.29),
    "jian_xi": ({"zm_yunjian": 0.55, "zm_yunxi": 0.45}, 5.45),
    "jian_yang": ({"zm_yunjian": 0.5, "zm_yunyang": 0.5}, 5.42),
    "yang_michael": ({"zm_yunyang": 0.75, "am_michael": 0.25}, 5.46),
    "xi_xia": ({"zm_yunxi": 0.65, "zm_yunxia": 0.35}, 5.43),
    "jian_fenrir": ({"zm_yunjian": 0.78, "am_fenrir": 0.22}, 5.77),
    "yang_xia": ({"zm_yunyang": 0.6, "zm_yunxia": 0.4}, 5.48),
}

LETTERS = {
    "A": "ˈA", "B": "bˈi", "C": "sˈi", "D": "dˈi", "E": "ˈi", "F": "ˈɛf", "G": "ʤˈi", "H": "ˈAʧ", "I": "ˈI",
    "J": "ʤˈA", "K": "kˈA", "L": "ˈɛl", "M": "ˈɛm", "N": "ˈɛn", "O": "ˈO", "P": "pˈi", "Q": "kjˈu", "R": "ˈɑɹ",
    "S": "ˈɛs", "T": "tˈi", "U": "jˈu", "V": "vˈi", "X": "ˈɛks", "Y": "wˈI", "Z": "zˈi",
}  # fmt: skip
WORDS = {"WiFi": ("wˈI fˈI", 2)}  # Latin words that are not spelt: phonemes, syllables

# what the pronunciation dictionary reads wrongly, and how it is spelt to be read rightly
RESPELT = {
    "这么长时间": "这么常时间",
    "很长的": "很常的",
    "才还完": "才环完",
    "做得": "做的",
    "准备得": "准备的",
    "说得": "说的",
    "讲得": "讲的",
    "走得": "走的",
    "急得": "急的",
    "我得": "我嘚",
    "就得": "就嘚",
    "估计得": "估计嘚",
    "一共得": "一共嘚",
}


class Speaker(make_utterances.Speaker):
    """The bank's speaker with other voices, who can also say letters."""

    def __init__(self, styles: Path) -> None:
        super().__init__(styles, threads=1)
        self._styles = {
            voice: sum(share * load_style(styles / f"{name}.bin") for name, share in blend.items())
            for voice, (blend, _) in VOICES.items()
        }
        load_single_dict({ord("嘚"): "děi"})
        of_text = self._phonemes
        self._phonemes = lambda text: (re.sub(r" +([,.?!])", r"\1", of_text(spell(text))[0]),)

    def say_at(self, speed: float, text: str, voice: str) -> FloatArray:
        """Speak ``text`` at this multiple of the model's own speed."""
        return self._speak(text, voice, speed)


class Speech:
    """Clips at 16 kHz; the model is loaded only when one is not in the folder of clips."""

    def __init__(self, styles: Path, clips: Path | None) -> None:
        self._folder = styles
        self._clips = clips
        if clips:
            clips.mkdir(parents=True, exist_ok=True)

    @cached_property
    def _speaker(self) -> Speaker:
        return Speaker(self._folder)

    def say(self, text: str, voice: str, rate: float) -> FloatArray:
        """Speak ``text`` at about ``rate`` characters a minute."""
        natural = 60 * count_characters(MEASURED) / VOICES[voice][1]
        speed = round(float(np.clip(rate / natural, *SPEEDS)), 3)
        if self._clips is None:
            return self._spoken(text, voice, speed).astype(np.float64)
        key = hashlib.sha1(f"{voice}|{speed}|{text}".encode()).hexdigest()[:16]
        path = self._clips / f"{key}.npy"
        if not path.exists():
            np.save(path, self._spoken(text, voice, speed))
        return np.load(path).astype(np.float64)

    def _spoken(self, text: str, voice: str, speed: float) -> np.ndarray:
        return self._speaker.say_at(speed, text, voice).astype(np.float32)


def spell(text: str) -> str:
    """Write ``text`` so that it is read rightly, Latin letters as phonemes."""
    for written, spelt in RESPELT.items():
        text = text.replace(written, spelt)
    return LATIN.sub(lambda word: f" {phonemes(word[0])} ", text)


def phonemes(word: str) -> str:
    """Give the phonemes of a Latin word, letter by letter unless it is one of ``WORDS``."""
    return WORDS[word][0] if word in WORDS else " ".join(LETTERS[letter] for letter in word)


def count_units(text: str) -> int:
    """Count what is spoken: Han characters, and the syllables of Latin words."""
    latin = (WORDS[word][1] if word in WORDS else len(word) for word in LATIN.findall(text))
    return count_characters(text) + sum(latin)


class Script(CallBuilder):
    """A call written down with texts instead of clip names.

    Parameters
    ----------
    speech : Speech
        Who speaks.
    call_id, seed, lead
        As of ``CallBuilder``; the seed also draws gaps, tempos and levels.
    voices, tempos, gains, pitches
        Of the agent and the customer: names in ``VOICES``, characters a minute, dB, factors.
    music : callable
        Plays so many seconds of hold music from a seed.
    """

    def __init__(
        self,
        speech: Speech,
        call_id: str,
        seed: int,
        voices: tuple[str, str],
        tempos: tuple[float, float],
        gains: tuple[float, float],
        *,
        pitches: tuple[float, float] = (1.0, 1.0),
        lead: float = 0.6,
        music: Music = hold_music,
    ) -> None:
        styles = [Style(gain_db=g, pitch=p) for g, p in zip(gains, pitches, strict=True)]
        self._clips: dict[str, Utterance] = {}
        super().__init__(self._clips, call_id, seed, dict(zip("AC", styles, strict=True)), lead)
        self._speech = speech
        self._voices = dict(zip("AC", voices, strict=True))
        self._tempos = dict(zip("AC", tempos, strict=True))
        self._music = music
        self._rng = np.random.default_rng(seed)
        self._last_s = 0.0

    def agent(self, text: str, gap: float | None = None, tempo: float | None = None) -> None:
        """Let the agent speak, after a gap that is drawn unless it is given."""
        self._take_turn("A", text, gap, tempo)

    def customer(self, text: str, gap: float | None = None, tempo: float | None = None) -> None:
        """Let the customer speak, after a gap that is drawn unless it is given."""
        self._take_turn("C", text, gap, tempo)

    def hum(self, party: Party, text: str, at: float) -> None:
        """Put a listening signal on the other party's last turn."""
        self.backchannel(party, self._clip(party, text, gain=(-5, -1), kind="backchannel"), at=at)

    def cut_in(self, party: Party, text: str, at: float, overlap: float) -> None:
        """Take the floor from the other party."""
        self.interrupt(party, self._clip(party, text), at=at, overlap=overlap)

    def try_in(self, party: Party, text: str, at: float, overlap: float) -> None:
        """Talk into the other party's last turn and give up."""
        self.attempt(party, self._clip(party, text), at=at, overlap=overlap)

    def wait(self, seconds: float, medium: Medium, announced: bool) -> None:
        """Put the customer on hold, with the call's own music."""
        before, after = self._between(0.2, 0.6), self._between(0.3, 0.7)
        self.hold(seconds, medium, announced, before, after)
        if medium == "music":
            self._tones[-1] = (self._tones[-1][0], self._music(seconds, self.seed))
        self._last_s = 0.0

    def pause(self, seconds: float) -> None:
        """Let nobody say anything."""
        self.silence(seconds)
        self._last_s = 0.0

    def done(
        self,
        line: Line,
        *,
        date: str,
        agent: str,
        passed: str = "",
        failed: str = "",
        direction: Literal["inbound", "outbound"] = "inbound",
        tail: float = 0.8,
    ) -> Call:
        """Finish the call; its length in characters counts letters too."""
        call = self.finish(line, verdicts(passed, failed), meta(date, agent, direction), tail)
        for turn in call.truth["turns"]:
            if "chars" in turn:
                turn["chars"] = count_units(turn["text"])
        return call

    def _take_turn(self, party: Party, text: str, gap: float | None, tempo: float | None) -> None:
        gap = self._gap() if gap is None else gap
        self.say(party, self._clip(party, text, tempo), gap=gap)

    def _clip(
        self,
        party: Party,
        text: str,
        tempo: float | None = None,
        gain: tuple[float, float] = (-1.3, 1.3),
        kind: str = "",
    ) -> str:
        """Speak a clip about as fast and as loud as the party does; return its name."""
        voice = self._voices[party]
        rate = (tempo or self._tempos[party]) * self._rng.uniform(0.95, 1.05)
        gain_db = self._rng.uniform(*gain)
        spoken = self._speech.say(text, voice, rate)
        samples = telephone_band(resample_poly(spoken, RATE, make_utterances.RATE))
        name = f"{len(self._clips)}{party}"
        self._clips[name] = Utterance(name, kind, voice, text, samples * from_db(gain_db))
        self._last_s = len(samples) / RATE
        return name

    def _gap(self) -> float:
        """Draw the time before the next turn; after a long one the other party may start early."""
        short, long = self._rng.uniform(0.2, 0.6), self._rng.uniform(0.5, 1.2)
        gap = round(float(self._rng.choice([short, long])), 3)
        early = self._last_s > 3.0 and self._rng.random() < 0.07
        return -self._between(0.08, 0.3) if early else gap

    def _between(self, low: float, high: float) -> float:
        return round(float(self._rng.uniform(low, high)), 3)


def plucked_music(seconds: float, seed: int) -> FloatArray:
    """Play a pentatonic tune on plucked strings, with rests and now and then a low string."""
    rng = np.random.default_rng(seed)
    scale = np.array([0, 2, 4, 7, 9, 12, 14, 16])
    beat = rng.uniform(0.42, 0.6)
    out = np.zeros(to_samples(seconds + MUSIC_TAIL_S))
    start, step = 0.0, 3
    while start < seconds:
        step = int(np.clip(step + rng.integers(-2, 3), 0, 7))
        note = pluck(62 + scale[step], 2.2, rng)
        add(out, start, note, rng.uniform(0.6, 1.0))
        if rng.random() < 0.3:
            add(out, start, pluck(50 + scale[int(rng.integers(0, 4))], 3.0, rng), 0.6)
        start += beat * rng.choice([0.5, 1.0, 1.0, 2.0])
    return finish_music(out, seconds, -28.0)


def band_music(seconds: float, seed: int) -> FloatArray:
    """Play bass, off-beat chords and drums, and a melody in places, at a brisk tempo."""
    rng = np.random.default_rng(seed)
    beat = 60 / rng.uniform(108, 128)
    out = np.zeros(to_samples(seconds + MUSIC_TAIL_S))
    roots, key = [0, 7, 9, 5], 45 + int(rng.integers(0, 6))
    for number in range(int(seconds / beat) + 1):
        start, degree = number * beat, roots[(number // 4) % 4]
        root, third = key + degree, 3 if degree == 9 else 4
        add(out, start, tone(root, 0.5, 5, (1, 0.8, 0.6, 0.4, 0.3)), 0.7)
        for interval in (12, 12 + third, 19):
            add(out, start + beat / 2, tone(root + interval, 0.3, 9), 0.35)
        hat = drum(0.06, 80, rng)
        add(out, start, hat, 0.25)
        add(out, start + beat / 2, hat, 0.4)
        if number % 2:
            add(out, start, drum(0.15, 250, rng), 0.5)
        if rng.random() < 0.6:
            onset = start + beat * rng.choice([0, 0.5])
            add(out, onset, tone(root + 24 + rng.choice([0, third, 7]), 0.5, 4, (1, 0.2)), 0.5)
    return finish_music(out, seconds, -27.0)


def pluck(pitch: int, seconds: float, rng: np.random.Generator) -> FloatArray:
    """Pluck a string of MIDI number ``pitch`` (Karplus and Strong's)."""
    period = max(2, round(RATE / frequency(pitch)))
    burst = np.zeros(int(seconds * RATE))
    burst[:period] = rng.uniform(-1, 1, period)
    feedback = np.zeros(period + 2)
    feedback[0], feedback[period], feedback[period + 1] = 1.0, -0.498, -0.498
    return np.asarray(lfilter([1.0], feedback, burst))


def tone(
    pitch: int, seconds: float, decay: float, partials: tuple[float, ...] = (1, 0.5, 0.3, 0.2)
) -> FloatArray:
    """Make a fading note of MIDI number ``pitch``."""
    times = np.arange(int(seconds * RATE)) / RATE
    base = frequency(pitch)
    waves = (
        strength * np.sin(2 * np.pi * base * (k + 1) * times) for k, strength in enumerate(partials)
    )
    return np.asarray(sum(waves) * np.exp(-times * decay))


def drum(seconds: float, fade_samples: int, rng: np.random.Generator) -> FloatArray:
    """Make a burst of noise that fades."""
    size = int(seconds * RATE)
    return rng.standard_normal(size) * np.exp(-np.arange(size) / fade_samples)


def frequency(pitch: int) -> float:
    """Express a MIDI number in Hz."""
    return float(440 * 2 ** ((pitch - 69) / 12))


def add(out: FloatArray, seconds: float, sound: FloatArray, gain: float) -> None:
    """Add a sound that starts so many seconds into ``out``."""
    start = to_samples(seconds)
    piece = sound[: max(0, len(out) - start)]
    out[start : start + len(piece)] += gain * piece


def finish_music(out: FloatArray, seconds: float, dbfs: float) -> FloatArray:
    """Cut to length, band and level."""
    music = telephone_band(out[: to_samples(seconds)])
    return fade(music * from_db(dbfs) / music.std(), to_samples(0.03))


def bank_card_lost(speech: Speech) -> Call:
    """Play a good call: a lost card, a consented hold with plucked music, all rules kept."""
    call = Script(
        speech,
        "bank_card_lost",
        7101,
        voices=("ni_yi", "jian_xi"),
        tempos=(245, 230),
        gains=(-1, -6),
        music=plucked_music,
    )
    call.ring(2, pickup=0.7)
    call.agent("上午好，云帆银行电话银行中心，工号三零二六，请问需要我为您做点什么？")
    call.customer(
        "你好，我的信用卡好像丢了，昨天晚上在超市买东西还用过，今天早上出门就找不到了，"
        "我想赶紧挂失。"
    )
    call.hum("A", "嗯。", at=0.52)
    call.agent("您先别着急，我这就帮您处理。请问您贵姓，卡号的后四位还记得吗？")
    call.customer("免贵姓贺，后四位是六幺五九。")
    call.agent("贺先生，我跟您对一下，卡号尾号六幺五九，是这张吗？")
    call.customer("是的，就是这张。")
    call.agent(
        "好，为了您的资金安全，我要到系统里核对最近的交易，差不多需要半分钟，您方便在线等一等吗？"
    )
    call.customer("方便，你弄吧，我等着。")
    call.wait(26.0, "music", announced=True)
    call.agent(
        (
            "贺先生，谢谢您耐心等我。最近一笔消费是昨天晚上八点四十二分，金额一百三十六块五，"
            "是您本人刷的吗？"
        ),
        gap=0.0,
    )
    call.customer("对，那是我自己刷的。")
    call.agent(
        "那就放心了，您的卡已经挂失成功，新卡会在七个工作日之内寄到您登记的地址，"
        "补卡的工本费是十五元。我这样讲，您都听明白了吗？"
    )
    call.hum("C", "嗯嗯。", at=0.42)
    call.customer("听明白了，那我需要去网点吗？")
    call.agent(
        "一趟都不用跑，新卡到了以后，您在手机银行的APP里面激活就好。另外还有别的业务要办吗？"
    )
    call.customer("没啦，太感谢了。")
    call.agent("您太客气了，这都是我们分内的事。感谢您致电云帆银行，祝您一切顺心，再见。")
    call.customer("好，再见啊。")
    return call.done(
        Line(snr_db=30, crosstalk_db=-35),
        passed=(
            "opening_greeting opening_self_introduction opening_offer_help opening_rude_answer "
            "answer_within_two_rings ask_customer_name use_customer_name repeat_back_information "
            "hold_reason hold_consent hold_thanks confirm_understanding further_help "
            "respond_to_thanks closing_thanks closing_goodbye customer_hangs_up_first "
            "no_interrupting prohibited_phrases negative_language"
        ),
        date="2026-04-14 09:36:00",
        agent="H201",
    )


def telecom_wifi_rude(speech: Speech) -> Call:
    """Play a bad call: a rude answer, an interruption, a hold without a word, a complaint brushed off."""
    call = Script(
        speech,
        "telecom_wifi_rude",
        7102,
        voices=("xi_yang", "bei_yi"),
        tempos=(275, 235),
        gains=(2, -4),
    )
    call.ring(3, pickup=0.4)
    call.agent("喂，谁啊，有事快讲。")
    call.customer(
        "我家的WiFi从礼拜天开始就老是断线，看个视频转半天圈，我把光猫重启了好几遍，"
        "一点用也没有，麻烦你帮我看看到底是什么原因。"
    )
    call.cut_in("A", "又是WiFi，肯定是你自己没设置好。", at=0.66, overlap=0.7)
    call.customer("我没动过设置，前两年一直都好好的呀。")
    call.agent("宽带账号报一下。")
    call.customer("零五七幺，八八三二，四四零六。")
    call.wait(14.0, "silence", announced=False)
    call.agent("你那边信号正常，问题不在我们这里。", gap=0.0)
    call.customer(
        "信号正常怎么会断线呢？我一个月交一百二十九块钱，总得有人来管一管吧，"
        "你能不能派个师傅上门来看看？"
    )
    call.try_in("A", "你先听我把话讲完。", at=0.4, overlap=0.8)
    call.agent("派师傅我帮不了你，这事不归我管，你自己看着办。")
    call.customer("你这是什么态度，我要到你们总公司去投诉。")
    call.agent("随便你，爱投诉就投诉去。")
    return call.done(
        Line(snr_db=26, crosstalk_db=None),
        failed=(
            "opening_greeting opening_self_introduction opening_offer_help opening_rude_answer "
            "answer_within_two_rings ask_customer_name repeat_back_information hold_reason "
            "hold_consent hold_thanks no_interrupting prohibited_phrases negative_language "
            "complaint_apology complaint_empathy further_help closing_thanks closing_goodbye"
        ),
        date="2026-05-20 19:12:00",
        agent="H202",
        tail=1.4,
    )


def hotel_midautumn(speech: Speech) -> Call:
    """Play a good call on a public holiday: dates and a number read back, a question that cuts in."""
    call = Script(
        speech,
        "hotel_midautumn",
        7103,
        voices=("ni_nova", "xiao_heart"),
        tempos=(240, 260),
        gains=(0, 2),
    )
    call.ring(1)
    call.agent("您好，祝您中秋快乐，这里是澜山湖度假酒店预订部，我是小唐，有什么可以为您效劳？")
    call.customer("你好，我想订两间房，十月十二号入住，住三个晚上，最好是能看到湖的那种。")
    call.hum("A", "好的。", at=0.62)
    call.agent("跟您确认一下，十月十二号入住，两间湖景房，住三晚，十五号离店，对吧？")
    call.customer("没错。")
    call.agent("请问预订人怎么称呼？")
    call.customer("我姓欧阳。")
    call.agent("欧阳女士，我需要看一下那几天的房态，大概占用您二十秒，您看行吗？")
    call.customer("行的，麻烦你了。")
    call.wait(12.0, "silence", announced=True)
    call.agent(
        (
            "欧阳女士，劳您久等。湖景大床房每晚六百八十八元，含双人早餐，如果您加入我们的VIP会员，"
            "可以打八五折，算下来每晚是五百八十四块八，很划算的。"
        ),
        gap=0.0,
    )
    call.cut_in("C", "等等，VIP要另外交钱吗？", at=0.68, overlap=0.8)
    call.agent("会员是免费注册的，您在微信上填个手机号就可以。")
    call.customer("那好，就按会员价订吧，我的手机是幺七七，二零四八，三九六五。")
    call.agent("我重复一遍，幺七七，二零四八，三九六五，请您听听有没有错。")
    call.customer("一个字都没错。")
    call.agent(
        "房间已经给您留好了，房费到店再付，取消的话，请在入住前一天的下午六点以前告诉我们。"
        "这些内容，您还有哪里不清楚吗？"
    )
    call.hum("C", "嗯。", at=0.35)
    call.customer("都清楚了，谢谢你啊。")
    call.agent("别客气，能为您服务是我们的荣幸。除了订房，还需要我为您安排接站或者用餐吗？")
    call.customer("暂时不需要了。")
    call.agent("感谢您选择澜山湖，期待您的光临，再见。")
    call.customer("嗯，拜拜。")
    return call.done(
        Line(snr_db=34, crosstalk_db=-38),
        passed=(
            "opening_greeting opening_self_introduction opening_offer_help opening_rude_answer "
            "opening_holiday_greeting answer_within_two_rings ask_customer_name use_customer_name "
            "repeat_back_information hold_reason hold_consent hold_thanks confirm_understanding "
            "respond_to_thanks further_help closing_thanks closing_goodbye customer_hangs_up_first "
            "no_interrupting prohibited_phrases negative_language"
        ),
        date="2026-09-25 10:20:00",
        agent="H203",
    )


def airline_rebooking(speech: Speech) -> Call:
    """Play a middling call: correct and bare, letters and digits, dead air, a failed interruption."""
    call = Script(
        speech,
        "airline_rebooking",
        7104,
        voices=("yang_michael", "xi_xia"),
        tempos=(245, 265),
        gains=(-3, 4),
    )
    call.agent("你好，远岚航空，我是八幺五号坐席。")
    call.customer(
        "哎，你好，我买了后天早上去昆明的票，航班号是QS三六二幺，临时有个会走不开，"
        "想改到大后天下午。"
    )
    call.hum("A", "嗯。", at=0.38)
    call.hum("A", "是。", at=0.72)
    call.agent("改签是吧，订座的姓名报给我。")
    call.customer("姓严，严肃的严，严文博，身份证后四位是零零三X。")
    call.agent("严先生，身份证尾号零零三X，航班QS三六二幺。")
    call.pause(5.8)
    call.agent(
        "大后天下午有两班，一班是十三点五十起飞，一班是十七点二十五起飞，"
        "改签手续费按票面价格的百分之十五收取，差价另外再补。"
    )
    call.try_in("C", "早一点的那班还有座位吗？", at=0.47, overlap=0.9)
    call.customer("要那个五十分的，一共得补多少？")
    call.agent(
        "手续费一百七十一块，差价六十块，加起来二百三十一块钱，付款码已经发到您手机短信里了。"
    )
    call.hum("C", "哦。", at=0.55)
    call.customer("收到了，我现在就付。好了，付完了。")
    call.agent("改签成功了，行程单下个星期一寄出。")
    call.customer("可以，谢谢啊。")
    call.agent("不谢，那再见了。")
    return call.done(
        Line(snr_db=24, crosstalk_db=-32),
        passed=(
            "opening_greeting opening_self_introduction opening_rude_answer "
            "repeat_back_information use_customer_name respond_to_thanks closing_goodbye "
            "no_interrupting prohibited_phrases negative_language"
        ),
        failed="opening_offer_help confirm_understanding further_help closing_thanks",
        date="2026-06-09 14:48:00",
        agent="H204",
        tail=1.8,
    )


def power_cut_complaint(speech: Speech) -> Call:
    """Play a good call: an angry customer, empathy, a hold with a time, drums and bass for hold music."""
    call = Script(
        speech,
        "power_cut_complaint",
        7105,
        voices=("yi_jf", "jian_fenrir"),
        tempos=(255, 305),
        gains=(-4, 3),
        music=band_music,
    )
    call.ring(1, pickup=0.9)
    call.agent("晚上好，光明供电服务热线，我是九零七号接线员，请问有什么需要帮忙的？")
    call.customer(
        "你们到底怎么回事啊，我们锦绣花园从中午十二点就停电了，到现在六个小时了，"
        "楼里有老人有孩子，电梯也坐不了，打了三个电话都说马上就来，人影都没见到一个，我要投诉！"
    )
    call.hum("A", "嗯。", at=0.33)
    call.hum("A", "是。", at=0.7)
    call.agent(
        "实在对不住，天气这么热，还停了这么长时间的电，换作我家里有老人孩子，我也一样会急的。"
        "请问先生怎么称呼，您住在哪一栋？"
    )
    call.customer("我姓鲁，九栋，二单元，幺五零三。", tempo=280)
    call.agent(
        "鲁先生，锦绣花园，九栋二单元幺五零三，我记下了。为了弄清楚抢修的进度，"
        "我马上联系现场的班长，要耽误您四十秒左右，可以吗？"
    )
    call.customer("行吧，快一点。", tempo=280)
    call.wait(33.0, "music", announced=True)
    call.agent(
        (
            "鲁先生，抱歉让您等急了。现场说是地下电缆被施工队挖断了，师傅正在抢修，"
            "预计今天晚上七点半之前恢复送电。"
        ),
        gap=0.0,
    )
    call.cut_in("C", "七点半？那我冰箱里的东西怎么办？", at=0.78, overlap=0.6)
    call.agent(
        "您的损失我已经登记下来了，明天上午十一点以前，赔付专员会给您回电话，跟您谈补偿的事情。"
    )
    call.customer("那好吧，算你们还讲点道理，谢谢了。", tempo=265)
    call.agent("不客气，应该的。还有没有其他情况要我一起反映上去？")
    call.customer("没了没了。")
    call.agent("再次向您道歉，也感谢您打来电话告诉我们，祝您全家平安，再见。")
    call.customer("嗯，好，再见。", tempo=265)
    return call.done(
        Line(snr_db=28, crosstalk_db=-30),
        passed=(
            "opening_greeting opening_self_introduction opening_offer_help opening_rude_answer "
            "answer_within_two_rings ask_customer_name use_customer_name repeat_back_information "
            "complaint_apology complaint_empathy hold_reason hold_consent hold_time_limit "
            "hold_thanks promise_time_limit respond_to_thanks further_help closing_thanks "
            "closing_goodbye customer_hangs_up_first no_interrupting prohibited_phrases "
            "negative_language"
        ),
        date="2026-07-14 18:05:00",
        agent="H205",
    )


def insurance_renewal_outbound(speech: Speech) -> Call:
    """Play a good outbound call: slow agent, plate and telephone number, a suggestion taken down."""
    call = Script(
        speech,
        "insurance_renewal_outbound",
        7106,
        voices=("jian_yang", "ni_xiao"),
        tempos=(210, 245),
        gains=(1, -5),
        lead=0.9,
    )
    call.agent(
        "秦女士，您好，我是安屿保险续期服务部的专员小樊，工号零八四，现在跟您说几句话方便吗？"
    )
    call.customer("哦，可以，不过我一会要出门，你长话短说吧。")
    call.agent(
        "好的，最多两分钟。您名下那份车险，车牌号是A七K九二六，本月二十三号到期，想提醒您一声。"
    )
    call.hum("C", "嗯。", at=0.45)
    call.customer("二十三号啊，这么快。今年要交多少钱？")
    call.agent(
        "去年您没有出过险，所以今年可以享受六折，交强险加商业险，总共是三千二百七十四元，"
        "比去年便宜了四百一十元。"
    )
    call.hum("C", "哦。", at=0.4)
    call.hum("C", "好。", at=0.82)
    call.customer("那三者险的保额是多少？")
    call.agent("三者险的保额是两百万，另外还送您三次道路救援和一次代驾。")
    call.customer(
        "行，那你把方案发给我看看，发到我微信吧，微信号就是手机号，幺九九，零五幺七，六六八二。"
    )
    call.agent("好，幺九九，零五幺七，六六八二，我今天晚上八点之前把方案发给您。")
    call.customer("对的。我提个意见啊，你们上次理赔的照片要传好几遍，那个APP能不能做得简单一点。")
    call.hum("A", "嗯。", at=0.5)
    call.agent("谢谢您的意见，我这边已经登记，下班以前就转给产品部门。请问您这边还有没有别的需要？")
    call.customer("没有，就这样吧，谢谢。")
    call.agent("您客气了，感谢您这些年对安屿的信赖，祝您出门一路平安，再见。")
    call.customer("好，拜拜。")
    return call.done(
        Line(snr_db=35, crosstalk_db=None),
        passed=(
            "opening_greeting opening_self_introduction outbound_self_introduction "
            "outbound_convenient_time outbound_calling_hours outbound_within_three_minutes "
            "use_customer_name repeat_back_information thank_for_suggestion further_help "
            "respond_to_thanks closing_thanks closing_goodbye customer_hangs_up_first "
            "no_interrupting prohibited_phrases negative_language"
        ),
        date="2026-08-11 15:10:00",
        agent="H206",
        direction="outbound",
    )


def rotten_fruit_channel1(speech: Speech) -> Call:
    """Play a bad call, agent on channel 1: a bare wait of 36 s, refusals, an open promise."""
    call = Script(
        speech,
        "rotten_fruit_channel1",
        7107,
        voices=("bei_ni", "ni"),
        tempos=(260, 215),
        gains=(3, -5),
    )
    call.agent("您好，优果生鲜，请讲。")
    call.customer(
        "喂，你好，我前天在你们平台买了两箱车厘子，付了三百五十九块，今天收到以后打开一看，"
        "一多半都烂了，还有好多是压扁的，这根本没法吃嘛。"
    )
    call.hum("A", "哦。", at=0.3)
    call.agent("订单编号给一下。")
    call.customer("好，你记一下，是GY二零六，七三四，幺幺九。")
    call.agent("等等啊。")
    call.wait(36.0, "silence", announced=True)
    call.agent("查到了，你拍照了吗？", gap=0.0)
    call.customer("拍了，拍了五张，可是怎么都传不上去，一直显示网络错误，我试了一个上午。")
    call.cut_in("A", "那你换个手机传，别人都能传。", at=0.6, overlap=0.8)
    call.customer("我换过了，我老公的手机也一样。")
    call.agent("照片传不上来，我没有办法给你退。")
    call.customer("那你加我微信，我发给你好不好？")
    call.agent("不行，上班时间不让加微信。")
    call.customer("那总得有个解决的办法吧，这三百多块钱，难道就这么打水漂了吗？")
    call.agent("那你留个电话，到时候有人联系你。")
    call.customer("幺八零，九九七四，二二五幺。")
    call.agent("嗯，就这样吧。")
    call.customer("这就完了？什么时候联系我啊？")
    call.agent("等通知吧。")
    return call.done(
        Line(snr_db=22, crosstalk_db=-40, agent_channel=1),
        passed="opening_greeting opening_self_introduction",
        failed=(
            "opening_offer_help ask_customer_name repeat_back_information hold_bare_wait "
            "hold_reason hold_consent hold_time_limit hold_thanks negative_language "
            "no_interrupting further_help closing_thanks closing_goodbye promise_time_limit"
        ),
        date="2026-06-24 11:25:00",
        agent="H207",
        tail=1.2,
    )


def city_hotline_transfer(speech: Speech) -> Call:
    """Play a good call: a long explanation, a transfer with reason, consent and handover."""
    call = Script(
        speech,
        "city_hotline_transfer",
        7108,
        voices=("ni_xiao", "xi_yang"),
        tempos=(240, 225),
        gains=(-2, -3),
    )
    call.ring(1, pickup=0.6)
    call.agent("早上好，云陵市政务服务热线，幺零六号话务员为您服务，请问您想咨询哪方面的问题？")
    call.customer(
        "你好，我想问一下公积金提取的事情，我去年三月份买的房，合同都签好了，"
        "材料也准备得差不多了，就是不清楚在网上能不能办，还是一定要去窗口排队。"
    )
    call.hum("A", "嗯。", at=0.35)
    call.hum("A", "是的。", at=0.74)
    call.agent("请问您买的是新房还是二手房呢？")
    call.customer("二手房，面积八十九平米，贷款六十五万。")
    call.agent(
        "二手房在手机上就可以提取，您先下载一个APP，名字叫云陵通，登录以后点公积金，"
        "选购房提取，再把合同、发票和身份证拍照上传，审核通过以后，一般三个工作日到账。"
        "我说得够清楚吗？"
    )
    call.hum("C", "哦。", at=0.5)
    call.customer("清楚。不过我的户口在外地，社保也断过两个月，这个有影响吗？")
    call.agent(
        "您这个情况比较特殊，需要由公积金中心的专业人员来解答，"
        "我帮您把电话转到贷款科的罗老师那里，您看愿意吗？"
    )
    call.customer("愿意，转吧。")
    call.agent("请您拿好电话，我先把您的情况跟罗老师说一下，免得您再讲一遍，大约十五秒。")
    call.wait(18.0, "music", announced=True)
    call.agent(
        "谢谢您的等候，罗老师已经准备好了，这就给您接通。请问还有其他事情要我协助吗？", gap=0.0
    )
    call.customer("没有了，你讲得很仔细，多谢你。")
    call.agent("不用谢，您过奖了，感谢您拨打政务热线，祝您办事顺利，再见。")
    call.customer("嗯，再见再见。")
    return call.done(
        Line(snr_db=31, crosstalk_db=-36),
        passed=(
            "opening_greeting opening_self_introduction opening_offer_help opening_rude_answer "
            "answer_within_two_rings transfer_reason transfer_consent transfer_handover "
            "confirm_understanding hold_reason hold_thanks respond_to_thanks further_help "
            "closing_thanks closing_goodbye customer_hangs_up_first no_interrupting "
            "prohibited_phrases negative_language"
        ),
        failed="ask_customer_name",
        date="2026-03-31 08:52:00",
        agent="H208",
    )


def broadband_move_mono(speech: Speech) -> Call:
    """Play a good call, mono, two men: a silent hold, the drawback before the advantage."""
    call = Script(
        speech,
        "broadband_move_mono",
        7109,
        voices=("jian_xi", "yang_michael"),
        tempos=(250, 215),
        gains=(0, -5),
        lead=0.5,
    )
    call.ring(2, pickup=0.5)
    call.agent("您好，欢迎致电飞驰宽带，我叫小葛，请问今天要办点什么业务？")
    call.customer(
        "我刚搬了家，想把宽带移到新地址去，以前装的是五百兆的，另外还想问问，换成一千兆要多少钱。"
    )
    call.hum("A", "好。", at=0.5)
    call.agent("没问题，移机是免费的，请您把新家的地址告诉我。")
    call.customer("和平大街，二十六号，铂悦公馆，三栋，二幺零四。")
    call.agent("和平大街二十六号，铂悦公馆，三栋二幺零四，是这个地方吗？")
    call.customer("是的是的。")
    call.agent("我得跟装机班组确认一下，那栋楼有没有空余的端口，需要您等我半分钟，好不好？")
    call.customer("好，不着急。")
    call.wait(22.0, "silence", announced=True)
    call.agent(
        (
            "不好意思，让您等了这么久，端口是有的。明天下午两点到四点之间，安装师傅带着新的光猫上门"
            "。"
        ),
        gap=0.0,
    )
    call.hum("C", "好的。", at=0.56)
    call.customer("那千兆的价格呢？")
    call.agent(
        "千兆套餐每月一百六十九元，虽然比现在贵了四十块，但是送一年的视频会员，"
        "下载一部高清电影，只要二十秒。"
    )
    call.try_in("C", "那合约要签多久啊？", at=0.45, overlap=0.8)
    call.customer("我考虑考虑，先按原来的办吧。")
    call.agent("好的，那就先按五百兆移机，师傅上门之前会给您打电话。您看还有什么别的需要吗？")
    call.customer("没有什么了，谢谢小葛。")
    call.agent("您客气啦，谢谢您一直支持飞驰宽带，祝您乔迁之喜，再见。")
    call.customer("好嘞，再会。")
    return call.done(
        Line(snr_db=27, mono=True),
        passed=(
            "opening_greeting opening_self_introduction opening_offer_help opening_rude_answer "
            "answer_within_two_rings repeat_back_information hold_reason hold_consent hold_thanks "
            "weakness_before_strength further_help respond_to_thanks closing_thanks "
            "closing_goodbye customer_hangs_up_first no_interrupting prohibited_phrases "
            "negative_language"
        ),
        failed="ask_customer_name",
        date="2026-04-21 16:40:00",
        agent="H209",
    )


def clinic_booking_mono(speech: Speech) -> Call:
    """Play a middling call, mono, two women: bare and correct, dead air, the customer cuts in."""
    call = Script(
        speech,
        "clinic_booking_mono",
        7110,
        voices=("ni", "bei_bella"),
        tempos=(240, 225),
        gains=(0, 3),
    )
    call.agent("您好，康宁医院预约中心。")
    call.customer(
        "你好，我想给我妈挂一个心内科的专家号，最好是下个礼拜三上午的，她走路不太方便，"
        "能不能安排早一点的时间。"
    )
    call.hum("A", "嗯。", at=0.55)
    call.agent("病人的姓名，还有出生日期。")
    call.customer("姓穆，穆桂芳，一九五二年，十一月八号生的。")
    call.agent("穆桂芳，一九五二年，十一月八号，对吗？")
    call.customer("对。")
    call.agent(
        "下个礼拜三上午只剩两个号了，一个是八点半，陶主任的，挂号费五十元，一个是十点四十，"
        "蒋主任的，挂号费三十元，您要哪个？"
    )
    call.hum("C", "哦。", at=0.44)
    call.customer("就要八点半的吧，我们可以早点出门。")
    call.pause(5.4)
    call.agent(
        "约上了，就诊序号是零零七，当天七点五十之前到门诊楼三层，凭身份证取号，要是来不成，"
        "提前一天打电话退掉。"
    )
    call.cut_in("C", "慢一点，我拿笔记一下，是在三层对吧？", at=0.62, overlap=0.7)
    call.agent("对，门诊楼三层，心内科，陶主任。")
    call.customer("好，记好了，谢谢你。")
    call.agent("不客气，拜拜。")
    return call.done(
        Line(snr_db=33, mono=True),
        passed=(
            "opening_greeting opening_self_introduction opening_rude_answer "
            "repeat_back_information respond_to_thanks closing_goodbye no_interrupting "
            "prohibited_phrases negative_language"
        ),
        failed="opening_offer_help further_help closing_thanks",
        date="2026-05-13 13:30:00",
        agent="H210",
        tail=1.5,
    )


def loan_pitch_late_mono(speech: Speech) -> Call:
    """Play a bad outbound call, mono: late at night, an insult, dead air."""
    call = Script(
        speech,
        "loan_pitch_late_mono",
        7111,
        voices=("xi_xia", "bei_ni"),
        tempos=(295, 230),
        gains=(2, -3),
        lead=0.8,
    )
    call.agent("喂，是裴女士吧？恭喜您，我们银行给您批了一笔二十万的贷款。")
    call.customer("这么晚了，你是谁啊？我都睡下了。")
    call.agent(
        "我就说两句，年化利率只要百分之三点六，今天办还送一个行李箱，短信里有个链接，"
        "您点进去填一下就可以。"
    )
    call.cut_in("C", "我不需要贷款，你们不要再打了。", at=0.64, overlap=0.7)
    call.agent("很多人想要都要不到呢，您再考虑一下嘛，利息一天才五块多，三年才还完，压力很小的。")
    call.hum("C", "唉。", at=0.5)
    call.customer(
        "我说了不需要，你是从哪里拿到我的号码的，上个月七号我就跟你们说过，"
        "不要再给我打这种推销的电话，你们怎么还打。"
    )
    call.cut_in("A", "你这个人怎么这么不讲道理，我也是为你好。", at=0.7, overlap=0.9)
    call.customer("你把工号报给我，我要投诉你。")
    call.pause(5.2)
    call.agent("工号凭什么告诉你，投诉我也不怕。")
    call.customer(
        "那我就直接打监管部门的电话，我手机里都有录音，什么时候打的，说了什么，清清楚楚。"
    )
    call.agent("你爱打不打，随你的便。")
    call.customer("真是莫名其妙。")
    return call.done(
        Line(snr_db=25, mono=True),
        passed="outbound_within_three_minutes",
        failed=(
            "opening_greeting opening_self_introduction outbound_self_introduction "
            "outbound_convenient_time outbound_calling_hours no_interrupting personal_remark "
            "complaint_apology further_help closing_thanks closing_goodbye"
        ),
        date="2026-07-02 22:24:00",
        agent="H211",
        direction="outbound",
        tail=0.6,
    )


def broken_camera_mono(speech: Speech) -> Call:
    """Play a bad call, mono, two women: four rings, an interruption, a taboo, plucked hold music."""
    call = Script(
        speech,
        "broken_camera_mono",
        7112,
        voices=("bei_yi", "ni_nova"),
        tempos=(265, 235),
        gains=(1, -4),
        music=plucked_music,
    )
    call.ring(4, pickup=0.5)
    call.agent("你好，迅达速运理赔部，哪个单号？")
    call.customer(
        "单号是SD七七二零，五五六三。我寄的是一台相机，寄之前包了三层泡沫，"
        "还买了三千块钱的保价，结果收件人打开一看，镜头上裂了一道很长的口子，现在完全用不了了。"
    )
    call.hum("A", "嗯。", at=0.4)
    call.cut_in("A", "保价也不是说赔多少就赔多少的。", at=0.82, overlap=0.6)
    call.customer("那你们打算怎么赔呢？")
    call.agent("我要问一下仓库那边有没有留底的照片，你等我一下，行吗？")
    call.customer("行吧，你问。")
    call.wait(15.0, "music", announced=True)
    call.agent("照片找到了，外包装是好的，那责任就很难说了。", gap=0.0)
    call.customer(
        "外包装好，不代表里面没有摔过啊，你们运输的时候扔来扔去的，我在网上都看到过视频。"
    )
    call.hum("A", "啊。", at=0.6)
    call.agent("网上的视频能信吗？连这个都不知道，你还寄什么快递。")
    call.customer("你说话客气一点好不好？我买了保价，就得按照保价来赔。")
    call.agent("那我给你登记一下，理赔员四十八小时之内打电话给你，电话还是这个号吧？")
    call.customer("还是这个，尾号幺三五七。")
    call.agent("嗯，可以了。")
    call.customer("希望你们说话算话，谢谢。")
    call.agent("不用谢，那再见了。")
    return call.done(
        Line(snr_db=23, mono=True),
        passed=(
            "opening_greeting opening_self_introduction hold_reason hold_consent "
            "promise_time_limit respond_to_thanks closing_goodbye"
        ),
        failed=(
            "answer_within_two_rings ask_customer_name no_interrupting repeat_back_information "
            "hold_thanks prohibited_phrases further_help closing_thanks"
        ),
        date="2026-11-12 17:18:00",
        agent="H212",
        tail=1.1,
    )


def gas_bill_mono(speech: Speech) -> Call:
    """Play a good call, mono, two men: a hold of 34 s with a time, backchannels, an apology."""
    call = Script(
        speech,
        "gas_bill_mono",
        7113,
        voices=("jian_fenrir", "yang_xia"),
        tempos=(240, 265),
        gains=(-2, 3),
    )
    call.ring(1, pickup=0.5)
    call.agent("您好，惠民燃气客户服务部，我姓佟，请问有哪里需要我协助的？")
    call.customer(
        "我家的燃气表上个月换了一块新的，换完以后费用突然翻了一倍，以前一个月也就五十来块，"
        "这个月账单出来是一百一十八块六，你帮我看看是不是表有问题。"
    )
    call.hum("A", "嗯。", at=0.33)
    call.hum("A", "对。", at=0.68)
    call.agent("明白您的意思。请您报一下燃气卡号。")
    call.customer("卡号是四四零，八幺六，九五二。")
    call.agent("我念一遍，四四零，八幺六，九五二，对不对？")
    call.customer("对的对的。")
    call.agent("因为要调出您半年的用气记录，估计得一分钟，您别挂电话，等我一下可以吧？")
    call.customer("可以，你慢慢看。")
    call.wait(34.0, "silence", announced=True)
    call.agent(
        (
            "感谢您一直在线等我。从数据上看，换表之前有四十二天是估算的，少算了二十七方，"
            "这次一起补上了，所以费用看着高，新表本身走得是准的。我这么说，您明白吗？"
        ),
        gap=0.0,
    )
    call.try_in("C", "那为什么没有人通知我？", at=0.5, overlap=0.8)
    call.customer("哦，原来是这样，那当时怎么没人跟我说一声呢？")
    call.agent(
        "这一点确实是我们做得不周到，向您道歉。我把您的意见记录下来，三天之内，"
        "由片区经理给您一个书面的回复。"
    )
    call.customer("好吧，你态度还可以，谢谢。")
    call.agent("不用客气。请问其他方面还有没有要我帮忙的？")
    call.customer("没有了没有了。")
    call.agent("感谢您的理解和支持，祝您阖家安康，再见。")
    call.customer("嗯，再见吧。")
    return call.done(
        Line(snr_db=20, mono=True),
        passed=(
            "opening_greeting opening_self_introduction opening_offer_help opening_rude_answer "
            "answer_within_two_rings repeat_back_information hold_reason hold_consent "
            "hold_time_limit hold_thanks confirm_understanding promise_time_limit "
            "respond_to_thanks further_help closing_thanks closing_goodbye customer_hangs_up_first "
            "no_interrupting prohibited_phrases negative_language"
        ),
        failed="ask_customer_name",
        date="2026-12-08 10:02:00",
        agent="H213",
    )


def ride_lost_bag_mono(speech: Speech) -> Call:
    """Play a good call, mono, pitches shifted: a lost bag, a hold with music, no greeting for the holiday."""
    call = Script(
        speech,
        "ride_lost_bag_mono",
        7114,
        voices=("yi_jf", "jian_yang"),
        tempos=(225, 240),
        gains=(0, 0),
        pitches=(0.95, 1.05),
        lead=1.2,
    )
    call.agent("您好，顺风达出行，我是小穆，能帮您做些什么？")
    call.customer(
        "你好，我刚才坐你们的车，把一个黑色的背包落在后座上了，里面有电脑和护照，"
        "我下午四点的飞机，急得不得了。"
    )
    call.hum("A", "嗯嗯。", at=0.58)
    call.agent("您别慌，我马上帮您找。请问您还记得车牌号，或者上车的时间和地点吗？")
    call.customer("车牌后三位好像是D六八，大概九点二十从火车东站上的车，到国际会展中心下的。")
    call.agent(
        "九点二十，火车东站到会展中心，尾号D六八，这个订单我找到了。我现在打给司机问一问，"
        "请您不要挂断，稍微等我一会，好吗？"
    )
    call.customer("好的，拜托了。")
    call.wait(20.0, "music", announced=True)
    call.agent(
        "让您久等了，司机说背包还在车上，他正在往您那边赶，大约二十五分钟到会展中心的北门。",
        gap=0.0,
    )
    call.hum("C", "嗯。", at=0.48)
    call.customer("哎呀，太好了，真是谢谢你，我还以为找不回来了。")
    call.agent(
        "不客气，换了谁都会着急的。司机姓郝，电话我用短信发给您，回程的三十六块车费由您承担，"
        "您同意吗？"
    )
    call.customer("同意同意，再多给一点都行。")
    call.agent("那我就这么安排。还有没有别的事情需要我跟进？")
    call.customer("没有了，我去北门等着。")
    call.agent("感谢您使用顺风达，祝您旅途愉快，再见。")
    call.customer("再见，辛苦了。")
    return call.done(
        Line(snr_db=29, mono=True),
        passed=(
            "opening_greeting opening_self_introduction opening_offer_help opening_rude_answer "
            "repeat_back_information hold_reason hold_consent hold_thanks respond_to_thanks "
            "further_help closing_thanks closing_goodbye customer_hangs_up_first no_interrupting "
            "prohibited_phrases negative_language"
        ),
        failed="opening_holiday_greeting ask_customer_name",
        date="2026-10-01 09:58:00",
        agent="H214",
    )


# the call, the agent's name, the customer's name where it is known beforehand
CALLS: list[tuple[Callable[[Speech], Call], str, str]] = [
    (bank_card_lost, "小陶", ""),
    (telecom_wifi_rude, "小裘", ""),
    (hotel_midautumn, "小唐", ""),
    (airline_rebooking, "小邓", ""),
    (power_cut_complaint, "小乔", ""),
    (insurance_renewal_outbound, "小樊", "秦女士"),
    (rotten_fruit_channel1, "小颜", ""),
    (city_hotline_transfer, "小程", ""),
    (broadband_move_mono, "小葛", ""),
    (clinic_booking_mono, "小闻", ""),
    (loan_pitch_late_mono, "小霍", "裴女士"),
    (broken_camera_mono, "小尤", ""),
    (gas_bill_mono, "小佟", ""),
    (ride_lost_bag_mono, "小穆", ""),
]


def main() -> None:
    """Write the recordings and their table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--voices", type=Path, required=True, help="folder with the Kokoro style vectors (*.bin)"
    )
    parser.add_argument("--clips", type=Path, help="folder in which clips are kept")
    parser.add_argument("--out", type=Path, default=HERE / "fresh")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    speech = Speech(options.voices, options.clips)
    with (options.out / "manifest.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(METADATA_COLUMNS)
        for make, agent, customer in CALLS:
            call = make(speech)
            path = write_call(options.out, call)
            details = call.truth["meta"]
            started = details["date"].replace(" ", "T") + "+08:00"
            channel = "" if call.line.mono else call.line.agent_channel
            row = [path.name, path.stem, details["agent_id"], agent, "", details["direction"]]
            writer.writerow([*row, started, channel, customer])
            print(f"{path.name:32} {call.truth['duration']:6.1f} s")


if __name__ == "__main__":
    main()
