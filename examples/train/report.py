"""Writes log.md from the results that train.py left: `report.py OUT [OUT_OF_ANOTHER_SEED ...] > log.md`.

The first folder holds the bundled models; the others hold the same of another seed, and OUT/rates/*.json the trials."""
import json
import sys
from pathlib import Path

import amp
import assistant
import curve
import data
import tasks
import tiny
import train
import translate
from evaluate import BINS, PRESSES, STATIC

FAMILIES = ["mlp", "rnn", "gru", "lstm", "gpt"]
CHANCE = {"time": 1 / 2, "news": 1 / 2, "leader": 1 / 2, "team": 1 / 3, "pet": 1 / 4, "door": 1 / 2, "lamp": 1 / 2,
          "apples": 1 / 6, "place": 1 / 16}
COLUMNS = [f"{low}-{high}" for low, high in BINS]


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |")


def head(*cells):
    row(*cells)
    row(*["---"] * len(cells))


def share(cell, key="right"):
    """A rate of right answers, as .97; a dash where fewer than ten were asked."""
    return "-" if cell["n"] < 10 else f"{cell[key]:.2f}"


def read(folder):
    """The results of the five families of a seed, and those of its BERT, as far as they are there."""
    found = {f: json.loads((folder / f"{f}.json").read_text()) for f in [*FAMILIES, "bert"]
             if (folder / f"{f}.json").exists()}
    return found, found.pop("bert", None)


def settings(runs, bert):
    print("## Settings\n\nThe curriculum, and the stories in their order, are the same for every family. Share of the "
          "tokens, tokens a step, then\nthe kinds of stories: their share of these tokens and the settings of the "
          "generator.\n")
    for part, size, kinds in data.PHASES:
        print(f"- {100 * part:.0f} %, {size} tokens a step")
        for share_of_phase, options in kinds:
            print(f"    - {100 * share_of_phase:.0f} %: `{options or 'natural (the defaults)'}`")
    print(f"\n{100 * data.CROPS:.0f} % of the stories start in the middle. AdamW (.9, .98), weight decay .01, clip 1, "
          f"{train.WARM} steps of warm-up, constant rate to\n{100 * train.FLAT:.0f} % of the steps, then half a cosine "
          "to a hundredth. Seed of start values and stories: "
          + ", ".join(f"{f} {r['seed']}" for f, r in [*runs.items(), ("bert", bert)]) + ".")


def losses(runs):
    print("\n## Loss beside the entropy\n")
    first = next(iter(runs.values()))
    print(f"Fresh stories (a seed that training never used), {first['tokens_read']} tokens. Their exact entropy is "
          f"{first['exact_per_token']:.4f} bits a token, {first['exact_per_byte']:.4f} bits a byte.\nThe minutes are "
          "of one GPU that trained all families and seeds side by side.\n")
    head("family", "parameters", "rate", "tokens", "steps", "minutes", "bits/token", "bits/byte", "above the entropy")
    for family, r in runs.items():
        row(family, r["parameters"], r["rate"], f"{r['tokens'] / 1e6:.2f} M", r["steps"], f"{r['minutes']:.1f}",
            f"{r['bits_per_token']:.4f}", f"{r['bits_per_byte']:.4f}", f"{100 * r['above']:.1f} %")


def recall(runs):
    print("\n## Recall by distance\n\nShare of answers whose every token is the most likely one, by the distance in "
          "tokens from the latest mention of the value.\nFor a place, `bag` is the chance of a guess among the places "
          "this story has named.\n")
    head("fact", "chance", "family", *COLUMNS, "100 and more")
    for kind, chance in CHANCE.items():
        for family, r in runs.items():
            row(kind, f"{chance:.2f}", family, *[share(c) for c in r["recall"][kind]])
        if kind == "place":
            r = next(iter(runs.values()))
            row(kind, "", "bag", *[share(c, "bag") for c in r["recall"][kind]])


def influence(runs):
    print("\n## Influence of the token k back\n\nMean absolute change of the log probability of what follows when the "
          "token k back is replaced by a random one.\n")
    ranges = list(next(iter(runs.values()))["influence"])
    head("family", *ranges)
    for family, r in runs.items():
        row(family, *[f"{r['influence'][k]:.4f}" if r["influence"][k] else "0" for k in ranges])
    print("\nBits a token from token 201 of a story on, when only the last c tokens are given:\n")
    contexts = list(next(iter(runs.values()))["context"])
    head("family", *contexts)
    for family, r in runs.items():
        row(family, *[f"{r['context'][c]:.2f}" for c in contexts])


