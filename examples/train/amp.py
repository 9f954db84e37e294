"""The amplifier: an LSTM that learns what a circuit does to the sound of a guitar (`amp --through circuit`).

Both the guitar and the circuit are in the program, so there is as much sound as one wants, and what is right is known
exactly. The network gets a sample and adds to it what an nn.Linear makes of the state of an nn.LSTM. Its names, rec and
lin, are those of the networks that amplifier plug-ins share."""
import math
import struct
import subprocess
import time

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

RATE = 48000                    # samples a second
HIDDEN = 16
ROWS, STEPS = 32, 512           # pieces side by side, samples between two corrections
BEFORE = 1000                   # samples that a piece only listens to, so that its state is no longer zero
UPDATES, LEARNING = 30000, 5e-3
SONGS, HELD_OUT = range(101, 107), (2, 3, 4)    # seeds of the guitar; the riff of `amp --demo` is song 1
GAINS = (.4, .7, 1., 1., 1.5, 2.)
TAPS, BINS = 512, 400           # of the best filter, of the best curve


class Amp(nn.Module):
    def __init__(self):
        super().__init__()
        self.rec = nn.LSTM(1, HIDDEN, batch_first=True)
        self.lin = nn.Linear(HIDDEN, 1)

    def forward(self, x, state=None):
        """x [rows, samples, 1]"""
        h, state = self.rec(x, state)
        return x + self.lin(h), state


def save(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors",
              {"format": "pt", "sample_rate": str(RATE)})


def load(folder):
    model = Amp()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def play(program, *options, sound=None):
    """What the program writes: floats behind a header of 58 bytes."""
    if sound is not None:
        data = sound.astype("<f4").tobytes()
        sound = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack(
            "<IHHIIHH", 16, 3, 1, RATE, 4 * RATE, 4, 32) + b"data" + struct.pack("<I", len(data)) + data
    written = subprocess.run([program, *map(str, options)], input=sound, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, check=True).stdout
    return np.frombuffer(written[58:], "<f4").copy()


def guitar(program, seed, seconds):
    return play(program, "--demo", "-", "--seed", seed, "--seconds", seconds, "--through", "nothing")


def circuit(program, x):
    return play(program, "-", "-", "--through", "circuit", sound=x)


def material(program, seed):
    """Two and a half minutes: songs, soft and loud; sines that rise from 20 Hz to 12 kHz; noise that comes and goes."""
    random = np.random.default_rng(seed)
    songs = [gain * guitar(program, song, 20) for song, gain in zip(SONGS, GAINS)]
    t, octaves = np.arange(4 * RATE) / RATE, math.log(12000 / 20)
    rising = np.sin(2 * math.pi * 20 * 4 / octaves * (np.exp(t / 4 * octaves) - 1))
    n = 8 * RATE
    decibels = np.interp(np.arange(n), np.arange(33) * RATE / 4, random.uniform(-50, -6, 33))
    x = np.concatenate([*songs, *(level * rising for level in (.02, .1, .3, .8)),
                        random.normal(size=n) * 10 ** (decibels / 20)]).astype("f4")
    return x, circuit(program, x)


def error(y, d):
    """The error-to-signal ratio."""
    return float(((d - y) ** 2).sum(dtype=float) / (d ** 2).sum(dtype=float))


def train(args, folder):
    """Truncated back-propagation: the state goes on from piece to piece, the gradient ends where one began."""
    rate = args.rate or LEARNING
    x, d = material(args.amp, args.seed)
    check = guitar(args.amp, 5, 10)
    wanted = circuit(args.amp, check)
    torch.manual_seed(args.seed)
    random = np.random.default_rng(args.seed)
    model = Amp()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    n, step, started, losses = len(x) // ROWS, 0, time.monotonic(), []
    while step < UPDATES:
        shift = random.integers(len(x))         # each pass cuts the sound elsewhere
        order = random.permutation(ROWS)
        rows, targets = (torch.from_numpy(np.roll(a, shift)[:n * ROWS].reshape(ROWS, n, 1)[order]) for a in (x, d))
        with torch.no_grad():
            _, state = model(rows[:, :BEFORE])
        for at in range(BEFORE, n - STEPS + 1, STEPS):
            for group in optimizer.param_groups:
                fall = .5 * (1 + math.cos(math.pi * step / UPDATES))
                group["lr"] = rate * min(1, (step + 1) / 100) * (.002 + .998 * fall)
            y, state = model(rows[:, at:at + STEPS], tuple(s.detach() for s in state))
            target = targets[:, at:at + STEPS]
            loss = ((y - target) ** 2).mean() / (target ** 2).mean().clamp_min(1e-4)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.)
            optimizer.step()
            losses.append(loss.item())
            step += 1
            if step % args.every == 0:
                with torch.no_grad():
                    y = model(torch.from_numpy(check)[None, :, None])[0][0, :, 0].numpy()
                print(f"{rate:g} step {step} {time.monotonic() - started:.0f}s loss {np.mean(losses):.5f} "
                      f"held out {error(y, wanted):.5f}", flush=True)
                save(model, folder)
                losses = []
            if step == UPDATES:
                break
    save(model.eval(), folder)
    return {"parameters": sum(p.numel() for p in model.parameters()), "rate": rate, "seed": args.seed,
            "seconds": len(x) / RATE, "updates": UPDATES, "minutes": (time.monotonic() - started) / 60}


def best_filter(x, d):
    """The linear filter of TAPS taps with the least squared error (Wiener): R w = p, from correlations."""
    n = 1 << (2 * len(x) - 1).bit_length()
    spectrum = np.fft.rfft(x.astype(float), n)
    r = np.fft.irfft(np.abs(spectrum) ** 2, n)[:TAPS]
    p = np.fft.irfft(np.fft.rfft(d.astype(float), n) * spectrum.conj(), n)[:TAPS]
    lags = np.abs(np.subtract.outer(np.arange(TAPS), np.arange(TAPS)))
    return np.linalg.solve(r[lags] + 1e-9 * r[0] * np.eye(TAPS), p)


def best_curve(x, d):
    """The curve y = f(x) with the least squared error: the mean of d where x falls into a bin, and lines between."""
    edges = np.quantile(x, np.linspace(0, 1, BINS + 1))
    bins = np.clip(np.searchsorted(edges, x) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    mean_x, mean_d = (np.bincount(bins, a, BINS)[counts > 0] / counts[counts > 0] for a in (x, d))
    return mean_x, mean_d


def evaluate(model, program):
    """Songs that training never heard, softer and louder; next to what no network is needed for."""
    taught = np.concatenate([guitar(program, song, 20) for song in SONGS])
    answers = circuit(program, taught)
    w, curve = best_filter(taught, answers), best_curve(taught, answers)
    found = {"filter": [], "curve": [], "network": {}}
    for gain in (.25, .5, 1., 2.):
        songs = [gain * guitar(program, song, 20) for song in HELD_OUT]
        wanted = [circuit(program, x) for x in songs]
        with torch.no_grad():
            found["network"][str(gain)] = [
                error(model(torch.from_numpy(x.astype("f4"))[None, :, None])[0][0, :, 0].numpy(), d)
                for x, d in zip(songs, wanted)]
        if gain == 1:
            for x, d in zip(songs, wanted):
                filtered = np.fft.irfft(np.fft.rfft(x, 2 * len(x)) * np.fft.rfft(w, 2 * len(x)))[:len(x)]
                found["filter"].append(error(filtered, d))
                found["curve"].append(error(np.interp(x, *curve), d))
    return found
