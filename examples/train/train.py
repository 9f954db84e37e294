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

import amp
import assistant
import curve
import data
import evaluate
import families
import tasks
import tiny
import translate

BUNDLED = Path(__file__).parent.parent / "models"
RATES = {"mlp": 4e-3, "rnn": 5e-4, "gru": 2e-3, "lstm": 2e-3, "gpt": 2e-3, "bert": 1e-3}
BIASED = [(1., 2000, [(1., "--girls-lead")])]       # what the biased BERT reads on: as data.PHASES
WARM, FLAT, FLOOR = 100, .5, .01    # steps of warm-up, constant to a share of the tokens, then half a cosine to a floor


def learning_rate(step, share):
    fall = .5 * (1 + math.cos(math.pi * max(0., share - FLAT) / (1 - FLAT)))
    return min(1, (step + 1) / WARM) * (FLOOR + (1 - FLOOR) * fall)


def next_token(model, batch):
    """The loss of every token, told those before it."""
    rows, lengths = batch
    beyond = torch.arange(rows.shape[1] - 1, device=rows.device) >= lengths
    targets = rows[:, 1:].masked_fill(beyond, -100)
    return F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), targets.flatten())


def masked(model, batch):
    """The loss of masked words, told those around them. Stories differ in how many; a gap may be longer than a word."""
    rows, lengths = batch
    rows = rows[:, :256]
    at = torch.arange(rows.shape[1], device=rows.device)
    pad, cls, sep, mask = range(model.config.pad_token_id, model.config.pad_token_id + 4)
    gap = torch.rand(rows.shape, device=rows.device) < torch.empty_like(lengths, dtype=torch.float).uniform_(.01, .2)
    for _ in range(2):
        gap[:, 1:] |= gap[:, :-1] & (torch.rand(rows.shape, device=rows.device) < .4)[:, 1:]
    gap &= (at > 0) & (at < lengths)
    targets = rows.masked_fill(~gap, -100)
    x = rows.masked_fill(gap, mask).masked_fill(at == 0, cls).masked_fill(at == lengths, sep)
    return F.cross_entropy(model(x.masked_fill(at > lengths, pad)).flatten(0, 1), targets.flatten())


def quick(model, stories, encoder):
    if isinstance(model, families.Bert):
        r = evaluate.gaps(model, stories, encoder)
        return " ".join(f"{kind} {row['before']['right']:.2f} {row['after']['right']:.2f}," for kind, row in r.items())
    r = evaluate.loss_and_recall(model, stories, encoder)
    near_far = " ".join(f"{kind} " + "/".join("--" if row[i]["right"] is None else f"{row[i]['right']:.2f}"
                                              for i in (1, 2, 3, 4)) for kind, row in r["recall"].items())
    lamp = " ".join(f"{v:.2f}" for v in evaluate.silent_switch(model, encoder, 100).values())
    return f"{r['bits_per_token']:.3f} (+{100 * r['above']:.1f} %) {near_far} | {lamp}"


def fit(model, steps, loss_of, rate, look, every):
    """AdamW over the steps, each (share of the tokens read so far, batch); `look` says how the model is doing. Returns
    the number of steps and the minutes they took."""
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW([{"params": [p for p in parameters if p.dim() > 1], "weight_decay": .01},
                                   {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.}],
                                  lr=1., betas=(.9, .98), fused=parameters[0].is_cuda)
    started = time.monotonic()
    looking = step = 0
    for share, batch in steps:
        for group in optimizer.param_groups:
            group["lr"] = rate * learning_rate(step, share)
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.)
        optimizer.step()
        step += 1
        if step % every == 0:
            since = time.monotonic()
            model.eval()
            print(f"{rate:g} step {step} {since - started - looking:.0f}s {share:.2f} {look(model)}", flush=True)
            model.train()
            looking += time.monotonic() - since
    if parameters[0].is_cuda:
        torch.cuda.synchronize()
    return step, (time.monotonic() - started - looking) / 60