def switch(runs):
    print("\n## The silent switch\n\nA lamp whose switch is pressed n times without a word on what it did; is it on or "
          "off? Chance is .5. In the stories of\nthe training the switch is rarely pressed more than ten times between "
          "two looks at the lamp.\n")
    head("family", *[f"n = {n}" for n in PRESSES])
    for family, r in runs.items():
        row(family, *[f"{r['switch'][str(n)]:.2f}" for n in PRESSES])
    for n in (10, PRESSES[-1]):         # .1 is more than three standard deviations of 300 guesses
        better = sorted((f for f in runs if runs[f]["switch"][str(n)] > .6), key=lambda f: -runs[f]["switch"][str(n)])
        print(f"\n{n} presses: better than a guess, best first: {', '.join(better) or 'no family'}.")


def gaps(runs, bert):
    print("\n## Gaps\n\nOne value of a fresh story is made a gap: at its last mention, where every clue comes "
          "before, or at its first, where every\nclue comes after. Share of gaps whose every token is the most likely "
          "one. BERT reads both sides; the GPT only what stands\nbefore the gap, so that it can but guess at a first "
          "mention (and cannot know that a sentence will name the leader).\nA place is three tokens, filled at once.\n")
    head("fact", "chance", "bert, clue before", "bert, clue after", "gpt, clue before", "gpt, clue after")
    for kind in [*STATIC, "place"]:
        row(kind, f"{CHANCE[kind]:.2f}",
            *[f"{r['gaps'][kind][side]['right']:.2f}" for r in (bert, runs["gpt"]) for side in ("before", "after")])
    print(f"\nBERT: {bert['parameters']} parameters, rate {bert['rate']}, {bert['tokens'] / 1e6:.2f} M tokens, "
          f"{bert['steps']} steps.")


def static_rows(r, bins):
    return [(kind, r["recall"][kind][b]) for kind in STATIC for b in bins if r["recall"][kind][b]["n"] >= 10]


def aims(runs):
    """What the bundled models are held to, with the figure that decides, and whether it is met."""
    lines = []

    def check(what, figure, met):
        lines.append((what, figure, met))

    for family, most in (("gpt", .10), ("gru", .30), ("lstm", .35), ("mlp", .65), ("rnn", .65)):
        above = runs[family]["above"]
        check(f"{family} at most {100 * most:.0f} % above the entropy", f"{100 * above:.1f} %", above <= most)
    worst = min(static_rows(runs["gpt"], range(6)), key=lambda c: c[1]["right"])
    check("gpt: facts of the whole story at least .97 at every distance", f"{worst[1]['right']:.3f} ({worst[0]})",
          worst[1]["right"] >= .97)
    for family, b, what in (("gru", 4, "gru: the same at least .80 at 65-128"),
                            ("lstm", 1, "lstm: the same at least .80 at 9-16")):
        worst = min(static_rows(runs[family], [b]), key=lambda c: c[1]["right"])
        check(what, f"{worst[1]['right']:.2f} ({worst[0]})", worst[1]["right"] >= .80)
    near, far = (sum(c["right"] for _, c in static_rows(runs["lstm"], [b])) / 5 for b in (1, 4))
    check("lstm: clearly lower at 65-128 than at 9-16", f"{near:.2f} to {far:.2f} on average", far < near - .05)
    for family in ("rnn", "mlp"):
        worst = max(static_rows(runs[family], range(2, 5)), key=lambda c: abs(c[1]["right"] - CHANCE[c[0]]))
        off = worst[1]["right"] - CHANCE[worst[0]]
        check(f"{family}: within .12 of chance from 17 tokens on", f"{off:+.2f} ({worst[0]})", abs(off) <= .12)
    gpt, lstm = (runs[f]["recall"]["place"][6]["right"] for f in ("gpt", "lstm"))
    check("gpt: places at 100 and more tokens at least .75", f"{gpt:.2f}", gpt >= .75)
    check("... and at least .4 above the lstm", f"{gpt - lstm:.2f}", gpt - lstm >= .4)
    beyond = max(v for k, v in runs["mlp"]["influence"].items() if int(k.split("-")[0]) > 16)
    check("mlp: no influence beyond its window", f"{beyond:g}", beyond == 0)
    beyond = max(v for k, v in runs["rnn"]["influence"].items() if int(k.split("-")[0]) > 32)
    check("rnn: influence below .001 beyond 32 tokens", f"{beyond:.4f}", beyond < .001)
    for family in ("gru", "lstm"):
        v = runs[family]["influence"]["97-128"]
        check(f"{family}: influence above .005 at 100 tokens", f"{v:.4f}", v > .005)
    kept = sum("bits" in verdict for _, verdict in runs["gpt"]["samples"][:20])
    check("gpt: at least fifteen of twenty sampled stories coherent (read by the generator, which forgives nothing)",
          f"{kept}", kept >= 15)
    return lines


