"""Five small BERTs that understand stories: mood, kind, grammar (classifiers), answer (questions), tag (names).

Every label comes from the generator (`stories --json`; examples/stories/world.h says what each field means)."""
import json
import re
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from data import tell

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
LONGEST = 288                   # tokens: the longest story, a question, and what the template adds
WORD = re.compile(r"[A-Za-z]+|[.?]")
KINDS = ["time", "news", "leader", "team", "pet", "door", "lamp", "apples", "place", "switch"]
LABELS = {
    "mood": ["negative", "neutral", "positive"],
    "kind": KINDS,
    "grammar": ["grammatical", "shuffled"],
    "answer": [],
    "tag": ["O"] + [f"{part}-{entity}" for entity in ("PERSON", "THING", "PLACE") for part in "BI"],
}
# For each task: learning rate, tokens a step, tokens in all.
RECIPES = {"mood": (1e-3, 2000, 6e6), "kind": (1e-3, 2000, 2e6), "grammar": (1e-3, 2000, 8e6),
           "tag": (1e-3, 2000, 6e6), "answer": (1e-3, 2000, 12e6)}
# The stories: (share of the tokens, settings). The last one is what a model is measured on.
WORLD = "--facts 1:3 --states 0:1 --objects 1:3 --move 40 --put 20"
PHASES = [(.25, WORLD + " --sentences 0:4 --filler 60"), (.25, WORLD + " --sentences 3:12 --filler 100"),
          (.5, WORLD + " --sentences 0:34")]
# Questions are learned from very short stories first: two or three objects, and little else.
OBJECTS = "--facts 0:0 --states 0:0 --objects 2:3 --put 0 --switches 0 --move 100 --filler 10"
ANSWER_PHASES = [(.1, OBJECTS + " --sentences 0:1"), (.1, OBJECTS + " --sentences 0:4"),
                 *[(.8 * share, settings) for share, settings in PHASES]]
DISTANCES = [(1, 32), (33, 64), (65, 128), (129, 288)]      # tokens from the beginning of the input to the answer
RENAMED = .1                    # share of the texts whose people and things have names that nobody knows