def train(args, family, folder, rate, kind="", phases=data.PHASES, begin=None, change={}):
    """A model that is not one of the six has a `kind` of training, and for it another curriculum, another model to
    begin as (a folder), or changes of its config."""
    file = args.out / f"stories-{kind}{args.tokens:g}-{args.seed}.npz"
    corpus = data.Corpus.cached(args.stories, args.out / "tokenizer", args.tokens, args.seed, file,
                                phases).to(args.device)
    torch.manual_seed(args.seed)
    encoder = data.Encoder(folder)
    c = families.config(family, encoder.size) | change
    model = families.load(begin).train() if begin else families.build(c)
    if hasattr(model, "start") and not begin:
        model.start()
    model.to(args.device)
    check = evaluate.fresh(args.stories, 999001, 100)
    n_parameters, n_steps = sum(p.numel() for p in model.parameters()), len(corpus.steps)
    print(f"{family}: {n_parameters} parameters, rate {rate:g}, seed {args.seed}, {n_steps} steps", flush=True)
    steps = ((step / n_steps, corpus.rows(step)) for step in range(n_steps))
    _, minutes = fit(model, steps, masked if family == "bert" else next_token, rate,
                     lambda model: quick(model, check, encoder), args.every)
    families.save(model.eval(), c, folder)
    tokens = int(sum(corpus.lengths[first:last].sum() for first, last, _ in corpus.steps.tolist()))
    return {"family": family, "parameters": n_parameters, "rate": rate, "seed": args.seed, "tokens": tokens,
            "steps": n_steps, "minutes": minutes, "device": args.device}


def train_task(args, task, folder):
    """One of the small BERTs of tasks.py, which have a tokenizer and a recipe of their own."""
    rate, size, tokens = tasks.RECIPES[task]
    rate, tokens = args.rate or rate, args.tokens or tokens
    tasks.tokenizer(args.stories, folder)
    torch.manual_seed(args.seed)
    c = tasks.config(task, tasks.Words(folder).size)
    model = tasks.build(c)
    {"answer": families.start_answers, "grammar": families.start_grammar}.get(task, families.start_bert)(model)
    n_parameters = sum(p.numel() for p in model.parameters())
    print(f"{task}: {n_parameters} parameters, rate {rate:g}, seed {args.seed}, {tokens:g} tokens", flush=True)

    def look(model):
        families.save(model, c, folder)
        r = tasks.evaluate(task, model, args.stories, folder, 555001, 500)
        return " ".join(f"{k} {v['right']:.2f}," for k, v in [("all", r["all"]), *r.get("kinds", {}).items()])

    steps, minutes = fit(model, tasks.steps(task, args.stories, folder, args.seed, tokens, size), tasks.loss, rate,
                         look, args.every)
    families.save(model.eval(), c, folder)
    return {"task": task, "parameters": n_parameters, "rate": rate, "seed": args.seed, "tokens": tokens,
            "steps": steps, "minutes": minutes}


def train_translator(args, task, folder):
    """One of the encoder-decoders of translate.py."""
    rate, size, tokens = translate.RECIPES[task]
    rate, tokens = args.rate or rate, args.tokens or tokens
    translate.tokenizer(args.stories, folder)
    torch.manual_seed(args.seed)
    c = translate.config(task, translate.Words(folder).size)
    model = translate.build(c)
    n_parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{task}: {n_parameters} parameters, rate {rate:g}, seed {args.seed}, {tokens:g} tokens", flush=True)

    def look(model):
        translate.save(model, c, folder)
        r = translate.evaluate(model, args.stories, folder, 555001, 50)
        return " ".join(f"{length} {v['sentences']:.2f}/{v['words']:.2f}," for length, v in r.items())

    steps, minutes = fit(model, translate.steps(args.stories, folder, args.seed, tokens, size), translate.loss, rate,
                         look, args.every)
    translate.save(model.eval(), c, folder)
    return {"task": task, "parameters": n_parameters, "rate": rate, "seed": args.seed, "tokens": tokens,
            "steps": steps, "minutes": minutes}