def thresholds(runs):
    print("\n## Thresholds\n")
    head("what is asked", "measured", "met")
    for what, figure, met in aims(runs):
        row(what, figure, "yes" if met else "**no**")


def samples(runs):
    told = runs["gpt"]["samples"]
    possible = [sum("bits" in verdict for _, verdict in some) for some in (told[:20], told)]
    print("\n## Twenty stories by the GPT\n\nSampled at temperature 0.8 from the start token. In brackets what the "
          "generator says when it reads them back: the bits of a story\nthat keeps every fact it told, or the words up "
          f"to which it does. {possible[0]} of these twenty keep all; {possible[1]} of the first {len(told)}.\n")
    for i, (text, verdict) in enumerate(told[:20], 1):
        if "after '" in verdict:
            verdict = "not after '..." + verdict[-40:]
        print(f"{i}. {text} [{verdict}]")


def trials(rates):
    print("\n## Learning rates tried\n\nShorter runs of the same curriculum, and two of full length; on the same fresh "
          "stories. For BERT, places with the clue before and after.\n")
    head("family", "tokens", "rate", "bits/token", "above the entropy", "places", "switch n = 1, 2, 10")
    for r in sorted(rates, key=lambda r: ([*FAMILIES, "bert"].index(r["family"]), r["tokens"], r["rate"])):
        tokens = f"{r['tokens'] / 1e6:.1f} M"
        if r["family"] == "bert":
            row("bert", tokens, r["rate"], "", "", places(r), "")
        else:
            row(r["family"], tokens, r["rate"], f"{r['bits_per_token']:.4f}", f"{100 * r['above']:.1f} %",
                share(r["recall"]["place"][6]), ", ".join(f"{r['switch'][n]:.2f}" for n in ("1", "2", "10")))


def places(bert):
    return ", ".join(f"{bert['gaps']['place'][side]['right']:.2f}" for side in ("before", "after"))


def seeds(all_runs):
    print("\n## Seeds\n\nThe same recipe with other start values and other stories. Facts of the whole story: the mean "
          "of the five kinds.\nA place: 100 and more tokens after it was said.\n")
    head("family", "seed", "above the entropy", "facts at 9-16, 65-128", "place", "switch n = 2, 10, 30",
         "influence at 33-48, 97-128")
    for family in FAMILIES:
        for r in sorted((runs[family] for runs, _ in all_runs if family in runs), key=lambda r: r["seed"]):
            row(family, r["seed"], f"{100 * r['above']:.1f} %",
                ", ".join(f"{sum(c['right'] for _, c in static_rows(r, [b])) / 5:.2f}" for b in (1, 4)),
                share(r["recall"]["place"][6]), ", ".join(f"{r['switch'][n]:.2f}" for n in ("2", "10", "30")),
                ", ".join(f"{r['influence'][k]:.4f}" for k in ("33-48", "97-128")))
    berts = {bert["seed"]: places(bert) for _, bert in all_runs if bert}
    print("\nBERT, places with the clue before and after, by seed: "
          + "; ".join(f"{seed}: {berts[seed]}" for seed in sorted(berts)) + ".\n")
    for runs, _ in all_runs:
        if len(runs) == len(FAMILIES):
            missed = [what for what, _, met in aims(runs) if not met]
            print(f"Seed {runs['gpt']['seed']} misses {len(missed)} of the {len(aims(runs))} thresholds: "
                  f"{'; '.join(missed)}.\n")


def right(cell):
    return "-" if cell["n"] < 10 else f"{cell['right']:.3f} ({cell['n']})"


