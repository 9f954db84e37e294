"""What a model makes of fresh stories: loss beside the entropy, recall by distance, influence, the silent switch; for
BERT, and the GPT beside it, gaps whose clue comes before or after."""
import json
import math
import subprocess
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F

from data import tell

BINS = [(3, 8), (9, 16), (17, 32), (33, 64), (65, 128), (129, 250)]
BACK = [(1, 4), (5, 8), (9, 12), (13, 16), (17, 24), (25, 32), (33, 48), (49, 96), (97, 128), (161, 200)]
PRESSES = (0, 1, 2, 5, 10, 15, 20, 30)
STATIC = ["time", "news", "leader", "team", "pet"]
WIDE = ["--sentences", "0:80", "--facts", "0:5", "--states", "0:3", "--objects", "0:16"]


def on(model):
    return next(model.parameters()).device


def in_rows(rows, device, size=64):
    """Stories in padded batches: (stories, inputs, targets)."""
    for i in range(0, len(rows), size):
        some = rows[i:i + size]
        length = max(len(ids) for _, ids in some) + 1
        x = torch.zeros(len(some), length, dtype=torch.long)
        y = torch.full((len(some), length), -100)
        for j, (_, ids) in enumerate(some):
            x[j, 1:len(ids) + 1] = torch.tensor(ids)
            y[j, :len(ids)] = torch.tensor(ids)
            y[j, len(ids)] = 0
        yield some, x.to(device), y.to(device)