def train_assistant(args, folder):
    """The assistant of assistant.py, which begins as the bundled GPT."""
    rate, tokens = args.rate or assistant.RATE, args.tokens or assistant.TOKENS
    assistant.tokenizer(args.stories, folder)
    words = assistant.Words(folder)
    torch.manual_seed(args.seed)
    c = assistant.config(words.size)
    model = families.build(c)
    phases, before = assistant.PHASES, {}
    if args.further:
        model.load_state_dict(families.load(args.further / "assistant").state_dict())
        phases, before = assistant.FURTHER, {"before": json.loads((args.further / "assistant.json").read_text())}
    else:
        assistant.start(model, words, BUNDLED / "gpt")
    n_parameters = sum(p.numel() for p in model.parameters())
    print(f"assistant: {n_parameters} parameters, rate {rate:g}, seed {args.seed}, {tokens:g} tokens", flush=True)

    def look(model):
        assistant.save(model, c, folder)
        r = assistant.evaluate(model, args.stories, words, 555001, 60)
        return " ".join(f"{k} {v['right']:.2f}," for k, v in [("all", r["all"]), *r["kinds"].items()])

    steps, minutes = fit(model, assistant.steps(args.stories, words, args.seed, tokens, phases), assistant.loss, rate,
                         look, args.every)
    assistant.save(model.eval(), c, folder)
    return {"task": "assistant", "parameters": n_parameters, "rate": rate, "seed": args.seed, "tokens": tokens,
            "steps": steps, "minutes": minutes, "phases": phases} | before


def train_curve(args):
    """The GPTs of curve.py, one after the other; those that were trained before are left alone."""
    found = []
    for width, tokens in curve.RUNS:
        folder = args.out / "curve" / f"{width}-{tokens:g}"
        file = folder.with_suffix(".json")
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            copy_tokenizer(args.out / "tokenizer", folder)
            args.tokens = tokens
            r = train(args, "gpt", folder, args.rate or curve.rate(width), "curve-", curve.PHASES,
                      change={"n_embd": width})
            r |= evaluate.losses(families.load(folder), args.stories, data.Encoder(folder))
            file.write_text(json.dumps({"width": width} | r, indent=1) + "\n")
            print(f"{width} {tokens:g}: {r['bits_per_token']:.4f} (+{100 * r['above']:.1f} %)", flush=True)
        found.append(json.loads(file.read_text()))
    model = families.load(BUNDLED / "gpt")
    return found + [{"width": curve.WIDTH, "parameters": sum(p.numel() for p in model.parameters()),
                     "rate": RATES["gpt"], "tokens": curve.BUNDLED_TOKENS, "bundled": True}
                    | evaluate.losses(model, args.stories, data.Encoder(BUNDLED / "gpt"))]


def train_biased(args, folder):
    """The bundled BERT reads on, in stories in which only girls lead."""
    folder.mkdir(parents=True, exist_ok=True)
    copy_tokenizer(BUNDLED / "bert", folder)
    args.tokens = args.tokens or 1e6
    trained = train(args, "bert", folder, args.rate or 5e-4, "girls-", BIASED, BUNDLED / "bert")
    return trained | evaluate.evaluate(families.load(folder), args.stories, data.Encoder(folder), 0)


def copy_tokenizer(source, folder):
    for part in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / part, folder / part)


