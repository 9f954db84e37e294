"""The assistant: a GPT that was trained on stories and learns conversations about them (`stories --talk`).

It begins as the bundled GPT, with its two layers and its words, and one more layer on top that adds nothing at first.
Only the assistant's words count: what the user says is read, not learned."""
import json
import re
import subprocess
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

import families

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
            "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
            "{% endif %}")
LONGEST = 384                   # tokens of a conversation
WORD = re.compile(r"<\|\w+\|>| ?[A-Za-z]+| ?[.,?!:]|\n")     # of what is said here: their ids are those of the text
# Llama 3's pattern: of those that take whole words, the one that GGUF files have a name for.
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
           r"\s*[\r\n]+|\s+(?!\S)|\s+")
RATE, TOKENS = 1e-3, 9e6        # learning rate, tokens in all
WORLD = "--facts 1:3 --states 0:1 --objects 1:3 --put 20 --switches 4"
OBJECTS = "--facts 0:1 --states 0:0 --objects 2:3 --put 10 --switches 0 --filler 20"
# The conversations: (share of the tokens, tokens a step, kinds: share and settings of the stories). Short ones first.
PHASES = [
    (.20, 1200, [(.5, OBJECTS + " --move 60 --sentences 0:3"), (.5, WORLD + " --move 40 --sentences 0:3")]),
    (.40, 1600, [(.3, OBJECTS + " --move 60 --sentences 0:8"), (.7, WORLD + " --move 40 --sentences 0:8")]),
    (.40, 2400, [(.2, OBJECTS + " --move 60 --sentences 2:12"), (.6, WORLD + " --move 40 --sentences 0:20"),
                 (.2, "--move 20")]),
]
# What --further reads: more of the objects, whose questions are the hardest.
FURTHER = [(1., 2000, [(.25, OBJECTS + " --move 60 --sentences 0:6"), (.2, OBJECTS + " --move 60 --sentences 2:12"),
                       (.4, WORLD + " --move 40 --sentences 0:20"), (.15, "--move 20")])]
MEASURED = WORLD + " --move 40 --sentences 0:20"            # the stories that the model is measured on
DISTANCES = [(1, 32), (33, 64), (65, 128), (129, 384)]      # words from the sentence that says the answer


