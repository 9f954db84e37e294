"""The small networks without a text: an MLP that tells two spirals apart, an RNN that predicts the temperature of a
room, and one that hears vowels. Their programs tell what to learn from (`spiral --data`, and so on)."""
import math
import subprocess
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

SIZE = 16
POINTS, DAYS, CHAINS = 4000, 100, 1500      # of the data
DAY, HALF, BACK = 288, 144, 4      # temperatures: of a day, of a piece, that the linear predictor sees
BANDS, SOUNDS, FRAMES, LATE = 16, 6, 143, 3     # of vowels: numbers of a frame, answers, frames of a chain, of delay
UPDATES, RATE = {"spiral": 4000, "room": 3000, "vowels": 3000}, 1e-2


def told(program, seed, n):
    out = subprocess.run([program, "--seed", str(seed), "--data", str(n)], stdout=subprocess.PIPE, check=True).stdout
    return torch.tensor(np.loadtxt(out.decode().splitlines()), dtype=torch.float32)


class Spiral(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2, SIZE), nn.Tanh(), nn.Linear(SIZE, SIZE), nn.Tanh(), nn.Linear(SIZE, 1))

    def loss(self, data):
        return F.binary_cross_entropy_with_logits(self.mlp(data[:, :2])[:, 0], data[:, 2])


class Room(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(1, SIZE, batch_first=True)
        self.output = nn.Linear(SIZE, 1)
        self.linear = nn.Linear(BACK, 1).requires_grad_(False)      # for comparison

    def fit_linear(self, data):
        """The linear predictor with the least squared error: the next temperature from the last ones, oldest first."""
        x = torch.cat([data.unfold(0, BACK, 1)[:-1], torch.ones(len(data) - BACK, 1)], 1)
        w = torch.linalg.lstsq(x.double(), data[BACK:, None].double()).solution.float()
        self.linear.weight[0], self.linear.bias[0] = w[:BACK, 0], w[BACK, 0]

    def loss(self, data):
        """Of 16 half days. The first hour of each is only listened to."""
        start = torch.randint(len(data) - HALF - 1, (16, 1))
        x = (data[start + torch.arange(HALF + 1)] - 20) / 2
        h, _ = self.rnn(x[:, :-1, None])
        return ((x[:, :-1] + self.output(h)[:, :, 0] - x[:, 1:])[:, 12:] ** 2).mean()


class Vowels(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(BANDS, 24, batch_first=True)
        self.output = nn.Linear(24, SOUNDS)
        self.alone = nn.Sequential(nn.Linear(BANDS, 50), nn.Tanh(), nn.Linear(50, SOUNDS))      # for comparison

    def loss(self, data):
        """Of 32 chains. The RNN names the sound of three frames ago, the MLP that of the frame it sees."""
        chains = data.view(-1, FRAMES, BANDS + 1)[torch.randint(CHAINS, (32,))]
        x, sounds = chains[:, :, :BANDS], chains[:, :, BANDS].long()
        h, _ = self.rnn(x)
        return (F.cross_entropy(self.output(h)[:, LATE:].flatten(0, 1), sounds[:, :-LATE].flatten())
                + F.cross_entropy(self.alone(x).flatten(0, 1), sounds.flatten()))


def train(name, program, seed, folder, every):
    torch.manual_seed(seed)
    model = {"spiral": Spiral, "room": Room, "vowels": Vowels}[name]()
    data = told(program, seed, {"spiral": POINTS, "room": DAYS * DAY, "vowels": CHAINS * FRAMES}[name])
    if name == "room":
        model.fit_linear(data)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    started, n = time.monotonic(), UPDATES[name]
    for step in range(n):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (.002 + .998 * .5 * (1 + math.cos(math.pi * step / n)))
        loss = model.loss(data)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.)
        optimizer.step()
        if (step + 1) % every == 0:
            print(f"{name} step {step + 1} {time.monotonic() - started:.0f}s loss {loss.item():.6f}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors",
              {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    n_parameters = sum(p.numel() for key, p in model.named_parameters() if p.requires_grad and "alone" not in key)
    return {"parameters": n_parameters, "rate": RATE, "seed": seed, "updates": n,
            "minutes": (time.monotonic() - started) / 60}
