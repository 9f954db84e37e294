"""Stories from the C generator, the tokenizer learnt from them, and the one curriculum of all families."""
import json
import multiprocessing
import re
import subprocess
import zlib

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"           # id 0: before and after every story
BERT_TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]     # what BERT's vocabulary has beyond that of the others
PIECE = re.compile(r" ?[A-Za-z]+|\.|\n\n?")             # an empty line, or the last line's end, ends a story


def tell(program, seed, count, settings=()):
    """Stories as dictionaries: text, bits, tokens, facts (examples/stories/world.h says what they mean)."""
    command = [program, "--json", "--seed", str(seed), "-n", str(count), *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield json.loads(line)


def learn_tokenizer(program, folder, vocab_size=1024):
    """Byte-level BPE as GPT-2 has it. Merges stop by themselves when every word of the world is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=[END], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator((s["text"] for s in tell(program, 1, 20000)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", pair=f"{END} $A {END} $B", special_tokens=[(END, 0)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END,
              "model_max_length": 256, "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def bert_tokenizer(folder, plain):
    """The same vocabulary with the tokens of BERT after it. [MASK] stands for a word with the space before it."""
    tokenizer = Tokenizer.from_file(str(plain / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(t, lstrip=t == "[MASK]", normalized=False) for t in BERT_TOKENS])
    ids = {t: tokenizer.token_to_id(t) for t in BERT_TOKENS}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(t, ids[t]) for t in ("[CLS]", "[SEP]")])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "cls_token": "[CLS]",
              "sep_token": "[SEP]", "mask_token": "[MASK]", "model_max_length": 256,
              "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class Encoder:
    """Text to ids through a dictionary of words: the tokenizer splits text where PIECE does, word by word."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.size = self.tokenizer.get_vocab_size()
        self.known = {"\n": 0, "\n\n": 0}

    def ids(self, text):
        pieces = PIECE.findall(text)
        for piece in set(pieces) - self.known.keys():
            self.known[piece], = self.tokenizer.encode(piece, add_special_tokens=False).ids
        return [self.known[piece] for piece in pieces]

    def offsets(self, text):
        """Byte offset of each token's first letter (the text is ASCII, and every word one token)."""
        return [m.start() + (m.group()[0] == " ") for m in PIECE.finditer(text)]


# The curriculum, the same for every family: (share of the tokens, tokens a step, kinds of stories: share and settings).
# Short and dense first, natural stories in the end. At first a story holds one kind of thing alone, facts or objects or
# a state or the switch, so that what there is to learn about each is not drowned by the others.
FACTS, OBJECTS, STATES, SWITCH = (
    "--facts 1:3 --states 0:0 --objects 0:0 --put 0 --switches 0",
    "--facts 0:0 --states 0:0 --objects 1:3 --put 0 --switches 0",
    "--facts 0:0 --states 1:1 --objects 0:0 --put 0 --switches 0",
    "--switches 100",
)
SHORT = " --sentences 2:5 --filler 20 --echo 150 --again 100"
MIDDLE = " --sentences 4:12 --filler 50 --echo 150 --again 60"
LONG = " --sentences 8:24 --filler 100"
ALL = "--facts 1:3 --states 0:1 --objects 1:2 --switches 5"
PHASES = [
    (.12, 3000, [(.35, FACTS + SHORT), (.30, OBJECTS + SHORT), (.10, STATES + SHORT), (.25, SWITCH + SHORT)]),
    (.15, 5000, [(.25, FACTS + MIDDLE), (.20, OBJECTS + MIDDLE), (.05, STATES + MIDDLE), (.20, SWITCH + MIDDLE),
                 (.30, ALL + MIDDLE)]),
    (.18, 8000, [(.10, FACTS + LONG), (.10, OBJECTS + LONG), (.15, SWITCH + LONG), (.65, ALL + LONG)]),
    (.55, 8000, [(1.0, "")]),
]
CROPS = .06                     # share of the stories that start in the middle, so that short contexts are no surprise
BLOCK = 2000                    # stories told and encoded at once


def block(program, folder, settings, seed):
    """The ids of many stories on end, 0 before the first and after each."""
    text = subprocess.run([program, "--seed", str(seed), "-n", str(BLOCK), *settings.split()],
                          capture_output=True, text=True, check=True).stdout
    return np.array([0] + Encoder(folder).ids(text), dtype=np.uint16)


def told(pool, program, folder, settings, seed, tokens):
    """At least so many ids, in an order that does not depend on the number of processes."""
    ids, n, number = [], 0, 0
    while n < tokens:
        jobs = [(program, folder, settings, seed + number + i) for i in range(multiprocessing.cpu_count())]
        for some in pool.starmap(block, jobs, chunksize=1):
            if n < tokens:
                ids.append(some)
                n += len(some)
        number += len(jobs)
    return ids


class Corpus:
    """All stories of one training run in one array of ids, and the steps: which rows (start, length) each one reads. A
    row's inputs are ids[start : start + length], its targets the ids one further on."""

    def __init__(self, ids, starts, lengths, steps):
        self.ids, self.starts, self.lengths, self.steps = ids, starts, lengths, steps

    @staticmethod
    def make(program, folder, tokens, seed, phases=PHASES):
        random = np.random.default_rng(seed)
        ids, starts, lengths, steps = [], [], [], []
        place = rows = 0
        with multiprocessing.Pool() as pool:
            for number, (share, size, kinds) in enumerate(phases):
                blocks = []
                for kind, (part, settings) in enumerate(kinds):
                    first = zlib.crc32(f"{seed} {number} {kind}".encode()) << 20
                    blocks += told(pool, program, folder, settings, first, share * part * tokens)
                s, n = find_rows(blocks, place, random)
                cut(s, n, size, share * tokens, rows, random, steps)
                ids += blocks
                starts.append(s)
                lengths.append(n)
                place += sum(map(len, blocks))
                rows += len(s)
        return Corpus(np.concatenate(ids), np.concatenate(starts), np.concatenate(lengths), np.array(steps))

    @staticmethod
    def cached(program, folder, tokens, seed, file, phases=PHASES):
        if not file.exists():
            c = Corpus.make(program, folder, tokens, seed, phases)
            np.savez(file, ids=c.ids, starts=c.starts, lengths=c.lengths, steps=c.steps)
        return Corpus(**np.load(file))

    def to(self, device):
        """For `rows` on that device."""
        return Corpus(torch.from_numpy(self.ids.astype(np.int16)).to(device), torch.from_numpy(self.starts).to(device),
                      torch.from_numpy(self.lengths).to(device), self.steps)

    def rows(self, step):
        """The ids of a step's stories with one more than its inputs, int64 [B, T + 1], and the lengths [B, 1]."""
        first, last, width = (int(v) for v in self.steps[step])
        starts, lengths = self.starts[first:last, None], self.lengths[first:last, None]
        at = (starts + torch.arange(width + 1, device=starts.device)).clamp(max=len(self.ids) - 1)
        return self.ids[at].long(), lengths


def find_rows(blocks, place, random):
    """Where the stories of a phase lie, in a random order; some are cut off at the front."""
    starts, lengths = [], []
    for ids in blocks:
        ends = np.flatnonzero(ids == 0)
        s, n = ends[:-1], np.diff(ends)
        skip = np.where(random.random(len(s)) < CROPS, (random.random(len(s)) * n * 2 / 3).astype(np.int64), 0)
        starts.append(place + s + skip)
        lengths.append(n - skip)
        place += len(ids)
    order = random.permutation(sum(map(len, starts)))
    return np.concatenate(starts)[order], np.concatenate(lengths)[order]


def cut(starts, lengths, size, tokens, rows, random, steps):
    """Sorts the rows by length within groups, and cuts these into steps of about `size` ids, in a random order."""
    group = 100 * size // int(lengths.mean())
    done = 0
    for low in range(0, len(starts), group):
        order = low + np.argsort(lengths[low:low + group], kind="stable")
        starts[low:low + group], lengths[low:low + group] = starts[order], lengths[order]
        some, at, high = [], low, min(low + group, len(starts))
        while at < high:
            n = max(1, min(high - at, size // int(lengths[min(high - 1, at + size // int(lengths[at]))])))
            width = (int(lengths[at + n - 1]) + 7) // 8 * 8         # few shapes
            some.append((rows + at, rows + at + n, width))
            at += n
        random.shuffle(some)
        for step in some:
            if done >= tokens:
                return
            steps.append(step)
            done += int(lengths[step[0] - rows:step[1] - rows].sum())
