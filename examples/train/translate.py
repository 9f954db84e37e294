"""Three networks that translate from English into Sori: a GRU encoder-decoder, the same with attention, a Transformer.

Sentences and their only right translations come from the generator (`stories --pairs`)."""
import json
import re
import subprocess

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import MarianConfig, MarianMTModel

SPECIAL = ["<pad>", "</s>", "<unk>"]
PAD, END, UNK = range(3)        # a translation begins after PAD and ends with END
LONGEST = 40                    # words and full stop of the longest English sentence that a network learns from
WORD = re.compile(r"[a-z]+|\.")
# (rate, tokens of both languages a step, tokens in all)
RECIPES = {"translate_gru": (2e-3, 3000, 5e6), "translate_attention": (2e-3, 3000, 5e6),
           "translate_transformer": (1e-3, 3000, 5e6)}
WORLD = "--pairs --facts 1:3 --states 0:1 --objects 1:3 --move 20 --put 20 --switches 5 --sentences 2:14"
# (share of the tokens, settings): short sentences first, later mostly short and middle ones, and some long ones
PHASES = [(.15, " --join 1:2"), (.85, " --join 1:6")]
LENGTHS = [(3, 8), (9, 16), (17, 24), (25, 32), (33, 40), (41, 56)]     # the last ones are longer than all it learned


