"""Trains the bundled models: `train.py --help`, and README.md beside this file."""
import argparse
import json
import math
import shutil
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import data
import evaluate
import families

RATES = {"mlp": 2e-3, "rnn": 1.5e-3, "gru": 4e-3, "lstm": 3e-3, "gpt": 1.5e-3}


# Warm-up over so many steps, constant to a share of the tokens, then half a cosine down to a floor.
FIRST = {"rate": 1., "warm": 50, "flat": .5, "floor": .02, "seed": 5}
SECOND = {"rate": .8, "warm": 100, "flat": 0., "floor": .01, "seed": 77}


def learning_rate(r, step, share):
    fall = .5 * (1 + math.cos(math.pi * max(0., share - r["flat"]) / (1 - r["flat"])))
    return r["rate"] * min(1, (step + 1) / r["warm"]) * (r["floor"] + (1 - r["floor"]) * fall)


def quick(model, stories, encoder):
    r = evaluate.loss_and_recall(model, stories, encoder)
    near_far = " ".join(f"{kind} " + "/".join("--" if row[i]["right"] is None else f"{row[i]['right']:.2f}"
                                              for i in (1, 2, 3, 4)) for kind, row in r["recall"].items())
    return f"{r['bits_per_token']:.3f} (+{100 * r['above']:.1f} %) {near_far}"


def train(args, family, folder):
    torch.manual_seed(args.seed)
    encoder = data.Encoder(folder)
    recipe, phases = (SECOND, data.SECOND_ROUND) if args.more else (FIRST, data.PHASES[family])
    c = families.config(family, encoder.size)
    model = families.load(folder).train() if args.more else families.build(c)
    if args.more and hasattr(model, "unfold"):
        model.unfold()
    elif not args.more and hasattr(model, "start"):
        model.start()
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW([{"params": [p for p in parameters if p.dim() > 1], "weight_decay": .01},
                                   {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.}],
                                  lr=1., betas=(.9, .98))
    check = evaluate.fresh(args.stories, 999001, 100)
    top = args.rate or RATES[family]
    print(f"{family}: {sum(p.numel() for p in parameters)} parameters, rate {top}, seed {args.seed}", flush=True)
    started = time.process_time()       # the machine may be busy with other things
    looking = 0.0
    seen = step = 0
    for share, x, y in data.batches(args.stories, encoder, args.tokens, recipe["seed"] + args.seed, phases):
        for group in optimizer.param_groups:
            group["lr"] = top * learning_rate(recipe, step, share)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.)
        optimizer.step()
        seen += int((y >= 0).sum())
        step += 1
        if step % args.every == 0:
            since = time.process_time()
            model.eval()
            print(f"{family} step {step} tokens {seen / 1e6:.2f}M {since - started - looking:.0f}s "
                  f"{quick(model, check, encoder)}", flush=True)
            model.train()
            looking += time.process_time() - since
    families.save(model.eval(), c, folder)
    return {"family": family, "parameters": sum(p.numel() for p in parameters), "rate": top, "seed": args.seed,
            "tokens": seen, "steps": step, "minutes": (time.process_time() - started - looking) / 60}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("families", nargs="*", default=["mlp", "rnn", "gru", "lstm", "gpt"])
    parser.add_argument("--stories", default="build/examples/stories", help="the generator's program")
    parser.add_argument("--out", type=Path, default=Path("examples/models"))
    parser.add_argument("--tokenizer", action="store_true", help="learn the tokenizer first")
    parser.add_argument("--tokens", type=float, default=8e6)
    parser.add_argument("--rate", type=float, help="learning rate instead of the family's own")
    parser.add_argument("--train", action="store_true", help="train, and leave the evaluation for later")
    parser.add_argument("--more", action="store_true", help="a second round: train what is in OUT further")
    parser.add_argument("--evaluate", action="store_true", help="only evaluate what was trained")
    parser.add_argument("--trial", action="store_true", help="only try a learning rate: results go to OUT/rates")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1000, help="steps between two looks at the model")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.tokenizer:
        data.learn_tokenizer(args.stories, args.out / "tokenizer")
    for family in args.families:
        name = f"rates/{family}-{args.rate or RATES[family]:g}" if args.trial else family
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        for part in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(args.out / "tokenizer" / part, folder / part)
        file = args.out / f"{name}.json"
        if not args.evaluate:
            before = json.loads(file.read_text()) if args.more else {}
            result = train(args, family, folder)
            for key in ("tokens", "steps", "minutes"):
                result[key] += before.get(key, 0)
            file.write_text(json.dumps(result, indent=1) + "\n")
        if args.train:
            continue
        result = json.loads(file.read_text())
        encoder, model = data.Encoder(folder), families.load(folder)
        if args.trial:
            result.update(evaluate.loss_and_recall(model, evaluate.fresh(args.stories, 555, 400), encoder))
        else:
            result.update(evaluate.evaluate(model, args.stories, encoder, 40 if family == "gpt" else 0))
        file.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps({k: v for k, v in result.items() if k not in ("samples", "recall")}), flush=True)


if __name__ == "__main__":
    main()
