"""Stories from the C generator, and the tokenizer learnt from them."""
import json
import re
import subprocess

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"           # id 0: before and after every story
PIECE = re.compile(r" ?[A-Za-z]+|\.")


def tell(program, seed, count, settings=()):
    """Stories as dictionaries: text, bits, tokens, facts (examples/support/world.h says what they mean)."""
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


class Encoder:
    """Text to ids through a dictionary of words: the tokenizer splits text where PIECE does, word by word."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.size = self.tokenizer.get_vocab_size()
        self.known = {}

    def ids(self, text):
        out = []
        for piece in PIECE.findall(text):
            if piece not in self.known:
                self.known[piece] = self.tokenizer.encode(piece, add_special_tokens=False).ids
            out += self.known[piece]
        return out

    def offsets(self, text):
        """Byte offset of each token's first letter (the text is ASCII, and every word one token)."""
        return [m.start() + (m.group()[0] == " ") for m in PIECE.finditer(text)]


# The curriculum: (share of the tokens, tokens a step, settings). Short and dense first, natural stories in the end.
# With everything at once from the start the recurrent networks learnt to recall nothing, so they (and the MLP) begin
# with facts alone, then states and the switch, then objects. The GPT must have objects from the start: with facts
# alone first it recalled every fact but no place. Last phase and number of tokens are the same for all.
NATURAL = (.56, 800, "")
FACTS_FIRST = [
    (.12, 400, "--sentences 2:4 --facts 1:2 --states 0:0 --objects 0:0 --put 0 --switches 0 "
               "--filler 20 --echo 150 --again 150"),
    (.14, 400, "--sentences 4:10 --facts 2:3 --states 0:1 --objects 0:0 --put 0 --switches 20 "
               "--filler 50 --echo 150 --again 150"),
    (.18, 600, "--sentences 8:20 --facts 2:3 --states 1:1 --objects 1:2 --switches 10 --filler 100 --again 60"),
    NATURAL,
]
OBJECTS_TOO = [
    (.12, 400, "--sentences 2:4 --facts 1:2 --states 0:1 --objects 1:2 --put 0 --switches 5 "
               "--filler 20 --echo 200 --again 70"),
    (.14, 400, "--sentences 4:10 --facts 1:3 --states 0:1 --objects 1:3 --switches 10 --filler 50 --echo 150"),
    (.18, 600, "--sentences 8:20 --facts 2:3 --states 1:1 --objects 1:3 --switches 10 --filler 100"),
    NATURAL,
]
SECOND_ROUND = [(1., 1000, "")]
PHASES = {"mlp": FACTS_FIRST, "rnn": FACTS_FIRST, "gru": FACTS_FIRST, "lstm": FACTS_FIRST, "gpt": OBJECTS_TOO}
CROPS = .06                     # share of the stories that start in the middle, so that short contexts are no surprise


def batches(program, encoder, tokens, seed, phases):
    """Yields (share done, inputs, targets), int64 [B, T]; -100 marks targets beyond the end. The same
    phases and seed give the same stories in the same order."""
    random = np.random.default_rng(seed)
    done = 0
    reached = 0.0
    for number, (share, size, settings) in enumerate(phases):
        reached += share
        stories = tell(program, seed * 100 + number, 10 ** 7, settings.split())
        while done < min(1.0, reached) * tokens - 1:
            for rows in bucket(stories, encoder, size, random):
                x, y, n = pad(rows)
                yield min(1.0, done / tokens), x, y
                done += n
                if done >= min(1.0, reached) * tokens - 1:
                    break
        stories.close()


def bucket(stories, encoder, size, random):
    rows = []
    for _ in range(400):
        row = [0] + encoder.ids(next(stories)["text"]) + [0]
        if random.random() < CROPS:
            row = row[int(random.integers(1, max(2, 2 * len(row) // 3))):]
        rows.append(row)
    rows.sort(key=len)
    groups, group = [], []
    for row in rows:
        if group and len(row) * (len(group) + 1) > size + 200:
            groups.append(group)
            group = []
        group.append(row)
    groups.append(group)
    random.shuffle(groups)
    return groups


def pad(rows):
    length = (max(map(len, rows)) - 1 + 15) // 16 * 16      # few shapes: oneDNN prepares itself for each
    x = torch.zeros(len(rows), length, dtype=torch.long)
    y = torch.full((len(rows), length), -100)
    for i, row in enumerate(rows):
        x[i, :len(row) - 1] = torch.tensor(row[:-1])
        y[i, :len(row) - 1] = torch.tensor(row[1:])
    return x, y, sum(len(row) - 1 for row in rows)