def tell(program, seed, count, settings):
    """Pairs (English, Sori)."""
    command = [program, "--seed", str(seed), "-n", str(count), *settings.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield line.rstrip("\n").split("\t")


def tokenizer(program, folder):
    """One token for each word of both languages, lower case, and one for the full stop."""
    words = set()
    for pair in tell(program, 1, 20000, WORLD + " --join 1:3"):
        for text in pair:
            words.update(WORD.findall(text.lower()))
    vocab = SPECIAL + sorted(words)
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="<unk>"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.add_special_tokens(SPECIAL)
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", END)])
    folder.mkdir(parents=True, exist_ok=True)
    t.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "</s>",
              "unk_token": "<unk>", "model_max_length": 128, "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class Words:
    """Text to ids word by word, with the closing END."""

    def __init__(self, folder):
        self.ids = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
        self.size = len(self.ids)

    def encode(self, text):
        return [self.ids[w] for w in WORD.findall(text.lower())] + [END]


def batch(some):
    """Source [B, S] and target [B, T], padded behind END."""
    return tuple(torch.tensor([ids + [PAD] * (width - len(ids)) for ids in side])
                 for side, width in ((side, max(map(len, side))) for side in zip(*some)))


def steps(program, folder, seed, tokens, size):
    """Batches of about `size` tokens, of like lengths, until `tokens` are read: (share done, batch)."""
    words, random = Words(folder), np.random.default_rng(seed)
    done = reached = 0
    number = seed << 20
    for share, settings in PHASES:
        reached += share * tokens
        while done < reached:
            number += 1
            pairs = [(words.encode(a), words.encode(b)) for a, b in tell(program, number, 500, WORLD + settings)]
            pairs = sorted((p for p in pairs if len(p[0]) <= LONGEST + 1), key=lambda p: (len(p[0]), random.random()))
            some, at = [], 0
            while at < len(pairs):
                n = max(1, size // (sum(map(len, pairs[at])) + 4))
                some.append(pairs[at:at + n])
                at += n
            random.shuffle(some)
            for b in some:
                done += sum(len(a) + len(b) for a, b in b)
                yield min(1., done / tokens), batch(b)


class Seq2Seq(nn.Module):
    """A bidirectional GRU reads the source; another GRU writes the translation. It begins with the encoder's last
    states; with attention it also gets, at each step, a mean of all rows of the encoder (Bahdanau et al. 2014)."""

    def __init__(self, c):
        super().__init__()
        e, h, rows = c["embedding_size"], c["hidden_size"], 2 * c["encoder_hidden_size"]
        self.attends = c["attention"] == "additive"
        self.encoder = nn.ModuleDict({"embedding": nn.Embedding(c["source_vocab_size"], e),
                                      "rnn": nn.GRU(e, c["encoder_hidden_size"], batch_first=True, bidirectional=True)})
        self.bridge = nn.Linear(rows, h)
        self.decoder = nn.ModuleDict({"embedding": nn.Embedding(c["vocab_size"], e),
                                      "rnn": nn.GRU(e + rows * self.attends, h, batch_first=True)})
        if self.attends:
            a = c["attention_size"]
            self.attention = nn.ModuleDict({"query": nn.Linear(h, a, bias=False), "key": nn.Linear(rows, a),
                                            "score": nn.Linear(a, 1, bias=False)})
        self.lm_head = nn.Linear(h, c["vocab_size"])
        for rnn in (self.encoder["rnn"], self.decoder["rnn"]):
            for name, p in rnn.named_parameters():
                if "weight_hh" in name:
                    for gate in p.data.split(rnn.hidden_size):
                        nn.init.orthogonal_(gate)
                elif "bias_ih" in name:         # remember by default: the update gate half open
                    p.data[rnn.hidden_size:2 * rnn.hidden_size] = 1.0

    def encode(self, source):
        """The first state [B, h], and the rows of the encoder [B, S, 2 encoder_hidden_size]."""
        lengths = (source != PAD).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(self.encoder["embedding"](source), lengths, batch_first=True,
                                                   enforce_sorted=False)
        rows, last = self.encoder["rnn"](packed)
        rows, _ = nn.utils.rnn.pad_packed_sequence(rows, batch_first=True)
        return torch.tanh(self.bridge(torch.cat([last[0], last[1]], 1))), rows

    def keys(self, source, rows):
        """What is the same in all steps: U_a k_s, and which rows there are."""
        return self.attention["key"](rows), (source == PAD)[:, None]

    def step(self, h, x, rows, keys, mask):
        """The next state, told W_e e(w) of the gates, and the weights of the rows."""
        energy = self.attention["score"](torch.tanh(keys + self.attention["query"](h)[:, None])).transpose(1, 2)
        weights = energy.masked_fill(mask, -1e9).softmax(-1)
        context = (weights @ rows)[:, 0]
        rnn, n = self.decoder["rnn"], h.shape[1]
        gi = x + F.linear(context, rnn.weight_ih_l0[:, -rows.shape[2]:])
        gh = F.linear(h, rnn.weight_hh_l0, rnn.bias_hh_l0)
        r, z = torch.sigmoid(gi[:, :2 * n] + gh[:, :2 * n]).chunk(2, 1)
        new = torch.tanh(gi[:, 2 * n:] + r * gh[:, 2 * n:])
        return new + z * (h - new), weights[:, 0]

    def gates(self, words):
        """W_e e(w) + b of words [B, T]: the part of the gates that depends on the words."""
        rnn, e = self.decoder["rnn"], self.decoder["embedding"](words)
        return F.linear(e, rnn.weight_ih_l0[:, :e.shape[2]], rnn.bias_ih_l0)

    def forward(self, source, words):
        """Logits [B, T, V] after each of the words, of which the first is PAD."""
        h, rows = self.encode(source)
        if not self.attends:
            return self.lm_head(self.decoder["rnn"](self.decoder["embedding"](words), h[None].contiguous())[0])
        states, gates, keys = [], self.gates(words), self.keys(source, rows)
        for x in gates.unbind(1):
            h, _ = self.step(h, x, rows, *keys)
            states.append(h)
        return self.lm_head(torch.stack(states, 1))

    @torch.no_grad()
    def write(self, source, most):
        """The likeliest words one by one: ids [B, T], and the logits of each [B, T, V]."""
        h, rows = self.encode(source)
        keys = self.keys(source, rows) if self.attends else None
        word, ids, logits = torch.full((len(source), 1), PAD), [], []
        for _ in range(most):
            if self.attends:
                h, _ = self.step(h, self.gates(word)[:, 0], rows, *keys)
            else:
                h = self.decoder["rnn"](self.decoder["embedding"](word), h[None].contiguous())[1][0]
            logits.append(self.lm_head(h))
            word = logits[-1].argmax(-1, keepdim=True)
            ids.append(word)
            if (torch.cat(ids, 1) == END).any(1).all():
                break
        return torch.cat(ids, 1), torch.stack(logits, 1)


class Marian(MarianMTModel):
    def logits(self, source, words):
        return super().forward(input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=words).logits

    @torch.no_grad()
    def write(self, source, most):
        mask = (source != PAD).long()
        encoded = self.get_encoder()(input_ids=source, attention_mask=mask)
        word, past, ids, logits = torch.full((len(source), 1), PAD), None, [], []
        for _ in range(most):
            out = super().forward(encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=word,
                                  past_key_values=past, use_cache=True)
            past = out.past_key_values
            scores = out.logits[:, -1].clone()
            scores[:, PAD] = -1e9               # banned, as in all models of this kind
            logits.append(scores)
            word = scores.argmax(-1, keepdim=True)
            ids.append(word)
            if (torch.cat(ids, 1) == END).any(1).all():
                break
        return torch.cat(ids, 1), torch.stack(logits, 1)


def config(task, vocab_size):
    ends = {"pad_token_id": PAD, "eos_token_id": END, "decoder_start_token_id": PAD}
    if task == "translate_transformer":
        return {"model_type": "marian", "architectures": ["MarianMTModel"], "vocab_size": vocab_size,
                "decoder_vocab_size": vocab_size, "d_model": 128, "encoder_layers": 2, "decoder_layers": 2,
                "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 128,
                "decoder_ffn_dim": 128, "activation_function": "relu", "max_position_embeddings": 128,
                "scale_embedding": True, "share_encoder_decoder_embeddings": True, "tie_word_embeddings": True,
                "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "is_encoder_decoder": True,
                "dtype": "bfloat16", "forced_eos_token_id": None, "bos_token_id": None, **ends}
    attends = task == "translate_attention"
    c = {"model_type": "seq2seq", "architectures": ["Seq2Seq"], "cell": "gru", "vocab_size": vocab_size,
         "source_vocab_size": vocab_size, "embedding_size": 64, "encoder_hidden_size": 112 if attends else 128,
         "hidden_size": 176 if attends else 208, "num_layers": 1, "bidirectional": True,
         "attention": "additive" if attends else "none", "dtype": "bfloat16", **ends}
    if attends:
        c["attention_size"] = 64
    return c


def build(c):
    if c["model_type"] == "marian":
        model = Marian(MarianConfig(**{k: v for k, v in c.items() if k not in ("dtype", "architectures")}))
        for name, p in model.named_parameters():        # as Vaswani et al. began; the usual start of this class is slow
            if p.dim() > 1 and p.requires_grad:
                nn.init.normal_(p, std=c["d_model"] ** -.5) if "shared" in name else nn.init.xavier_uniform_(p)
        return model
    return Seq2Seq(c)


def loss(model, b):
    source, target = b
    words = F.pad(target[:, :-1], (1, 0), value=PAD)
    logits = model.logits(source, words) if isinstance(model, Marian) else model(source, words)
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)


def save(model, c, folder):
    """bfloat16; without the sinusoids, which follow from the sizes, and without what is tied."""
    left_out = ("embed_positions", "embed_tokens", "lm_head") if c["model_type"] == "marian" else ()
    tensors = {name: p.detach().to(torch.bfloat16).contiguous() for name, p in model.state_dict().items()
               if not any(part in name for part in left_out)}
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(c, indent=2) + "\n")
    generation = {"decoder_start_token_id": PAD, "eos_token_id": END, "pad_token_id": PAD, "bad_words_ids": [[PAD]],
                  "max_length": 128, "num_beams": 1}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def load(folder):
    """The model as shipped: bfloat16 weights, widened to float32."""
    model = build(json.loads((folder / "config.json").read_text()))
    tensors = {name: t.float() for name, t in load_file(str(folder / "model.safetensors")).items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and all("embed" in name or "lm_head" in name for name in missing), (missing, unexpected)
    return model.eval()


def by_length(program, seed, each):
    """So many pairs of each range of LENGTHS."""
    found = {r: [] for r in LENGTHS}
    for a, b in tell(program, seed, 100000, WORLD + " --join 1:10"):
        n = len(WORD.findall(a.lower()))
        for r in LENGTHS:
            if r[0] <= n <= r[1] and len(found[r]) < each:
                found[r].append((a, b))
        if all(len(v) == each for v in found.values()):
            return found


def evaluate(model, program, folder, seed=999001, each=200):
    """For each range of lengths the share of sentences without a mistake, and of words that are those of the reference,
    place by place."""
    words, result = Words(folder), {}
    for (low, high), pairs in by_length(program, seed, each).items():
        exact, right, n = 0, 0, 0
        for i in range(0, each, 50):
            source, target = batch([(words.encode(a), words.encode(b)) for a, b in pairs[i:i + 50]])
            ids, _ = model.write(source, target.shape[1] + 10)
            ids = F.pad(ids, (0, max(0, target.shape[1] - ids.shape[1])), value=PAD)
            same = ids[:, :target.shape[1]] == target
            counted = target != PAD
            exact += int((same | ~counted).all(1).sum())
            right += int((same & counted).sum())
            n += int(counted.sum())
        result[f"{low}-{high}"] = {"n": each, "sentences": exact / each, "words": right / n}
    return result
