"""Synthesise many voices that say unlike things: clips and ``index.csv``, for fitting and reporting.

The calls of ``samples`` and ``fresh`` are spoken by few voices, so what is chosen on them may hold for
those voices only. Here a voice is a seeded blend of Kokoro styles of several languages, or a variant
of espeak-ng, each with its own pitch and tempo. Every voice belongs to one ``half``: what is fitted is
fitted on ``tune``, what is reported is of ``report``; the halves share neither voices nor sentences.
A set whose figures led to a repair is of ``tune`` from then on: add a set of sentences for ``report``.
Packages as in ``make_utterances.py``; espeak-ng comes with the system.

    venv/bin/python data/make_voices.py --voices package/voices --out data/voices
"""

from __future__ import annotations

import argparse
import csv
import subprocess
from pathlib import Path

import make_utterances
import numpy as np
import soundfile
from make_utterances import RATE, level, load_style, trim
from scipy.signal import resample_poly

SEED = 20261126
SENTENCES = (
    (
        "我上个星期在你们那里订了一台洗衣机，到现在还没有人来装。", "请您把订单后面的四位数字念给我听。",
        "那个颜色跟图片上面完全不一样，我想换一个。", "好的，我这边已经帮您登记了，明天上午会有人联系您。",
        "你们的门店星期天开不开门？", "系统里显示您的包裹昨天晚上到了城南的站点。",
        "我孩子把屏幕摔坏了，修一下大概要多少钱？", "这个活动到月底就结束了，您看要不要现在办理。",
        "每个月扣我二十块钱，我从来没有开通过这个业务。", "如果方便的话，麻烦您说一下收货的地址。",
        "上次那位师傅说三天就能修好，结果等了两个礼拜。", "您的情况我明白了，我把它转给负责的同事处理。",
        "我家住在六楼，没有电梯，你们送不送上楼？", "账单会在每个月五号发到您的邮箱里面。",
        "昨天下午开始网络就断断续续的，看个视频都卡。", "退款一般三到五个工作日会回到原来的账户。",
    ),
    (
        "这张卡我早就不用了，为什么还要收年费？", "麻烦您稍微等我一分钟，我去问一下仓库那边。",
        "我想问一下，生了小孩以后医保要怎么办？", "车子在高速公路上抛锚了，拖车多久能到？",
        "您刚才提到的问题，我们会在两天之内给您答复。", "那家酒店的空调整个晚上都在响，根本没法睡。",
        "请问您是本人吗，我需要核对一下您的信息。", "我买的是去成都的票，能不能改到后天早上？",
        "按照规定，开封以后的食品是不能退的。", "电费怎么突然比上个月多了一倍，是不是抄错了？",
        "我们这边可以给您补一张优惠券，您看可以吗？", "我妈妈年纪大了，不会用手机交水费。",
        "师傅到之前会先打电话，请您保持电话畅通。", "去年签的合同上写得清清楚楚，你们自己看。",
        "学校附近的那个网点已经搬到火车站旁边了。", "我投诉过两次了，每次都说会有人回电话。",
    ),
    (
        "我那个订单怎么一直显示还没有发货？", "您这边的保修期是到今年九月份为止的。",
        "小区里停了两天水，物业说是你们在修管道。",
        "您先把路由器的电源拔掉，过半分钟再插上。", "我在网上交了罚款，可是系统里还是没有消掉。",
        "这款奶粉开罐之后，一个月之内喝完比较好。", "我想把套餐换成便宜一点的，需要去营业厅吗？",
        "非常抱歉让您久等了，刚才系统有一点慢。", "师傅今天早上来过了，说是主板烧了要换新的。",
        "您说的这个费用，是上个月的漫游产生的。", "我儿子乱点手机，给游戏充了一千多块钱。",
        "退房的时间是中午十二点，您可以寄存行李。", "他们把我的地址写错了，快递送到隔壁镇上去了。",
        "我帮您查了一下，那班飞机已经取消了。", "上回你们答应给我发的发票，我到今天都没收到。",
        "您提供一下车牌号码，我看看停车的记录。",
    ),
    (
        "冰箱送来的时候门上就有一道很深的划痕。", "您的积分到十二月三十一号就清零了。",
        "我昨天把手机落在你们的出租车后座上了。", "这边需要您上传一张身份证正面的照片。",
        "报名的时候说好了可以退课，现在又不认了。", "您可以先关机，等十分钟以后再试一次。",
        "隔壁装修把我们家的水管给打穿了，谁来赔？", "保单是上个礼拜四寄出去的，走的是挂号信。",
        "我想把宽带从旧房子迁到新房子里去。", "没有收据的话，我们也可以按照流水来查。",
        "健身房关门了，我卡里还剩两千多块钱呢。", "您放心，这笔钱今天之内就会解冻。",
        "机票上我的名字少了一个字，能上飞机吗？", "我把您的意见记下来了，会如实向上级反映。",
        "买回来的米里面全是虫子，怎么给孩子吃？", "取件码已经用短信发到您的手机上面了。",
    ),
    (
        "上周五寄的样品，到今天物流还停在中转站。", "麻烦您把门牌号再核对一遍好吗？",
        "暖气片摸着是凉的，屋里才十二度。", "您预约的体检改在下星期三的上午。",
        "我把饭卡丢了，里面的余额能不能找回来？", "这边显示您已经签收了，签收人写的是门卫。",
        "你们送来的沙发比图上短了一截。", "我先替您把会员冻结，免得继续扣款。",
        "孩子的校服订大了两号，能换小一点的吗？", "请您往后退一步，对着摄像头眨一下眼睛。",
        "高速上的充电桩坏了三个，排队排了两个钟头。", "电子发票要等付款之后的第二天才能开出来。",
        "我爸爸的助听器一戴上就有啸叫声。", "花盆在路上碎了，我们再给您补寄一个。",
        "你们家的课程顾问天天给我打电话。", "那本书的第三章缺了整整八页。",
    ),
    (
        "水表的数字我拍下来了，发到哪里去呢？", "您订的那束花，下午三点以前能送到。",
        "阳台的纱窗关不严，蚊子全飞进来了。", "这个套餐里面不包含国际长途的。",
        "我上礼拜交的押金，什么时候能退给我？", "麻烦您报一下身份证最后六位。",
        "电梯又坏了，老人家上下楼太不方便。", "维修的师傅姓周，他会提前半小时联系您。",
        "这双鞋穿了三天，鞋底就开胶了。", "您反映的路灯不亮，我们今天就派人去看。",
        "我想改一下明天的挂号，换成上午的。", "积分可以换话费，也可以换购物卡。",
        "快递员把箱子放在楼道里，雨水全泡了。", "您稍后会收到一条短信，请给我们打个分。",
        "驾照快到期了，换证要带哪些材料？", "这个颜色暂时缺货，下周二才会补上。",
    ),
)  # fmt: skip
HALVES = ("tune", "tune", "tune", "tune", "tune", "report")  # of each set
SEEN = ("嗯。", "嗯嗯。", "对。", "是的。", "好的。", "哦。", "好。", "对对。", "是。", "行。")
LISTENING = (
    SEEN, SEEN,
    ("嗯。", "嗯，对。", "噢。", "啊，对。", "是是。", "好好。", "嗯哼。", "没错。", "明白。", "行行。"),
    (
        *("嗯。", "嗯嗯，好。", "哦，是吗。", "哎，对。", "对对对。"),
        *("是的是的。", "好的好的。", "哦哦。", "可以。", "知道了。"),
    ),
    (
        *("嗯。", "嗯嗯嗯。", "对，对。", "哦，好。", "是啊。"),
        *("好嘞。", "啊，是。", "行，好。", "噢，这样。", "没问题。"),
    ),
    (
        *("嗯。", "嗯，是。", "对呀。", "哦，行。", "好，好。"),
        *("是这样。", "嗯嗯，对。", "明白明白。", "啊。", "行嘞。"),
    ),
)  # fmt: skip
BREAKING_IN = (
    ("等一下！", "不是这样的。", "你先听我说。", "我不要这个。", "那怎么行？"),
    ("不对不对。", "您稍等。", "我还没说完。", "问题是没人管。", "可是我付了钱。"),
    ("你别说了。", "这个我知道。", "等会儿再讲。", "我有个问题。", "不用换了。"),
    ("慢着慢着。", "让我说完。", "那不可能。", "先别挂电话。", "谁跟你说的？"),
    ("停一停。", "你听我解释。", "我不同意。", "不是这个意思。", "凭什么呀？"),
    ("等等等等。", "你先停一下。", "根本不是。", "我问一句啊。", "这不合理。"),
)  # fmt: skip
KOKORO, ESPEAK = 9, 4  # voices a set
VOICES = KOKORO + ESPEAK
SENTENCES_A_VOICE, LISTENING_A_VOICE, BREAKING_A_VOICE = 8, 4, 3
CHINESE = (
    *("zf_xiaobei", "zf_xiaoni", "zf_xiaoxiao", "zf_xiaoyi"),
    *("zm_yunjian", "zm_yunxi", "zm_yunxia", "zm_yunyang"),
)
VARIANTS = (
    *("Andy", "Annie", "Denis", "Gene", "Linda", "Michael", "Mike", "belinda"),
    *("Steph", "Jacky", "anika", "Lee", "Alex", "Alicia", "Marco", "aunty"),
    *("Diogo", "iven", "norbert", "travis"),
    *("benjamin", "marcelo", "zac", "Andrea"),
)


