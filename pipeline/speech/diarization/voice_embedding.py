"""Speaker embeddings: CAM++ (context-aware masking over a densely connected TDNN) as a pyannote model.

The network is written from the paper so that the published weights load name by name; it is given to
the diarization pipeline like any other pyannote.audio model.

Conventions: audio at 16 kHz, shape (batch, 1, samples), full scale 1.0; masks of shape
(batch, frames) at any frame rate; embeddings of shape (batch, 192). A mask that leaves less than
``MIN_SPEECH_S`` of speech gives NaN, which pyannote's clustering leaves out.

References
----------
H. Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware
Masking", Interspeech 2023, arXiv:2303.00332. Weights: 3D-Speaker project, Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from numpy.typing import NDArray
from pyannote.audio import Model
from torch import Tensor, nn
from torchaudio.compliance.kaldi import fbank

from pipeline.schema import SAMPLE_RATE, Audio, Span

MEL_BINS = 80
DIMENSION = 192
GROWTH = 32
BOTTLENECK = 128
BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers and dilation of each dense block
CONTEXT_FRAMES = 100
MIN_SPEECH_S = 0.2
MIN_PIECE_S = 0.3
FRAME_S, WINDOW_S = 0.01, 0.025
LIKE_FRAMES = 20
BATCH = 8


class CAMPlusPlus(Model):
    """CAM++ with the interface pyannote.audio expects of a speaker embedding."""

    def __init__(self) -> None:
        super().__init__(sample_rate=SAMPLE_RATE, num_channels=1)
        self.head = _Head()
        self.xvector = _XVector()

    @classmethod
    def load(cls, path: Path) -> CAMPlusPlus:
        """Load published weights (a plain state dict; read without unpickling code)."""
        model = cls()
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state, strict=True)
        return model.eval()

    @property
    def dimension(self) -> int:
        """Size of an embedding."""
        return DIMENSION

    def forward(self, waveforms: Tensor, weights: Tensor | None = None) -> Tensor:
        """Embed each waveform, or only the frames its mask keeps.

        Parameters
        ----------
        waveforms : Tensor, shape (batch, 1, samples)
        weights : Tensor, shape (batch, frames), optional
            A frame counts when its weight is over 0.5.

        Returns
        -------
        Tensor, shape (batch, 192)

        Raises
        ------
        ValueError
            If the waveforms are shorter than ``MIN_SPEECH_S``.
        """
        masks = [None] * len(waveforms) if weights is None else list(weights)
        return torch.stack([self._embed(w[0], m) for w, m in zip(waveforms, masks, strict=True)])

    def features(self, samples: Tensor) -> Tensor:
        """Mel filterbank of a waveform of shape (n,): (frames, 80), a frame every 10 ms."""
        return fbank(samples[None], num_mel_bins=MEL_BINS, sample_frequency=SAMPLE_RATE, dither=0.0)

    def embed(self, features: Tensor) -> Tensor:
        """Embeddings (batch, 192) of features (batch, frames, 80)."""
        centred = features - features.mean(dim=1, keepdim=True)
        embedded: Tensor = self.xvector(self.head(centred.transpose(1, 2)[:, None]))
        return embedded

    def _embed(self, samples: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None and float((mask > 0.5).float().mean()) * samples.numel() < (
            MIN_SPEECH_S * SAMPLE_RATE
        ):
            return torch.full((DIMENSION,), float("nan"), device=samples.device)
        if samples.numel() < MIN_SPEECH_S * SAMPLE_RATE:
            raise ValueError(f"{samples.numel()} samples are too few for an embedding.")
        features = self.features(samples)
        if mask is not None:
            kept = F.interpolate(mask[None, None].float(), size=len(features), mode="nearest")
            features = features[kept[0, 0] > 0.5]
        return self.embed(features[None])[0]


class PieceEmbedder:
    """CAM++ over pieces of a recording.

    Pieces of like length go through the network together, which takes a third less time than one
    by one; for that, up to ``LIKE_FRAMES`` frames are left out of a piece, half of them at each end.
    """

    def __init__(self, model: CAMPlusPlus) -> None:
        self._model = model

    def __call__(self, audio: Audio, pieces: Sequence[Span]) -> NDArray[np.float64]:
        """Embeddings of shape (len(pieces), 192); NaN rows for pieces shorter than 0.3 s."""
        rows = np.full((len(pieces), DIMENSION), np.nan)
        alike: dict[int, list[int]] = {}
        for i, (start, end) in enumerate(pieces):
            if end - start >= MIN_PIECE_S:
                alike.setdefault(_frames(end - start), []).append(i)
        with torch.inference_mode():
            for frames, members in sorted(alike.items()):
                for first in range(0, len(members), BATCH):
                    batch = members[first : first + BATCH]
                    heard = torch.stack([self._features(audio, pieces[i], frames) for i in batch])
                    rows[batch] = self._model.embed(heard).cpu().numpy()
        return rows

    def _features(self, audio: Audio, piece: Span, frames: int) -> Tensor:
        """The middle of a piece, shape (frames, 80)."""
        start = (piece[0] + piece[1] - frames * FRAME_S - WINDOW_S) / 2
        first = max(0, round(start * SAMPLE_RATE))
        samples = np.zeros(round((frames * FRAME_S + WINDOW_S) * SAMPLE_RATE), np.float32)
        part = audio[first : first + samples.size]
        samples[: part.size] = part
        waveform = torch.from_numpy(samples).to(self._model.device)
        return self._model.features(waveform)[:frames]


def _frames(seconds: float) -> int:
    """Frames that are heard of a piece: what is left after whole steps, but one step at least."""
    return max(1, int(seconds / FRAME_S) // LIKE_FRAMES) * LIKE_FRAMES


class _Residual(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(GROWTH, GROWTH, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(GROWTH)
        self.conv2 = nn.Conv2d(GROWTH, GROWTH, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(GROWTH)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(GROWTH, GROWTH, 1, (stride, 1), bias=False), nn.BatchNorm2d(GROWTH)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class _Head(nn.Module):
    """2-D convolutions over (mel, time), folding eight mel bins into channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, GROWTH, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(GROWTH)
        self.layer1 = nn.Sequential(_Residual(2), _Residual(1))
        self.layer2 = nn.Sequential(_Residual(2), _Residual(1))
        self.conv2 = nn.Conv2d(GROWTH, GROWTH, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(GROWTH)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.bn2(self.conv2(x))).flatten(1, 2)