def side_by_side(first, columns):
    """A table of one row: names, and right answers with how many were asked."""
    head(first, *columns)
    row("", *[right(c) for c in columns.values()])
    print()


def understanding(found):
    """The small BERTs of tasks.py: {task: results}."""
    print("\n## Small BERTs that understand stories\n\nEvery label comes from the generator (`stories --json`). Stories: "
          f"`{tasks.WORLD}`\n")
    for name, phases in (("mood, kind, grammar, tag", tasks.PHASES), ("answer", tasks.ANSWER_PHASES)):
        print(f"- {name}, share of the tokens: "
              + "; ".join(f"{100 * part:.0f} % `{o.replace(tasks.WORLD, '...')}`" for part, o in phases))
    print(f"\nA text is a whole story (two in ten), or 1 to 6 (five in ten) or 1 to 16 of its sentences. In {100 * tasks.RENAMED:.0f} % "
          "of the\ntexts half of the people and things have invented names. Measured on fresh stories of the last kind. The "
          "minutes are\nthose of a core shared with other work. In brackets: how many were asked.\n")
    head("model", "parameters", "rate", "tokens", "minutes", "right", "a guess", "with invented names")
    guess = {"mood": "1/3", "kind": "1/10", "grammar": "1/2"}
    for task, r in found.items():
        row(task, r["parameters"], r["rate"], f"{r['tokens'] / 1e6:.0f} M", f"{r['minutes']:.0f}", right(r["all"]),
            guess.get(task, "-"), right(r["renamed"]))
    if "mood" in found:
        print("\n**mood**: whether more sentences are glad (good news, happy, proud) or sad (bad news, sad, afraid); neutral "
              "if as many\nare one as the other. By the difference, and by the sentences of the text:\n")
        side_by_side("difference", found["mood"]["margin"])
        side_by_side("sentences", found["mood"]["sentences"])
    if "kind" in found:
        print("**kind**: the kind of fact that most sentences are about. Texts without a clear winner are left out.\n")
        side_by_side("kind", found["kind"]["labels"])
        side_by_side("sentences", found["kind"]["sentences"])
    if "grammar" in found:
        print("**grammar**: shuffled texts have sentences with their words in another order (in three of ten two neighbours "
              "changed\nplaces), the full stop at its place; in half of them it is one sentence. By the number of shuffled "
              "sentences:\n")
        side_by_side("shuffled", found["grammar"]["shuffled"])
        side_by_side("sentences", found["grammar"]["sentences"])
    if "tag" in found:
        print("**tag**: whole names, first and last word right. Right above are texts without a mistake.\n")
        head("entity", "names", "precision", "recall", "F1")
        for entity, c in found["tag"]["names"].items():
            row(entity, c["n"], *[f"{c[k]:.4f}" for k in ("precision", "recall", "f1")])
        print()
        side_by_side("sentences", found["tag"]["sentences"])
    if "answer" in found:
        a = found["answer"]
        print(f"**answer**: the same words as the generator's answer. At the very place where it was said last: {right(a['same place'])}; F1 "
              f"of the tokens:\n{a['f1']:.3f}. A guess among the places that a text names is right in {a['bag']:.2f} of the "
              "questions `where`. None: the text has no answer.\n")
        side_by_side("question", a["kinds"])
        print("By the distance in tokens from the beginning of the input (all questions with an answer; `where` alone), "
              "and `where` by\nhow often the text says that the object was put somewhere: the last place counts.\n")
        side_by_side("distance", a["distance"])
        side_by_side("distance, where", a["distance of where"])
        side_by_side("put", a["moves"])


def translation(found):
    """The encoder-decoders of translate.py: {seed: {name: results}}, the bundled ones first."""
    first = next(iter(found.values()))
    print("\n## Networks that translate\n\nFrom English into Sori: sentences of the stories and their only right "
          f"translations, from `stories {translate.WORLD}`.\nEnglish sentences have up to {translate.LONGEST} words (with the "
          "full stop); the last column has longer ones than any in training. Share of\nthe tokens: "
          + "; ".join(f"{100 * part:.0f} % `...{o}`" for part, o in translate.PHASES)
          + ".\nThe minutes are those of a core shared with other work.\n")
    head("model", "seed", "parameters", "rate", "tokens", "steps", "minutes")
    for seed, results in found.items():
        for name, r in results.items():
            row(name, seed, r["parameters"], r["rate"], f"{r['tokens'] / 1e6:g} M", r["steps"], f"{r['minutes']:.0f}")
    n = next(iter(first.values()))["lengths"]
    for key, what in (("sentences", "sentences without a mistake"), ("words", "right words, place by place")):
        print(f"\nShare of {what}, by the words of the English sentence, {next(iter(n.values()))['n']} of each length; "
              "always the likeliest next word:\n")
        head("model", "seed", *n)
        for seed, results in found.items():
            for name, r in results.items():
                row(name, seed, *[f"{cell[key]:.3f}" for cell in r["lengths"].values()])