def tokenizer(program, folder):
    """WordPiece as BERT has it, lower case: every word of the world is one token, other words are spelt in letters."""
    words = Counter()
    for s in tell(program, 1, 5000, WORLD.split()):
        for text in [s["text"]] + [q["question"] for q in s["questions"]]:
            words.update(WORD.findall(text.lower()))
    letters = [chr(ord("a") + i) for i in range(26)]
    vocab = SPECIAL + list(".?,!") + letters + ["##" + c for c in letters]
    vocab += sorted(w for w in words if len(w) > 1)
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.add_special_tokens(SPECIAL)
    t.post_processor = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
                                                     special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)])
    folder.mkdir(parents=True, exist_ok=True)
    t.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "pad_token": "[PAD]", "unk_token": "[UNK]",
              "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "model_max_length": LONGEST,
              "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class Words:
    """Text to ids word by word, through a dictionary."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.size = self.tokenizer.get_vocab_size()
        self.known = {}

    def pieces(self, word):
        if word not in self.known:
            self.known[word] = self.tokenizer.encode(word, add_special_tokens=False).ids
        return self.known[word]

    def encode(self, text, names={}):
        """The ids, and for each byte where a word begins or ends its first token and the one after its last."""
        ids, first, after = [], {}, {}
        for m in WORD.finditer(text):
            word = m.group().lower()
            first[m.start()] = len(ids)
            ids += self.pieces(names.get(word, word))
            after[m.end()] = len(ids)
        return ids, first, after


def invent(random):
    return "".join(random.choice(list("bdfgklmnprstvz")) + random.choice(list("aeiou"))
                   for _ in range(int(random.integers(2, 4))))


def renamed(story, random):
    """Other names for its people and things."""
    words = {story["text"][n["at"]:n["at"] + n["length"]].lower() for n in story["names"] if n["entity"] != "place"}
    return {w: invent(random) for w in sorted(words) if random.random() < .5}


def excerpt(story, random):
    """First and one past the last sentence of a part of the story: short, middle or all of it."""
    n = len(story["sentences"])
    length = random.random()
    length = n if length < .2 else int(random.integers(1, min(n, 6 if length < .7 else 16) + 1))
    first = int(random.integers(0, n - length + 1))
    return first, first + length


def part_of(story, first, last):
    s = story["sentences"]
    return story["text"][s[first]["at"]:s[last - 1]["at"] + s[last - 1]["length"]], s[first]["at"]


def mood(sentences):
    """Whether more of the sentences are glad or sad."""
    return int(np.sign(sum(s["mood"] for s in sentences))) + 1


def kind(sentences):
    """The kind of fact that most of the sentences are about; None if there is no such kind."""
    best = Counter(s["kind"] for s in sentences if s["kind"]).most_common(2)
    return KINDS.index(best[0][0]) if best and (len(best) < 2 or best[0][1] > best[1][1]) else None


def shuffle(ids, stop, random):
    """Some sentences with their words in another order, each with its full stop at its place; how many."""
    ends = [i for i, x in enumerate(ids) if x == stop]
    sentences = [(a + 1, b) for a, b in zip([-1] + ends, ends)]
    n = 1 if random.random() < .5 else int(random.integers(1, len(sentences) + 1))
    out = list(ids)
    for k in random.choice(len(sentences), n, replace=False):
        a, b = sentences[k]
        while out[a:b] == ids[a:b]:
            if random.random() < .3:
                i = int(random.integers(a, b - 1))
                out[i], out[i + 1] = out[i + 1], out[i]
            else:
                out[a:b] = random.permutation(ids[a:b]).tolist()
    return out, n


def question_of(story, others, random):
    """A question with its answer, (question, None) if the story has none, and sentences that still tell the answer."""
    own = story["questions"]
    n = len(story["sentences"])
    if random.random() < .12 and others:
        q = others[int(random.integers(len(others)))]
        text = story["text"].lower()
        about = {s["kind"] for s in story["sentences"]} | {q["key"] for q in own}
        things = {story["text"][m["at"]:m["at"] + m["length"]] for m in story["names"]}
        if q["key"] not in about and q["key"] not in things and not (q["kind"] == "lamp" and "switch" in about):
            return q, False, excerpt(story, random)
    q = own[int(random.integers(len(own)))]
    inside = [s["at"] <= q["at"] < s["at"] + s["length"] for s in story["sentences"]].index(True)
    first, last = 0, n
    if random.random() < .5:
        first = int(random.integers(0, inside + 1))
    if random.random() < .5 and q["kind"] != "what":
        last = int(random.integers(inside + 1, n + 1))
    return q, True, (first, last)


class Examples:
    """An endless stream of examples of a task: ids, types, label (a number, tags, or first and last token)."""

    def __init__(self, task, program, folder, seed):
        self.task, self.program, self.words = task, program, Words(folder)
        self.random = np.random.default_rng(seed)
        self.seed, self.others, self.counts = seed << 32, [], Counter()
        self.stop, = self.words.pieces(".")

    def stories(self, settings):
        while True:
            yield from tell(self.program, self.seed, 2000, settings.split())
            self.seed += 1

    def stream(self, settings):
        self.rename = RENAMED if settings.startswith(WORLD) else 0
        for story in self.stories(settings):
            for _ in range(8 if self.task in ("mood", "kind") else 2):
                made = self.make(story)
                if made:
                    yield made

    def balanced(self, label):
        """Whether to take one more of this label: all are to be equally frequent."""
        if self.counts[label] > sum(self.counts.values()) / len(LABELS[self.task]):
            return False
        self.counts[label] += 1
        return True

    def make(self, story):
        random, about = self.random, {}
        names = renamed(story, random) if random.random() < self.rename else {}
        if self.task == "answer":
            return self.make_question(story, names)
        first, last = excerpt(story, random)
        sentences = story["sentences"][first:last]
        if self.task in ("mood", "kind"):
            label = (mood if self.task == "mood" else kind)(sentences)
            if label is None or not self.balanced(label):
                return None
            about["margin"] = abs(sum(s["mood"] for s in sentences))
        text, start = part_of(story, first, last)
        ids, begin, after = self.words.encode(text, names)
        if len(ids) > LONGEST - 2:
            return None
        if self.task == "tag":
            label = [0] * len(ids)
            for n in story["names"]:
                at = n["at"] - start
                if at in begin and at + n["length"] in after:
                    which = 1 + 2 * ["person", "thing", "place"].index(n["entity"])
                    i, j = begin[at], after[at + n["length"]]
                    label[i:j] = [which] + [which + 1] * (j - i - 1)
            label = [-100] + label + [-100]
        elif self.task == "grammar":
            label = int(random.random() < .5)
            ids, about["shuffled"] = shuffle(ids, self.stop, random) if label else (ids, 0)
        about.update(sentences=last - first, renamed=bool(names))
        return [CLS] + ids + [SEP], [0] * (len(ids) + 2), label, about

    def make_question(self, story, names):
        if not story["questions"]:
            return None
        q, known, (first, last) = question_of(story, self.others, self.random)
        self.others = (self.others + story["questions"])[-200:]
        text, start = part_of(story, first, last)
        asked, _, _ = self.words.encode(q["question"], names)
        ids, begin, after = self.words.encode(text, names)
        if len(asked) + len(ids) > LONGEST - 3:
            return None
        label, before, at = (0, 0), len(asked) + 2, q["at"] - start
        if known:
            label = before + begin[at], before + after[at + q["length"]] - 1
        about = {"kind": q["kind"] if known else "none", "distance": label[0], "renamed": bool(names)}
        if about["kind"] == "where":
            sentences = story["sentences"][first:last]
            told = [story["text"][s["at"]:s["at"] + s["length"] - 1].split() for s in sentences if s["kind"] == "place"]
            about["bag"] = 1 / len({" ".join(w[4:]) for w in told})     # "Anna put the ball behind the shed"
            about["moves"] = sum(w[3] == q["key"] and w[1] in ("put", "hid", "left") for w in told)
        return [CLS] + asked + [SEP] + ids + [SEP], [0] * before + [1] * (len(ids) + 1), label, about


def batch(some, device="cpu"):
    """ids, types, mask [B, T] and labels: [B], [B, T] or [B, 2]."""
    width = max(len(ids) for ids, *_ in some)
    ids, types = torch.zeros(2, len(some), width, dtype=torch.long)
    label = some[0][2]
    labels = torch.full((len(some), width), -100) if isinstance(label, list) else torch.tensor([e[2] for e in some])
    for i, e in enumerate(some):
        ids[i, :len(e[0])] = torch.tensor(e[0])
        types[i, :len(e[1])] = torch.tensor(e[1])
        if isinstance(label, list):
            labels[i, :len(e[2])] = torch.tensor(e[2])
    return ids.to(device), types.to(device), (ids != PAD).long().to(device), labels.to(device)


def steps(task, program, folder, seed, tokens, size):
    """Batches of about `size` ids, of like lengths, until `tokens` are read: (share done, batch)."""
    examples = Examples(task, program, folder, seed)
    done = reached = 0
    for share, settings in (ANSWER_PHASES if task == "answer" else PHASES):
        reached += share * tokens
        stream = examples.stream(settings)
        while done < reached:
            group = sorted((next(stream) for _ in range(1024)), key=lambda e: len(e[0]))
            some, at = [], 0
            while at < len(group):
                longest = len(group[min(len(group) - 1, at + size // len(group[at][0]))][0])
                n = max(1, size // longest)
                some.append(group[at:at + n])
                at += n
            examples.random.shuffle(some)
            for b in some:
                done += sum(len(e[0]) for e in b)
                yield min(1., done / tokens), batch(b)


def logits_of(model, b):
    """[B, labels], [B, T, labels], or [B, 2, T] for the first and last token of an answer."""
    out = model(b[0], token_type_ids=b[1], attention_mask=b[2])
    if "start_logits" in out:
        return torch.stack([out.start_logits, out.end_logits], 1).masked_fill(b[2][:, None] == 0, -1e4)
    return out.logits


def loss(model, b):
    return F.cross_entropy(logits_of(model, b).flatten(0, b[3].dim() - 1), b[3].flatten())


def config(task, vocab_size):
    """One body for all; questions need a layer more."""
    name = {"answer": "BertForQuestionAnswering", "tag": "BertForTokenClassification"}
    c = {"model_type": "bert", "architectures": [name.get(task, "BertForSequenceClassification")],
         "vocab_size": vocab_size, "hidden_size": 64, "num_hidden_layers": 3 if task == "answer" else 2,
         "num_attention_heads": 4, "intermediate_size": 128, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
         "attention_probs_dropout_prob": 0.0, "max_position_embeddings": LONGEST, "type_vocab_size": 2,
         "layer_norm_eps": 1e-12, "dtype": "bfloat16", "pad_token_id": PAD}
    if LABELS[task]:
        c["id2label"] = {str(i): label for i, label in enumerate(LABELS[task])}
        c["label2id"] = {label: i for i, label in enumerate(LABELS[task])}
    return c


def build(c):
    known = {k: v for k, v in c.items() if k not in ("dtype", "architectures", "label2id")}
    known["id2label"] = {int(i): label for i, label in c.get("id2label", {}).items()} or None
    return getattr(transformers, c["architectures"][0])(transformers.BertConfig(**known))


def load(folder):
    """The model as shipped: bfloat16 weights, widened to float32."""
    model = build(json.loads((folder / "config.json").read_text()))
    model.load_state_dict({name: t.float() for name, t in load_file(str(folder / "model.safetensors")).items()})
    return model.eval()


def spans(labels):
    """(first, one past the last, entity) of each name that B- and I- labels mark."""
    found, first = set(), None
    for i, label in enumerate(labels + ["O"]):
        if first is not None and not (label[0] == "I" and label[2:] == labels[first][2:]):
            found.add((first, i, labels[first][2:]))
            first = None
        if first is None and label != "O":
            first = i
    return found


def best_answer(scores, longest=15):
    """First and last token of the likeliest span, or of [CLS]: no answer."""
    sums = scores[0][:, None] + scores[1][None, :]
    n = sums.shape[0]
    allowed = torch.ones(n, n, dtype=torch.bool).triu().tril(longest - 1)
    allowed[0, 1:] = False
    return divmod(int(sums.masked_fill(~allowed, -1e9).argmax()), n)


def share(values):
    return {"n": len(values), "right": sum(values) / max(1, len(values))}


def groups(rows, key, ranges):
    """Right answers by a figure of the text, in ranges (least, most)."""
    return {f"{a}-{b}" if a < b else f"{a}": share([ok for ok, about in rows if a <= about.get(key, -1) <= b])
            for a, b in ranges}


@torch.no_grad()
def evaluate(task, model, program, folder, seed=999001, count=2000):
    """Fresh texts of the last kind; for tags F1 of whole names."""
    stream = Examples(task, program, folder, seed).stream(PHASES[-1][1])
    rows, names, result = [], {e: [0, 0, 0] for e in ("PERSON", "THING", "PLACE")}, {}
    overlap, made = [], [next(stream) for _ in range(count)]
    for i in range(0, count, 50):
        some = made[i:i + 50]
        out = logits_of(model, batch(some))
        for e, y in zip(some, out):
            if task == "answer":
                first, last = best_answer(y)
                a, b = e[2]
                said, wanted = e[0][first:last + 1], e[0][a:b + 1]
                overlap.append(2 * sum((Counter(said) & Counter(wanted)).values()) / (len(said) + len(wanted)))
                rows.append((said == wanted, e[3] | {"same place": (first, last) == (a, b)}))
            elif task == "tag":
                labels = [LABELS["tag"][k] for k in y.argmax(-1).tolist()]
                n = len(e[0])
                found, wanted = spans(labels[1:n - 1]), spans([LABELS["tag"][k] for k in e[2][1:-1]])
                for entity, c in names.items():
                    f, w = ({x for x in some if x[2] == entity} for some in (found, wanted))
                    for k, v in enumerate((len(f & w), len(f), len(w))):
                        c[k] += v
                rows.append((found == wanted, e[3]))
            else:
                rows.append((int(y.argmax()) == e[2], e[3] | {"label": LABELS[task][e[2]]}))
    result["all"] = share([ok for ok, _ in rows])
    result["renamed"] = share([ok for ok, about in rows if about["renamed"]])
    if task == "answer":
        result["same place"] = share([about["same place"] for _, about in rows])
        result["f1"] = sum(overlap) / count
        result["bag"] = float(np.mean([about["bag"] for _, about in rows if "bag" in about]))
        result["kinds"] = {k: share([ok for ok, about in rows if about["kind"] == k])
                           for k in ["where", "who", "what", "scene", *KINDS, "none"] if k != "place"}
        asked = [row for row in rows if row[1]["kind"] != "none"]
        where = [row for row in rows if row[1]["kind"] == "where"]
        result["distance"] = groups(asked, "distance", DISTANCES)
        result["distance of where"] = groups(where, "distance", DISTANCES)
        result["moves"] = groups(where, "moves", [(0, 1), (2, 2), (3, 3), (4, 99)])
    else:
        result["sentences"] = groups(rows, "sentences", [(1, 1), (2, 5), (6, 15), (16, 99)])
    if task == "tag":
        result["names"] = {e: {"n": w, "precision": hit / max(1, f), "recall": hit / max(1, w),
                               "f1": 2 * hit / max(1, f + w)} for e, (hit, f, w) in names.items()}
    elif task != "answer":
        result["labels"] = {name: share([ok for ok, about in rows if about["label"] == name]) for name in LABELS[task]}
    if task == "mood":
        result["margin"] = groups(rows, "margin", [(0, 0), (1, 1), (2, 2), (3, 99)])
    if task == "grammar":
        result["shuffled"] = groups(rows, "shuffled", [(0, 0), (1, 1), (2, 3), (4, 99)])
    return result
