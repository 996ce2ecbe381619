"""The trunk that the small networks of the geometry share: a U-Net of residual blocks, and its weights on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

Network = TypeVar("Network", bound="UNet")


class UNet(nn.Module, ABC):
    """Residual blocks at several resolutions, each half of the one before (Ronneberger et al., MICCAI 2015).

    Features of a coarser resolution are added to those of the finer one instead of being joined to them.

    Args:
        widths: channels at each resolution; none are those of the network that comes with the checkout.
    """

    NAME: ClassVar[str] = "network"
    """As errors call it."""

    REMEDY: ClassVar[str] = ""
    """The command that trains it."""

    WIDTHS: ClassVar[tuple[int, ...]] = ()

    def __init__(self, widths: tuple[int, ...] = ()) -> None:
        super().__init__()
        widths = widths or self.WIDTHS
        steps = list(zip(widths, widths[1:], strict=False))
        self.stem, head = self.ends(widths[0])
        self.encoders = nn.ModuleList(_Block(width) for width in widths)
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in steps)
        self.ups = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.decoders = nn.ModuleList(_Block(width) for width in widths[:-1])
        self.head = _silent(head)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):  # on a CPU twice as fast
                conv.weight = nn.Parameter(conv.weight.detach().contiguous(memory_format=torch.channels_last))

    @staticmethod
    @abstractmethod
    def ends(width: int) -> tuple[nn.Conv2d, nn.Conv2d]:
        """What makes `width` channels of the inputs, and the outputs of as many; the latter is silent untrained."""

    def outputs(self, x: Float[Tensor, "S inputs H W"]) -> Float[Tensor, "S outputs h w"]:
        """Outputs at the stem's resolution."""
        x = self.encoders[0](self.stem(x))
        skipped = []
        for down, encoder in zip(self.downs, list(self.encoders)[1:], strict=True):
            skipped.append(x)
            x = encoder(down(F.relu(x)))
        for up, decoder in zip(reversed(self.ups), reversed(self.decoders), strict=True):
            fine = skipped.pop()
            coarse = up(F.relu(x))  # fewer channels are cheaper to enlarge
            x = decoder(fine + F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False))
        return self.head(F.relu(x))

    def save(self, path: Path) -> None:
        """Weights in half precision, as safetensors; renamed into place when complete."""
        partial = path.with_name(path.name + ".part")
        save_file({key: value.half().contiguous() for key, value in self.state_dict().items()}, partial)
        partial.replace(path)

    @classmethod
    def load(cls: type[Network], path: Path) -> Network:
        """The network whose weights `save` wrote, ready to be used.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file holds another network.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{cls.NAME}: {path} is missing; check it out again, or train it: {cls.REMEDY}")
        state = {key: value.float() for key, value in load_file(path).items()}
        count = sum(key.startswith("encoders.") and key.endswith("first.bias") for key in state)
        try:
            network = cls(tuple(len(state[f"encoders.{k}.first.bias"]) for k in range(count)))
            network.load_state_dict(state)
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"{cls.NAME}: {path} holds another network: {error}") from error
        return network.eval().requires_grad_(False)


class _Block(nn.Module):
    """Two convolutions beside the identity, which they begin as."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = _silent(nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


def _silent(conv: nn.Conv2d) -> nn.Conv2d:
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
