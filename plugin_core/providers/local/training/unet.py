"""The network in torch, to be trained: what ``network.py`` computes, written to and read from the same file.

``export MODEL.pt WEIGHTS.f16`` folds the batch normalisation and writes the weights that ship.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from plugin_core.providers.local.network import BANDS, DILATIONS, SHAPES, count_parameters

CONVOLUTIONS = {"e0": (1, 1), "d1": (2, 2), "d2": (1, 2), "d3": (2, 2), "u3": (1, 1), "u2": (1, 1), "u1": (1, 1)}
"""Each with its stride."""
DEEP = BANDS // 8
"""Bands at the bottom."""


class UNet(nn.Module):
    """(mixes, channels, frames, bands) to logits (mixes, stems, frames, bands)."""

    def __init__(self) -> None:
        super().__init__()
        for name, stride in CONVOLUTIONS.items():
            tall, wide, depth, out = SHAPES[name]
            self.add_module(name, nn.Conv2d(depth, out, (tall, wide), stride, (tall // 2, wide // 2)))
            self.add_module(f"{name}n", nn.BatchNorm2d(out))
        self.q, self.p, self.r1, self.out = (nn.Conv2d(*SHAPES[name], 1) for name in ("q", "p", "r1", "out"))
        self.i, self.o = (nn.Conv1d(*SHAPES[name], 1) for name in ("i", "o"))
        size = SHAPES["i"][1]
        self.c = nn.ModuleList([nn.Conv1d(size, size, 3, dilation=far, padding=far, groups=2) for far in DILATIONS])
        self.m = nn.ModuleList([nn.Conv1d(size, size, 1) for _ in DILATIONS])
        self.drop = nn.Dropout(0.15)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def layer(self, name: str, values: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.get_submodule(f"{name}n")(self.get_submodule(name)(values)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        full = self.layer("e0", inputs)
        half = self.layer("d1", full)
        narrow = self.layer("d2", half)
        deep = self.layer("d3", narrow)
        # Bands before channels, as the engine has them.
        memory = self.q(deep).permute(0, 3, 1, 2).flatten(1, 2)
        memory = torch.relu(self.i(self.drop(memory)))
        for around, mix in zip(self.c, self.m, strict=True):
            memory = memory + mix(torch.relu(around(self.drop(memory))))
        told = self.o(memory).unflatten(1, (DEEP, -1)).permute(0, 2, 3, 1)
        deep = torch.relu(deep + self.p(told))
        narrow = self.layer("u3", join(deep, narrow))
        half = self.layer("u2", join(narrow, half))
        return self.out(self.layer("u1", join(self.r1(half), full)))

    def freeze_norms(self) -> None:
        """Keep the batch normalisation at what it is, as for weights that were folded."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def join(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """Repeat the coarse one until it is as fine, and put both beside each other."""
    return torch.cat((functional.interpolate(coarse, size=fine.shape[2:], mode="nearest"), fine), dim=1)


def tables(net: UNet) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return weights and biases in the file's order and shapes, normalisation folded in."""
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name, shape in SHAPES.items():
        if name in CONVOLUTIONS:
            layer, norm = net.get_submodule(name), net.get_submodule(f"{name}n")
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weights = (layer.weight * gain[:, None, None, None]).permute(2, 3, 1, 0)
            found[name] = (weights, (layer.bias - norm.running_mean) * gain + norm.bias)
        elif name[0] in "cm":
            layer = getattr(net, name[0])[int(name[1])]
            taps = layer.weight  # (out, in of a group, taps)
            weights = (
                taps.unflatten(0, (2, -1)).permute(0, 3, 2, 1).reshape(shape) if name[0] == "c" else taps[:, :, 0].T
            )
            found[name] = (weights, layer.bias)
        else:
            layer = getattr(net, name)
            found[name] = (layer.weight.flatten(1).T, layer.bias)
    return found


def export(net: UNet, path: Path) -> None:
    """Write the weights as the engine reads them."""
    parts = [part.detach().reshape(-1).float().numpy() for pair in tables(net).values() for part in pair]
    path.write_bytes(np.concatenate(parts).astype("<f2").tobytes())


def load(path: Path) -> UNet:
    """Return a network with weights that the engine could read, to be trained further with its norms frozen."""
    numbers: NDArray[np.float32] = np.frombuffer(path.read_bytes(), dtype="<f2").astype(np.float32)
    if numbers.size != count_parameters():
        raise SystemExit(f"{path} is of another network")
    net, place = UNet(), 0
    with torch.no_grad():
        for name, pair in tables(net).items():
            values = []
            for part in pair:
                values.append(torch.from_numpy(numbers[place : place + part.numel()].copy()).view(part.shape))
                place += part.numel()
            weights, bias = values
            if name in CONVOLUTIONS:
                layer, norm = net.get_submodule(name), net.get_submodule(f"{name}n")
                norm.running_var.fill_(1 - norm.eps)
                layer.weight.copy_(weights.permute(3, 2, 0, 1))
            elif name[0] in "cm":
                layer = getattr(net, name[0])[int(name[1])]
                is_grouped = name[0] == "c"
                weights = weights.reshape(2, 3, 64, 64).permute(0, 3, 2, 1).flatten(0, 1) if is_grouped else weights.T
                layer.weight.copy_(weights.reshape(layer.weight.shape))
            else:
                layer = getattr(net, name)
                layer.weight.copy_(weights.T.reshape(layer.weight.shape))
            layer.bias.copy_(bias)
    return net


if __name__ == "__main__":
    trained = UNet()
    trained.load_state_dict(torch.load(sys.argv[1], weights_only=True))
    export(trained, Path(sys.argv[2]))