class Kokoro(make_utterances.Speaker):
    """The bank's speaker with a style and a speed given for each clip."""

    def blend(self, name: str, shares: dict[str, float], styles: Path) -> None:
        """Make a voice of shares of styles."""
        self._styles[name] = sum(s * load_style(styles / f"{n}.bin") for n, s in shares.items())

    def at(self, speed: float, text: str, voice: str) -> np.ndarray:
        """Speak ``text`` at this multiple of the model's own speed."""
        return self._speak(text, voice, speed)


def higher(clip: np.ndarray, semitones: float) -> np.ndarray:
    """Raise pitch and formants together; the clip becomes shorter by as much."""
    hundredths = round(100 * 2 ** (semitones / 12))
    return resample_poly(clip, 100, hundredths)


def espeak(text: str, variant: str, words_a_minute: int, pitch: int) -> np.ndarray:
    """Speak with espeak-ng, at 16 kHz."""
    made = subprocess.run(
        ["espeak-ng", "-v", f"cmn+{variant}", "-s", str(words_a_minute), "-p", str(pitch), "--stdout", text],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    first = made.index(b"data") + 8  # the header of a stream does not know its length
    return resample_poly(np.frombuffer(made[first:], "<i2") / 32768, 320, 441)


def main() -> None:
    """Make what is not there yet and write the index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voices", type=Path, required=True, help="folder with *.bin styles")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kokoro = Kokoro(options.voices, 1)
    others = sorted(p.stem for p in options.voices.glob("*.bin") if p.stem not in CHINESE)
    rows = []
    for number in range(len(SENTENCES) * VOICES):
        of = number % 2 if number < 2 * VOICES else number // VOICES
        half, voice = HALVES[of], f"v{number:02d}"
        rng = np.random.default_rng((SEED, number))
        own, other = rng.choice(CHINESE, 2, replace=False), rng.choice(others)
        share = rng.dirichlet((4, 2, 1.5))
        shares = dict(zip((*own, other), share, strict=True))
        shift, speed = rng.uniform(-1.5, 1.5), rng.uniform(0.75, 1.0)
        rate, pitch = int(rng.integers(150, 200)), int(rng.integers(25, 75))
        texts = [
            *((t, "say") for t in rng.choice(SENTENCES[of], SENTENCES_A_VOICE, replace=False)),
            *((t, "listen") for t in rng.choice(LISTENING[of], LISTENING_A_VOICE, replace=False)),
            *((t, "break_in") for t in rng.choice(BREAKING_IN[of], BREAKING_A_VOICE, replace=False)),
        ]  # fmt: skip
        variants = [2 * KOKORO + i for i in range(2 * ESPEAK)]
        variants += [n * VOICES + KOKORO + i for n in (2, 3, 4, 5) for i in range(ESPEAK)]
        by_espeak = number in variants
        if not by_espeak:
            kokoro.blend(voice, shares, options.voices)
        for i, (text, kind) in enumerate(texts):
            path = options.out / f"{voice}_{i:02d}.flac"
            rows.append(
                [path.name, voice, half, kind, str(text), "espeak" if by_espeak else "kokoro"]
            )
            if path.exists():
                continue
            if by_espeak:
                clip = espeak(str(text), VARIANTS[variants.index(number)], rate, pitch)
            else:
                clip = higher(kokoro.at(speed, str(text), voice), shift)
            soundfile.write(path, level(trim(clip)), RATE, subtype="PCM_16")
    with (options.out / "index.csv").open("w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows(
            [["file", "speaker", "half", "kind", "text", "synthesizer"], *rows]
        )


if __name__ == "__main__":
    main()
