"""Trains the network on the mixes of ``mixes``: ``train DATA MODEL.pt SECONDS [WEIGHTS.f16]``.

From weights that are given it goes on at a lower rate, the batch normalisation frozen. The loss is the distortion of
each stem against the mixture's power, in dB and softened, so that silent stems count too; the rate falls to zero along
a cosine, without which a network is half a dB worse.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from plugin_core.providers.local.network import BANDS
from plugin_core.providers.local.refinement import interpolation
from plugin_core.providers.local.training.mixes import FRAMES, SINGLE, TOP
from plugin_core.providers.local.training.unet import UNet, load

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
    main()
