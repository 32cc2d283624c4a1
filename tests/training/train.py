"""Trains the network on the mixes of ``mixes``: ``train DATA MODEL.pt SECONDS [WEIGHTS.f16]``.

From weights that are given it goes on at a lower rate, the batch normalisation frozen. The loss is the distortion of
each stem against the mixture's power, in dB and softened, so that silent stems count too; the rate falls to zero along
a cosine, without which a network is half a dB worse.

``train export MODEL.pt WEIGHTS.f16`` folds the batch normalisation and writes the weights that ship, with which
``network.py`` computes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from plugin_core.providers.local.network import BANDS, DILATIONS, SHAPES, count_parameters
from plugin_core.providers.local.refinement import interpolation
from tests.training.mixes import FRAMES, SINGLE, TOP

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


BATCH, RATE, RATE_ON, WARM_UP, DECAY = 8, 2e-3, 4e-4, 60, 0.02
NOISE = 0.07
"""Standard deviation of the noise on the powers of the input, at most."""
HELD_OUT = 48
"""Mixes kept for judging."""

Mixes = list[tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.float32]]]
"""Inputs, shares and energies, by file."""


def read_mixes(folder: Path) -> tuple[Mixes, list[tuple[int, int]]]:
    """Return the files, and the places of all mixes in them."""
    files: Mixes = []
    for energies in sorted(folder.glob("*.energies.npy")):
        parts = [folder / f"{energies.name.split('.')[0]}.{name}.npy" for name in ("inputs", "shares")]
        files.append((np.load(parts[0], mmap_mode="r"), np.load(parts[1], mmap_mode="r"), np.load(energies)))
    return files, [(file, place) for file, parts in enumerate(files) for place in range(len(parts[2]))]


def gather(files: Mixes, places: list[tuple[int, int]]) -> tuple[torch.Tensor, ...]:
    """Return inputs (mixes, channels, frames, bands), shares and energies."""
    parts = (torch.from_numpy(np.stack([files[f][part][p] for f, p in places])).float() for part in range(3))
    inputs, shares, energies = parts
    return inputs.permute(0, 3, 1, 2), shares, energies


def disturb(inputs: torch.Tensor) -> torch.Tensor:
    """Change level, tilt, colour and grain of the powers."""
    count = len(inputs)
    tilt = torch.linspace(-1, 1, BANDS) * torch.randn(count, 1, 1, 1) * 0.12 + torch.randn(count, 1, 1, 1) * 0.1
    colour = functional.interpolate(torch.randn(count, 1, 18), size=BANDS, mode="linear")[:, :, None] * 0.1
    grain = torch.randn_like(inputs[:, :2]) * torch.rand(count, 1, 1, 1) * NOISE
    return torch.cat((inputs[:, :2] + tilt + colour + grain, inputs[:, 2:]), dim=1)


def spread() -> torch.Tensor:
    """Return (bands, rows): what takes bands to the rows of ``mixes``."""
    bins = np.concatenate((np.arange(float(SINGLE)), np.arange(SINGLE, TOP, 4) + 1.5))
    width = float(FRAMES.frequencies[1])
    return torch.from_numpy(interpolation((bins * width).astype(np.float32)))


def distortion(masks: torch.Tensor, shares: torch.Tensor, energies: torch.Tensor) -> torch.Tensor:
    """Return the mean over stems of error against energy, in dB; the error is the exact sum over all cells."""
    power, products = shares[:, :1], shares[:, 1:]
    total = power.sum(dim=(1, 2, 3))[:, None]
    error = ((masks * (masks * power - 2 * products)).sum(dim=(2, 3)) + energies).clamp_min(0) / total
    return (10 * torch.log10((error + 0.003) / (energies / total + 0.04))).mean()


def main() -> None:
    """Train until the time is over."""
    data, model, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    torch.manual_seed(1)
    rng = np.random.default_rng(5)
    files, places = read_mixes(data)
    rng.shuffle(places)
    held, learnt = places[:HELD_OUT], places[HELD_OUT:]
    goes_on = len(sys.argv) > 4
    net = (load(Path(sys.argv[4])) if goes_on else UNet()).to(memory_format=torch.channels_last)
    top = RATE_ON if goes_on else RATE
    optimiser = torch.optim.AdamW(net.parameters(), top, weight_decay=DECAY, betas=(0.9, 0.98))
    rows, begun, step = spread().bfloat16(), time.monotonic(), 0
    order: list[int] = []

    def loss_of(batch: list[tuple[int, int]], *, is_learnt: bool) -> torch.Tensor:
        inputs, shares, energies = gather(files, batch)
        inputs = (disturb(inputs) if is_learnt else inputs).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(inputs)
        masks = torch.softmax((logits.bfloat16() @ rows).float(), dim=1)
        return distortion(masks, shares, energies)

    def judge() -> float:
        net.eval()
        with torch.no_grad():
            losses = [loss_of(held[k : k + BATCH], is_learnt=False).item() for k in range(0, len(held), BATCH)]
        return float(np.mean(losses))

    print(f"{len(learnt)} mixes; held out {judge():.3f}", flush=True)
    while (part := (time.monotonic() - begun) / seconds) < 1:
        if len(order) < BATCH:
            order = list(rng.permutation(len(learnt)))
        batch = [learnt[order.pop()] for _ in range(BATCH)]
        for group in optimiser.param_groups:
            group["lr"] = top * min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * np.cos(np.pi * part))
        net.train()
        if goes_on:
            net.freeze_norms()
        loss = loss_of(batch, is_learnt=True)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 25 == 0:
            print(step, round(time.monotonic() - begun), f"{loss.item():.3f}", flush=True)
        if step % 100 == 0:
            print(f"held out {judge():.3f}", flush=True)
            torch.save(net.state_dict(), model)
    print(f"{step} steps; held out {judge():.3f}", flush=True)
    torch.save(net.state_dict(), model)


if __name__ == "__main__":
    if sys.argv[1] == "export":
        trained = UNet()
        trained.load_state_dict(torch.load(sys.argv[2], weights_only=True))
        export(trained, Path(sys.argv[3]))
    else:
        main()
