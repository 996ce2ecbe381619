"""The encoder of one picture: EfficientNet-Lite, features at five resolutions.

Tan and Le, EfficientNet, ICML 2019, table 1; its Lite variants leave out squeeze-and-excitation, use ReLU6, and keep
the first and the last stage and the stem at every width. Convolutions are padded as TensorFlow's "same" pads, because
the ImageNet weights were trained that way: with a stride the picture may get one row more at its end than at its start.
Statistics of the batch norms stay those of ImageNet: batches are small, and of several kinds of pictures. A norm is
then a scale and an offset, and is put into the weights of its convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

MEAN, DEVIATION = 0.498, 0.502
"""Of the colours in [0, 1] that the ImageNet weights want."""

NORM_EPS = 1e-3

SMALL_KERNEL = 3
"""Depthwise convolutions of larger ones stay in single precision: bfloat16 gradients take them 2.5 times as long."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one width: `repeats` of them, the first with the stride; `expand` times as many channels inside."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


LITE0 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM_WIDTH = 32


class Encoder(nn.Module):
    """EfficientNet-Lite to its last block, without the classifier.

    Args:
        stages: LITE0, or fewer and narrower ones.
        stem_width: channels of the first convolution.

    Attributes:
        widths: channels of the features, from stride 2 on; the next ones have twice the stride.
    """

    def __init__(self, stages: tuple[Stage, ...] = LITE0, stem_width: int = STEM_WIDTH) -> None:
        super().__init__()
        self.stem = SameConv2d(3, stem_width, 3, stride=2)
        self.stem_norm = FrozenNorm(stem_width)
        blocks, self._taps, width = [], [], stem_width
        for stage in stages:
            if stage.stride > 1:
                self._taps.append(len(blocks) - 1)  # the last block before the picture shrinks
            for k in range(stage.repeats):
                blocks.append(_Block(width, stage, stage.stride if k == 0 else 1))
                width = stage.width
        self._taps.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self.widths = tuple(blocks[k].width for k in self._taps)

    def forward(self, picture: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Features of a picture in [0, 1], the finest (half size, rounded up) first."""
        x = F.relu6(self.stem((picture - MEAN) / DEVIATION, self.stem_norm))
        features = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k in self._taps:
                features.append(x)
        return features

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Take over published ImageNet weights (names `_conv_stem`, `_blocks.0._depthwise_conv`, ...); no classifier.

        Raises:
            ValueError: they are of another network.
        """
        own = self.state_dict()
        renamed = {_own_name(name): value for name, value in weights.items()}
        found = {name: value for name, value in renamed.items() if name in own}
        wrong = sorted((own.keys() - found.keys()) | {name for name in found if found[name].shape != own[name].shape})
        if wrong:
            raise ValueError(f"encoder weights: of another network, {len(wrong)} do not fit (the first: {wrong[0]})")
        self.load_state_dict(found)


def _own_name(name: str) -> str:
    """This module's name of a published weight."""
    if name.startswith("_conv_stem"):
        return name.replace("_conv_stem", "stem")
    if name.startswith("_bn0"):
        return name.replace("_bn0", "stem_norm")
    for theirs, ours in (
        ("_blocks.", "blocks."), ("_expand_conv", "expand"), ("_depthwise_conv", "depthwise"),
        ("_project_conv", "project"), ("_bn0", "expand_norm"), ("_bn1", "depthwise_norm"), ("_bn2", "project_norm"),
    ):  # fmt: skip
        name = name.replace(theirs, ours)
    return name


class _Block(nn.Module):
    """An inverted residual (Sandler et al., MobileNetV2, CVPR 2018, section 3.3)."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inside, self.width = inputs * stage.expand, stage.width
        self.is_residual = stride == 1 and inputs == stage.width
        if stage.expand > 1:
            self.expand, self.expand_norm = SameConv2d(inputs, inside, 1), FrozenNorm(inside)
        self.expands = stage.expand > 1
        self.depthwise = SameConv2d(inside, inside, stage.kernel, stride=stride, groups=inside)
        self.depthwise_norm = FrozenNorm(inside)
        self.project = SameConv2d(inside, stage.width, 1)
        self.project_norm = FrozenNorm(stage.width)

    def forward(self, x: Tensor) -> Tensor:
        inside = F.relu6(self.expand(x, self.expand_norm)) if self.expands else x
        inside = F.relu6(self.depthwise(inside, self.depthwise_norm))
        out = self.project(inside, self.project_norm)
        return x + out if self.is_residual else out


class SameConv2d(nn.Module):
    """A convolution to ceil(size / stride) pixels, padded as TensorFlow's "same", and the norm after it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel, groups=groups, bias=False)  # for its start
        self.weight = nn.Parameter(conv.weight.detach())
        self.kernel, self.stride, self.groups = kernel, stride, groups

    def forward(self, x: Float[Tensor, "B C H W"], norm: FrozenNorm) -> Float[Tensor, "B D h w"]:
        scale, offset = norm.scale_and_offset()
        weight = self.weight * scale[:, None, None, None]
        if self.groups == 1 or self.kernel <= SMALL_KERNEL:
            return self._convolved(x, weight, offset)
        with torch.autocast(x.device.type, enabled=False):
            return self._convolved(x.float(), weight.float(), offset.float())

    def _convolved(self, x: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
        if self.stride == 1:
            return F.conv2d(x, weight, offset, padding=self.kernel // 2, groups=self.groups)
        (top, bottom), (left, right) = (same_padding(size, self.kernel, self.stride) for size in x.shape[-2:])
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, offset, stride=self.stride, groups=self.groups)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after `size` pixels, so that ceil(size / stride) come out; the odd one comes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class FrozenNorm(nn.Module):
    """Batch norm by the statistics it was loaded with, in training too; scale and offset are trained."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def scale_and_offset(self) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
        """The norm is x times the one plus the other."""
        scale = self.weight / (self.running_var + NORM_EPS).sqrt()
        return scale, self.bias - self.running_mean * scale