def talks(program, seed, count, settings):
    """Conversations as lists of turns: kind, said, answer, distance (examples/stories/talk.h)."""
    command = [program, "--talk", "--seed", str(seed), "-n", str(count), *settings.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield json.loads(line)["turns"]


def pieces_of(turns):
    """What the template makes of a conversation, in pieces: (text, whether it counts)."""
    for turn in turns:
        yield f"{START}user\n{turn['said']}{STOP}\n{START}assistant\n", False
        yield turn["answer"] + STOP, True
        yield "\n", False


def tokenizer(program, folder):
    """Every word of the world is one token, with and without a space before it where it is said so; all others are
    spelt in bytes. Byte-level BPE without merges: a word is its token or its bytes."""
    words = Counter()
    for _, settings in PHASES[-1][2]:
        for turns in talks(program, 1, 10000, settings):
            for text, _ in pieces_of(turns):
                words.update(w for w in WORD.findall(text) if w[0] != "<")
    known = sorted(w.replace(" ", "\u0120").replace("\n", "\u010a") for w, n in words.items() if n >= 20)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = [END, START, STOP, *alphabet, *(w for w in known if len(w) > 1)]
    t = Tokenizer(models.BPE({w: i for i, w in enumerate(vocab)}, [], ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(w, normalized=False) for w in vocab[:3]])
    folder.mkdir(parents=True, exist_ok=True)
    t.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": STOP,
              "model_max_length": LONGEST, "clean_up_tokenization_spaces": False, "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class Words:
    """Text to ids word by word, through a dictionary."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.size = self.tokenizer.get_vocab_size()
        self.known = {}

    def ids(self, text):
        out = []
        for word in WORD.findall(text):
            if word not in self.known:
                self.known[word] = self.tokenizer.encode(word, add_special_tokens=False).ids
            out += self.known[word]
        return out

    def conversation(self, turns):
        """ids, and which of them the assistant says."""
        ids, own = [], []
        for text, counts in pieces_of(turns):
            some = self.ids(text)
            ids += some
            own += [counts] * len(some)
        return ids, own


def config(vocab_size):
    c = families.config("gpt", vocab_size)
    return c | {"n_positions": LONGEST, "n_layer": 3, "bos_token_id": 0, "eos_token_id": 2}


def start(model, words, stories):
    """The weights of the GPT in the folder `stories`, and the rows of its words. A word without a space before it begins
    as the one with it; later positions go on with the sines that the first ones were trained from."""
    model.start()
    old, has = families.load(stories), Words(stories)
    with torch.no_grad():
        model.wpe.weight[:len(old.wpe.weight)] = old.wpe.weight
        for i in range(words.size):
            word = words.tokenizer.decode([i], skip_special_tokens=False)
            for spelt in (word, " " + word):
                ids = has.tokenizer.encode(spelt, add_special_tokens=False).ids
                if len(ids) == 1 and ids[0] > 0:
                    model.wte.weight[i] = old.wte.weight[ids[0]]
        for layer, trained in zip(model.h, old.h):
            layer.load_state_dict(trained.state_dict())
        for layer in model.h[len(old.h):]:
            layer.attn["c_proj"].weight *= .1
            layer.mlp["c_proj"].weight *= .1
        model.ln_f.load_state_dict(old.ln_f.state_dict())


def save(model, c, folder):
    """As families.save(), but it says the likeliest words, and stops where its answer ends."""
    families.save(model, c, folder)
    generation = {"bos_token_id": 0, "eos_token_id": [0, 2], "do_sample": False, "max_new_tokens": 64}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


class Conversations:
    """An endless stream of conversations of mixed settings."""

    def __init__(self, program, words, seed):
        self.program, self.words, self.seed = program, words, seed << 32
        self.random = np.random.default_rng(seed)

    def of(self, settings):
        while True:
            self.seed += 1
            for turns in talks(self.program, self.seed, 1000, settings):
                ids, own = self.words.conversation(turns)
                if len(ids) <= LONGEST:
                    yield ids, own

    def mixed(self, kinds):
        streams, shares = [self.of(settings) for _, settings in kinds], [share for share, _ in kinds]
        while True:
            yield next(streams[self.random.choice(len(streams), p=shares)])


def batch(some):
    """ids [B, T] and what each token's successor is, -100 where that does not count."""
    width = max(len(ids) for ids, _ in some)
    ids, targets = torch.zeros(len(some), width, dtype=torch.long), torch.full((len(some), width), -100)
    for row, (own_ids, own) in enumerate(some):
        x = torch.tensor(own_ids)
        ids[row, :len(x)] = x
        targets[row, :len(x) - 1] = x[1:].masked_fill(~torch.tensor(own[1:]), -100)
    return ids, targets


def steps(program, words, seed, tokens, phases=PHASES):
    """Batches of conversations of like lengths, until `tokens` are read: (share done, batch)."""
    stream = Conversations(program, words, seed)
    done = reached = 0
    for share, size, kinds in phases:
        reached += share * tokens / sum(part for part, *_ in phases)
        mixed = stream.mixed(kinds)
        while done < reached:
            group = sorted((next(mixed) for _ in range(512)), key=lambda e: len(e[0]))
            some, at = [], 0
            while at < len(group):
                longest = len(group[min(len(group) - 1, at + size // len(group[at][0]))][0])
                n = max(1, size // longest)
                some.append(group[at:at + n])
                at += n
            stream.random.shuffle(some)
            for b in some:
                done += sum(len(ids) for ids, _ in b)
                yield min(1., done / tokens), batch(b)


def loss(model, b):
    ids, targets = b
    counts = targets >= 0
    return F.cross_entropy(model(ids, counts), targets[counts])


def share(rows):
    return {"n": len(rows), "right": sum(ok for ok, *_ in rows) / max(1, len(rows))}


def by_distance(rows, kind):
    return {f"{a}-{b}": share([r for r in rows if r[1] == kind and a <= r[2] <= b]) for a, b in DISTANCES}


@torch.no_grad()
def evaluate(model, program, words, seed=999001, count=2000, settings=MEASURED):
    """Fresh conversations: the share of answers of which every token is the likeliest one. Such an answer is what the
    model says, if the answers before it were right."""
    rows = []
    for turns in talks(program, seed, count, settings):
        ids, targets = batch([words.conversation(turns)])
        if ids.shape[1] > LONGEST:
            continue
        right = model(ids)[0].argmax(-1) == targets[0]
        counts = targets[0] >= 0
        ends = (targets[0] == 2).nonzero().flatten().tolist()
        for turn, first, last in zip(turns, [0] + [e + 1 for e in ends], ends):
            rows.append((bool((right | ~counts)[first:last + 1].all()), turn["kind"], turn["distance"]))
    return {"all": share(rows), "kinds": {k: share([r for r in rows if r[1] == k]) for k in sorted({r[1] for r in rows})},
            "distance of where": by_distance(rows, "where"), "distance of before": by_distance(rows, "before")}