def _nonlinear(channels: int, *, affine: bool = True, relu: bool = True) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module("batchnorm", nn.BatchNorm1d(channels, affine=affine))
    if relu:
        layers.add_module("relu", nn.ReLU())
    return layers


class _Linear(nn.Module):
    """A convolution after or before its normalisation, named as in the published weights."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.nonlinear = _nonlinear(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlinear(self.linear(x))
        return y


class _Transit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = _nonlinear(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(self.nonlinear(x))
        return y


class _ContextMask(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(
            BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.linear1 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        segments = F.avg_pool1d(x, CONTEXT_FRAMES, CONTEXT_FRAMES, ceil_mode=True)
        local = segments.repeat_interleave(CONTEXT_FRAMES, dim=-1)[..., : x.shape[-1]]
        context = F.relu(self.linear1(x.mean(-1, keepdim=True) + local))
        masked: Tensor = self.linear_local(x) * torch.sigmoid(self.linear2(context))
        return masked


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _nonlinear(channels)
        self.linear1 = nn.Conv1d(channels, BOTTLENECK, 1, bias=False)
        self.nonlinear2 = _nonlinear(BOTTLENECK)
        self.cam_layer = _ContextMask(dilation)

    def forward(self, x: Tensor) -> Tensor:
        y = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))
        return torch.cat((x, y), dim=1)


class _Embedding(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(inputs, DIMENSION, 1, bias=False)
        self.nonlinear = _nonlinear(DIMENSION, affine=False, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlinear(self.linear(x[..., None]))
        return y[..., 0]


class _XVector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        channels = 128
        self.tdnn = _Linear(MEL_BINS // 8 * GROWTH, channels, kernel=5, stride=2)
        for number, (layers, dilation) in enumerate(BLOCKS, start=1):
            block = nn.Sequential()
            for layer in range(1, layers + 1):
                block.add_module(f"tdnnd{layer}", _DenseLayer(channels, dilation))
                channels += GROWTH
            self.add_module(f"block{number}", block)
            self.add_module(f"transit{number}", _Transit(channels))
            channels //= 2
        self.out_nonlinear = _nonlinear(channels)
        self.dense = _Embedding(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tdnn(x)
        for number in range(1, len(BLOCKS) + 1):
            x = self.get_submodule(f"transit{number}")(self.get_submodule(f"block{number}")(x))
        x = self.out_nonlinear(x)
        statistics = torch.cat((x.mean(-1), x.std(-1, unbiased=True)), dim=-1)
        y: Tensor = self.dense(statistics)
        return y