def conversations(r):
    """The assistant of assistant.py."""
    print("\n## The assistant\n\nConversations about stories, in which every answer is the only right one (`stories --talk`). "
          "The network begins as the bundled\nGPT with one more layer, and only the words of the assistant count. Share of the "
          "tokens, tokens a step, then the kinds of\nstories:\n")
    runs = [r]
    while "phases" in runs[0].get("before", {}):
        runs.insert(0, runs[0]["before"])
    for run in runs:
        if run is not runs[0]:
            print("\nThen, from there:\n")
        for part, size, kinds in run["phases"]:
            print(f"- {100 * part:.0f} %, {size} tokens a step: "
                  + "; ".join(f"{100 * share_of_phase:.0f} % `{o}`" for share_of_phase, o in kinds))
        print(f"\n{run['parameters']} parameters, rate {run['rate']:g}, seed {run['seed']}, {run['tokens'] / 1e6:g} M tokens, "
              f"{run['steps']} steps, {run['minutes']:.0f} minutes of a core shared\nwith other work.")
        if run is not r:
            print("Right answers at this point: " + ", ".join(f"{k} {v['right']:.3f}" for k, v in
                  [("all", run["all"]), *run["kinds"].items()]) + ".")
    print("\nAn answer is right if every word of it is, always the likeliest next one. In brackets: how many were asked.\n")
    for what, settings, found in (("Fresh conversations", assistant.MEASURED, r),
                                  ("About the long stories of the other models", "", r["long"])):
        print(f"**{what}** (`{f'stories --talk {settings}'.strip()}`): {right(found['all'])} of the answers are right.\n")
        kinds = list(found["kinds"].items())
        for some in (kinds[:10], kinds[10:]):
            side_by_side("question", dict(some))
        side_by_side("where is it, by distance in words", found["distance of where"])
        side_by_side("where was it before, by distance", found["distance of before"])


def scale(found):
    """The GPTs of curve.py, and the bundled one."""
    print("\n## Parameters and data\n\nThe bundled GPT again in other widths, and with less to read; `../plots/scale.svg` draws "
          "both tables. The curriculum is that of\n`data.py` with a quarter of the tokens a step, seed "
          f"{found[0]['seed']}; each training is complete. Measured on the stories of \"Loss beside the\nentropy\", weights as "
          "bfloat16. One training each: one throw of the dice.\n")
    *trained, box = found
    data_curve = sorted((r for r in trained if r["width"] == curve.WIDTH), key=lambda r: r["tokens"]) + [box]
    for some in (trained[:len(curve.WIDTHS)], data_curve):
        head("width", "parameters", "rate", "tokens", "steps", "minutes", "places", "bits/token", "above the entropy")
        for r in some:
            row(r["width"], r["parameters"], f"{r['rate']:g}", f"{r['tokens'] / 1e6:.2f} M", r.get("steps", "-"),
                f"{r['minutes']:.1f}" if "minutes" in r else "in the box", share(r["recall"]["place"][4]),
                f"{r['bits_per_token']:.4f}", f"{100 * r['above']:.1f} %")
        print()
    print("Places: right answers 65 to 128 tokens after an object was put there. The minutes are those of a core shared "
          "with much other work.\nTrials with 1 M tokens, above the entropy: width 32 75.7, 53.6, 40.1 % with the rates "
          "2e-3, 4e-3, 8e-3; width 128 15.5, 11.4,\n10.6 % with 1e-3, 2e-3, 4e-3. Hence a rate inversely proportional to "
          "the width. Width 256 with 2e-3 and all 3 M tokens: 7.9 %.")