@torch.no_grad()
def loss_and_recall(model, stories, encoder):
    rows = [(s, encoder.ids(s["text"])) for s in stories]
    bits = tokens = 0
    answers = []                # (kind, distance in tokens, correct, bag)
    for some, x, y in in_rows(rows, on(model)):
        logits = model(x)
        bits += float(F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum")) / math.log(2)
        tokens += int((y >= 0).sum())
        right = (logits.argmax(-1) == y).cpu()
        for j, (story, _) in enumerate(some):
            at = {offset: i for i, offset in enumerate(encoder.offsets(story["text"]))}
            told = {}
            for fact in story["facts"]:
                words = story["text"][fact["at"]:fact["at"] + fact["length"]].count(" ") + 1
                first = at[fact["at"]]
                told[fact["key"]] = fact["value"]
                answers.append((fact["kind"], first - at[fact["said"]], bool(right[j, first:first + words].all()),
                                fact["changes"], bag(story, fact)))
    text_bytes = sum(len(s["text"]) for s in stories)
    exact = sum(s["bits"] for s in stories)
    return {"bits_per_token": bits / tokens, "exact_per_token": exact / tokens, "above": bits / exact - 1,
            "bits_per_byte": bits / text_bytes, "exact_per_byte": exact / text_bytes,
            "tokens_read": tokens, "recall": by_distance(answers)}


def bag(story, fact):
    """The chance of a guess among the places named in this story so far."""
    if fact["kind"] != "place":
        return 0
    before = {f["value"] for f in story["places"] if f["at"] < fact["at"]}
    return 1 / max(1, len(before))


def by_distance(answers):
    table = {}
    for kind in sorted({a[0] for a in answers}):
        row = []
        for low, high in BINS:
            some = [a for a in answers if a[0] == kind and low <= a[1] <= high]
            row.append({"n": len(some), "right": mean([a[2] for a in some]), "bag": mean([a[4] for a in some])})
        far = [a for a in answers if a[0] == kind and a[1] >= 100]
        row.append({"n": len(far), "right": mean([a[2] for a in far]), "bag": mean([a[4] for a in far])})
        table[kind] = row
    return table


def mean(values):
    return float(np.mean(values)) if len(values) else None


@torch.no_grad()
def influence(model, stories, encoder, seed=11):
    """Mean |log p(target) - log p(target, with the token k back replaced by a random one)|. In each story one token is
    replaced, anywhere, and every later target says what that changed: k = 1 is the token right before the target."""
    random = np.random.default_rng(seed)
    rows = [(s, encoder.ids(s["text"])) for s in stories]
    words = np.concatenate([ids for _, ids in rows])
    found = defaultdict(list)
    for some, x, y in in_rows(rows, on(model)):
        changed = x.clone()
        places = [int(random.integers(1, len(ids))) for _, ids in some]
        for j, place in enumerate(places):
            changed[j, place] = int(random.choice(words))
        pick = y.clamp(min=0)[:, :, None]
        a, b = (model(z).log_softmax(-1).gather(2, pick)[:, :, 0] for z in (x, changed))
        change = (a - b).abs().cpu()
        for j, (place, (_, ids)) in enumerate(zip(places, some)):
            for low, high in BACK:
                found[low, high].append(change[j, place + low - 1:min(place + high, len(ids) + 1)])
    return {f"{low}-{high}": float(torch.cat(found[low, high]).mean()) for low, high in BACK}


@torch.no_grad()
def silent_switch(model, encoder, count=300, seed=12):
    """The lamp is on or off; the switch is pressed n times; what is it now? (Chance .5)"""
    random = np.random.default_rng(seed)
    out = {}
    states = [encoder.ids(" on")[0], encoder.ids(" off")[0]]
    for n in PRESSES:
        rows, wanted = [], []
        for _ in range(count):
            pair = [str(random.choice(names)) for names in (["Anna", "Lily", "Mia"], ["Tom", "Ben", "Max"])]
            random.shuffle(pair)
            off = int(random.integers(2))
            text = f"{pair[0]} and {pair[1]} found an old lamp. The lamp was {'off' if off else 'on'}."
            text += "".join(f" {pair[int(random.integers(2))]} pressed the switch." for _ in range(n))
            rows.append([0] + encoder.ids(text + f" {pair[0]} yawned. Now the lamp was"))
            wanted.append(states[(off + n) % 2])
        best = model(torch.tensor(rows, device=on(model)))[:, -1].argmax(-1)
        out[str(n)] = float((best.cpu() == torch.tensor(wanted)).float().mean())
    return out


@torch.no_grad()
def context_table(model, stories, encoder, contexts=(8, 16, 32, 64, 128, 200)):
    """Bits per token late in a story (from token 201 on) when only the c tokens before it are given."""
    rows = [[0] + encoder.ids(s["text"]) for s in stories if s["tokens"] >= 210][:40]
    places = [(row, t) for row in rows for t in range(201, len(row), 3)]
    targets = torch.tensor([row[t] for row, t in places])
    out = {}
    for c in contexts:
        x = torch.tensor([row[t - c:t] for row, t in places], device=on(model))
        logits = torch.cat([model(some)[:, -1].cpu() for some in x.split(32)])
        out[str(c)] = float(F.cross_entropy(logits, targets)) / math.log(2)
    return out


@torch.no_grad()
def sample(model, encoder, count, temperature=.8, seed=13):
    """Stories drawn token by token from the start token to the end token."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(count, 1, dtype=torch.long)
    ended = torch.zeros(count, dtype=torch.bool)
    while x.shape[1] < 256 and not ended.all():
        p = (model(x.to(on(model)))[:, -1].cpu() / temperature).softmax(-1)
        token = torch.multinomial(p, 1, generator=generator)
        token[ended] = 0
        ended |= token[:, 0] == 0
        x = torch.cat([x, token], 1)
    return [encoder.tokenizer.decode(row.tolist()) for row in x]


def told_by_the_world(program, texts):
    """Which of the texts the world could have told, every fact kept: one answer line each."""
    result = subprocess.run([program, "--read", *WIDE], input="\n\n".join(texts) + "\n", capture_output=True, text=True)
    return [line.split(": ", 1)[1] for line in result.stdout.splitlines()]


def fresh(program, seed, count, settings=()):
    """Stories with the places named in each, for the bag."""
    import re
    place = re.compile(r"(?:put|hid|left) the \w+ ((?:in|under|behind|on) the \w+)")
    stories = list(tell(program, seed, count, settings))
    for s in stories:
        s["places"] = [{"at": m.start(1), "value": m.group(1)} for m in place.finditer(s["text"])]
    return stories


def mentions(story):
    """Of each fact that never changes, where its value is told: (kind, [(byte offset, words of the answer), ...])."""
    told = defaultdict(list)
    for f in story["facts"]:
        if f["kind"] in STATIC or f["kind"] == "place":
            words = story["text"][f["at"]:f["at"] + f["length"]].count(" ") + 1
            told[f["kind"], f["key"]] = told[f["kind"], f["key"]] or [(f["said"], words)]
            told[f["kind"], f["key"]].append((f["at"], words))
    return [(kind, places) for (kind, _), places in told.items()]


@torch.no_grad()
def gaps(model, stories, encoder):
    """One value made a gap, in its first mention (every clue comes after) or its last (every clue comes before): the
    share of gaps whose every token is the most likely one. The GPT is asked too, and reads only what comes before."""
    asked = []
    for s in stories:
        at = {offset: i + 1 for i, offset in enumerate(encoder.offsets(s["text"]))}     # 0 is the start
        for kind, places in mentions(s):
            for side, (offset, words) in (("after", places[0]), ("before", places[-1])):
                asked.append((kind, side, encoder.ids(s["text"]), at[offset], words))
    right = []
    for i in range(0, len(asked), 64):
        right += fill(model, [row[2:] for row in asked[i:i + 64]])
    table = {}
    for kind in [*STATIC, "place"]:
        sides = {side: [ok for ok, row in zip(right, asked) if row[:2] == (kind, side)] for side in ("before", "after")}
        table[kind] = {side: {"n": len(v), "right": mean(v)} for side, v in sides.items()}
    return table


def fill(model, some):
    """Whether the model fills these gaps: (ids of the story, first token of the gap, tokens)."""
    is_bert = hasattr(model, "config")
    length = max(len(ids) for ids, _, _ in some) + 2
    pad, cls, sep, mask = range(model.config.pad_token_id, model.config.pad_token_id + 4) if is_bert else [0] * 4
    x = torch.full((len(some), length), pad)
    for row, (ids, first, words) in zip(x, some):
        row[0], row[len(ids) + 1] = cls, sep
        row[1:len(ids) + 1] = torch.tensor(ids)
        if is_bert:
            row[first:first + words] = mask
    best = model(x.to(on(model))).argmax(-1).cpu()
    shift = 0 if is_bert else 1
    return [best[j, first - shift:first - shift + words].tolist() == ids[first - 1:first - 1 + words]
            for j, (ids, first, words) in enumerate(some)]


def losses(model, program, encoder, seed=424243, count=500):
    """Loss and recall on stories of all kinds."""
    return loss_and_recall(model, fresh(program, seed, count), encoder)


def evaluate(model, program, encoder, samples, seed=424242, count=1000):
    natural = fresh(program, seed, count, ["--switches", "0"])
    if hasattr(model, "config"):
        return {"gaps": gaps(model, natural[:400], encoder)}
    result = losses(model, program, encoder)                    # on all kinds of stories; recall on natural ones
    result["recall"] = loss_and_recall(model, natural, encoder)["recall"]
    result["influence"] = influence(model, natural[:400], encoder)
    result["switch"] = silent_switch(model, encoder)
    result["context"] = context_table(model, natural, encoder)
    if samples:
        result["gaps"] = gaps(model, natural[:400], encoder)
        texts = sample(model, encoder, samples)
        result["samples"] = list(zip(texts, told_by_the_world(program, texts)))
    return result