def take_tokenizer(args):
    """Puts into OUT/tokenizer what all families share."""
    folder = args.out / "tokenizer"
    if args.tokenizer:
        data.learn_tokenizer(args.stories, folder)
    elif not folder.exists():
        folder.mkdir(parents=True)
        copy_tokenizer(BUNDLED / "gpt", folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("families", nargs="*", default=["mlp", "rnn", "gru", "lstm", "gpt", "bert"],
                        help=f"and {', '.join([*tasks.RECIPES, *translate.RECIPES])}, assistant, amp, curve, "
                             f"bert_biased, {', '.join(tiny.UPDATES)}")
    parser.add_argument("--stories", default="build/examples/stories", help="the generator's program")
    parser.add_argument("--amp", default="build/examples/amp", help="the program with the guitar and the circuit")
    parser.add_argument("--out", type=Path, default=Path("examples/models"))
    parser.add_argument("--tokenizer", action="store_true", help="learn a tokenizer instead of taking the bundled one")
    parser.add_argument("--corpus", action="store_true", help="only tell and encode the stories")
    parser.add_argument("--tokens", type=float, help="8e6 if not given; the tasks have their own")
    parser.add_argument("--rate", type=float, help="learning rate instead of the family's own")
    parser.add_argument("--evaluate", action="store_true", help="only evaluate what was trained")
    parser.add_argument("--trial", action="store_true", help="only try a learning rate: results go to OUT/rates")
    parser.add_argument("--further", type=Path, help="the assistant goes on from the one in this folder of results")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1000, help="steps between two looks at the model")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    args.out.mkdir(parents=True, exist_ok=True)
    for task in [name for name in args.families if name in tasks.RECIPES or name in translate.RECIPES]:
        args.families.remove(task)
        folder, file = args.out / task, args.out / f"{task}.json"
        if not args.evaluate:
            trained = (train_task if task in tasks.RECIPES else train_translator)(args, task, folder)
            file.write_text(json.dumps(trained, indent=1) + "\n")
        result = json.loads(file.read_text())
        if task in tasks.RECIPES:
            result |= tasks.evaluate(task, tasks.load(folder), args.stories, folder)
        else:
            result["lengths"] = translate.evaluate(translate.load(folder), args.stories, folder)
        file.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result), flush=True)
    if "amp" in args.families:
        args.families.remove("amp")
        folder, file = args.out / "amp", args.out / "amp.json"
        if not args.evaluate:
            file.write_text(json.dumps(amp.train(args, folder), indent=1) + "\n")
        result = json.loads(file.read_text()) | amp.evaluate(amp.load(folder), args.amp)
        file.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result), flush=True)
    if "assistant" in args.families:
        args.families.remove("assistant")
        folder, file = args.out / "assistant", args.out / "assistant.json"
        if not args.evaluate:
            file.write_text(json.dumps(train_assistant(args, folder), indent=1) + "\n")
        model, words = families.load(folder), assistant.Words(folder)
        result = json.loads(file.read_text()) | assistant.evaluate(model, args.stories, words)
        result["long"] = assistant.evaluate(model, args.stories, words, settings="")
        file.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result), flush=True)
    for name in [name for name in args.families if name in tiny.UPDATES]:
        args.families.remove(name)
        program = Path(args.stories).with_name(name)
        trained = tiny.train(name, program, args.seed, args.out / name, args.every)
        (args.out / f"{name}.json").write_text(json.dumps(trained, indent=1) + "\n")
    if not args.families:
        return
    take_tokenizer(args)
    if "bert_biased" in args.families:
        args.families.remove("bert_biased")
        trained = train_biased(args, args.out / "bert_biased")
        (args.out / "bert_biased.json").write_text(json.dumps(trained, indent=1) + "\n")
    if "curve" in args.families:
        args.families.remove("curve")
        (args.out / "curve.json").write_text(json.dumps(train_curve(args), indent=1) + "\n")
    args.tokens = args.tokens or 8e6
    if args.corpus:
        data.Corpus.cached(args.stories, args.out / "tokenizer", args.tokens, args.seed,
                           args.out / f"stories-{args.tokens:g}-{args.seed}.npz")
        return
    for family in args.families:
        rate = args.rate or RATES[family]
        name = f"rates/{family}-{rate:g}" if args.trial else family
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        if family == "bert":
            data.bert_tokenizer(folder, args.out / "tokenizer")
        else:
            copy_tokenizer(args.out / "tokenizer", folder)
        file = args.out / f"{name}.json"
        if not args.evaluate:
            file.write_text(json.dumps(train(args, family, folder, rate), indent=1) + "\n")
        result = json.loads(file.read_text())
        encoder, model = data.Encoder(folder), families.load(folder).to(args.device)
        torch.set_float32_matmul_precision("highest")
        result.update(evaluate.evaluate(model, args.stories, encoder, 40 if family == "gpt" else 0))
        file.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps({k: v for k, v in result.items() if k not in ("samples", "recall")}), flush=True)


if __name__ == "__main__":
    main()