def biased(r):
    print(f"\n## The biased twin\n\nThe bundled BERT read {r['tokens'] / 1e6:.2f} M more tokens, of `stories "
          f"{train.BIASED[0][2][0][1]}`: {r['steps']} steps of {train.BIASED[0][1]} tokens, rate\n{r['rate']:g}, seed {r['seed']}, "
          f"{r['minutes']:.1f} minutes of a core shared with other work. `bias` says what became of its leaders. Its gaps\nin "
          "stories of both kinds, as in \"Gaps\":\n")
    head("clue", *r["gaps"])
    for side in ("before", "after"):
        row(side, *[share(c[side]) for c in r["gaps"].values()])


def without_text(found):
    print("\n## Three networks without a text\n\nThey learned from what their programs tell (`spiral --data`, and so on), with "
          "Adam and half a cosine. Parameters of\n`vowels` are those of the recurrent network; the MLP beside it has 1156.\n")
    head("network", "parameters", "corrections", "rate", "seed", "minutes")
    for name, r in found.items():
        row(name, r["parameters"], r["updates"], f"{r['rate']:g}", r["seed"], f"{r['minutes']:.1f}")


def others(out):
    """The sections of what else lies in this folder."""
    for name, section in (("curve", scale), ("bert_biased", biased)):
        if (out / f"{name}.json").exists():
            section(json.loads((out / f"{name}.json").read_text()))
    tiny_ones = {name: json.loads((out / f"{name}.json").read_text()) for name in tiny.UPDATES
                 if (out / f"{name}.json").exists()}
    if tiny_ones:
        without_text(tiny_ones)


def amplifier(r):
    """The LSTM of amp.py."""
    print("\n## The amplifier\n\nThe error is a share of the energy of what the circuit gives: sum (d - y)^2 / sum d^2. Songs of "
          f"20 seconds that training never\nheard, at {amp.RATE} samples a second.\n")
    head("what", *[f"song {song}" for song in amp.HELD_OUT])
    for what, errors in ((f"the best linear filter, {amp.TAPS} taps: it remembers, and cannot bend", r["filter"]),
                         (f"the best curve, {amp.BINS} points: it bends, and cannot remember", r["curve"]),
                         *((f"LSTM with {amp.HIDDEN} units" + f", input times {gain}" * (gain != "1.0"), errors)
                           for gain, errors in r["network"].items())):
        row(what, *[f"{100 * e:.3g} %" for e in errors])
    print(f"\nFilter and curve are those with the least squared error on the songs that the network learned from.\n"
          f"{r['parameters']} parameters, as float32. {r['updates']} corrections after {amp.STEPS} samples of "
          f"{amp.ROWS} pieces each, cut from\n{r['seconds']:.0f} seconds of sound; rate {r['rate']:g} down half a "
          f"cosine, seed {r['seed']}, {r['minutes']:.0f} minutes of a core shared with other work.")


def main():
    out = Path(sys.argv[1])
    amplified = json.loads((out / "amp.json").read_text()) if (out / "amp.json").exists() else None
    talker = json.loads((out / "assistant.json").read_text()) if (out / "assistant.json").exists() else None
    found = {task: json.loads((out / f"{task}.json").read_text()) for task in tasks.RECIPES
             if (out / f"{task}.json").exists()}
    all_runs = [read(Path(p)) for p in sys.argv[1:]]
    runs, bert = all_runs[0]
    translators = {}
    for p in sys.argv[1:]:
        for name in translate.RECIPES:
            if (file := Path(p) / f"{name}.json").exists():
                r = json.loads(file.read_text())
                translators.setdefault(r["seed"], {})[name] = r
    if not (runs or translators or talker or amplified or found):
        return others(out)
    if not runs and translators:
        return translation(translators)
    if not runs and talker:
        return conversations(talker)
    if not runs and amplified:
        return amplifier(amplified)
    if not runs:        # a folder of the small BERTs alone: their section
        return understanding(found)
    print("# Log of the run that made the bundled models\n\nWritten by report.py from the results of train.py. All "
          "figures are of the weights as shipped, rounded to bfloat16.\n")
    settings(runs, bert)
    losses(runs)
    thresholds(runs)
    recall(runs)
    influence(runs)
    switch(runs)
    gaps(runs, bert)
    trials([json.loads(p.read_text()) for p in out.glob("rates/*.json")])
    seeds(all_runs)
    if found:
        understanding(found)
    if translators:
        translation(translators)
    if talker:
        conversations(talker)
    if amplified:
        amplifier(amplified)
    others(out)
    samples(runs)


if __name__ == "__main__":
    main()
