"""The families as PyTorch modules whose parameters carry the names of the files, and their start values."""
import json
import math

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertConfig, BertForMaskedLM

END_ID = 0


class Mlp(nn.Module):
    """Bengio et al. 2003: the last `window_size` embeddings, side by side, through a multi-layer perceptron."""

    def __init__(self, c):
        super().__init__()
        self.window = c["window_size"]
        self.embedding = nn.Embedding(c["vocab_size"], c["embedding_size"])
        sizes = [self.window * c["embedding_size"], *c["hidden_sizes"]]
        self.mlp = nn.Sequential(*[m for a, b in zip(sizes, sizes[1:]) for m in (nn.Linear(a, b), nn.Tanh())])
        self.lm_head = nn.Linear(sizes[-1], c["vocab_size"])
        nn.init.normal_(self.embedding.weight, std=.3)

    def forward(self, x):
        x = F.pad(x, (self.window - 1, 0), value=END_ID)
        e = self.embedding(x).unfold(1, self.window, 1).transpose(2, 3).flatten(2)      # [B, T, window * E]
        return self.lm_head(self.mlp(e))


class Recurrent(nn.Module):
    """An embedding, recurrent layers, and the transposed embedding as output. While it is trained, embeddings are
    scaled up on their way in, so that one table suits both ends; `fold` moves the factor into the input weights."""

    def __init__(self, c):
        super().__init__()
        h = c["hidden_size"]
        self.kind = c["model_type"]
        layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[self.kind]
        self.embedding = nn.Embedding(c["vocab_size"], h)
        self.rnn = layer(h, h, c["num_layers"], batch_first=True)
        self.lm_head = nn.Module()
        self.lm_head.bias = nn.Parameter(torch.zeros(c["vocab_size"]))
        self.scale = 1.0

    def start(self):
        h = self.rnn.hidden_size
        self.scale = math.sqrt(h)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(h))
        for name, p in self.rnn.named_parameters():
            if "weight_hh" in name:
                for gate in p.data.split(h):
                    nn.init.orthogonal_(gate)
            elif "weight_ih" in name:
                nn.init.normal_(p, std=1 / math.sqrt(h))
            else:
                nn.init.zeros_(p)
            if "bias_ih" in name and self.kind == "gru":        # remember by default: the update gate half open
                p.data[h:2 * h] = 1.0
            if "bias_ih" in name and self.kind == "lstm":       # memories of many lengths (Tallec and Ollivier 2018)
                p.data[h:2 * h] = torch.linspace(1, 5, h)       # forget gate: from 4 to 150 steps
                p.data[:h] = -p.data[h:2 * h] / 2               # what keeps long takes in little

    def fold(self):
        self.rnn.weight_ih_l0.data *= self.scale
        self.scale = 1.0

    def forward(self, x):
        out, _ = self.rnn(self.embedding(x) * self.scale)
        return F.linear(out, self.embedding.weight, self.lm_head.bias)


FREQUENCY = 2.2, 440.0          # of the fastest sine, in radians a token, and how many times slower the slowest is


def sinusoids(weight, amplitude):
    n, d = weight.shape
    angle = torch.arange(n)[:, None] * frequencies(d // 2)
    weight.data = torch.cat([angle.sin(), angle.cos()], 1) * amplitude


def frequencies(n):
    return FREQUENCY[0] * FREQUENCY[1] ** (-torch.arange(n) / (n - 1))


def start_attention(query, key, value, out, std, copy=.7):
    """Like attends to like (W_k = W_q), and every head passes on what it saw (W_o = copy W_v^T). Weights [in, out]."""
    nn.init.normal_(query, std=std)
    nn.init.normal_(value, std=std)
    key.copy_(query)
    out.copy_(copy * value.T)


def look_back(query, key, heads, distances, gain=2.0):
    """The first heads look at the token so far back (forward, where negative), by the sinusoids at its input:
    score = gain^2 sum_f cos(w_f (i - distance - j))."""
    d = query.shape[0]
    size = d // heads
    w = frequencies(d // 2)
    for head, distance in enumerate(distances):
        query[:, head * size:(head + 1) * size] = 0
        key[:, head * size:(head + 1) * size] = 0
        for m in range(size // 2):
            f, a = m * (d // 4) // (size // 2), head * size + 2 * m
            cos, sin = math.cos(float(w[f]) * distance), math.sin(float(w[f]) * distance)
            query[f, a], query[d // 2 + f, a] = gain * cos, -gain * sin
            query[f, a + 1], query[d // 2 + f, a + 1] = gain * sin, gain * cos
            key[f, a], key[d // 2 + f, a + 1] = gain, gain


class Linear(nn.Module):
    """GPT-2 files keep linear weights as [in, out]."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        return x @ self.weight + self.bias


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(d)
        self.attn = nn.ModuleDict({"c_attn": Linear(d, 3 * d), "c_proj": Linear(d, d)})
        self.ln_2 = nn.LayerNorm(d)
        self.mlp = nn.ModuleDict({"c_fc": Linear(d, 4 * d), "c_proj": Linear(4 * d, d)})

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.attn["c_attn"](self.ln_1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn["c_proj"](a.transpose(1, 2).reshape(b, t, d))
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """GPT-2, no more and no less; only its start values are unusual."""

    def __init__(self, c):
        super().__init__()
        d = c["n_embd"]
        self.wte = nn.Embedding(c["vocab_size"], d)
        self.wpe = nn.Embedding(c["n_positions"], d)
        self.h = nn.ModuleList([Block(d, c["n_head"]) for _ in range(c["n_layer"])])
        self.ln_f = nn.LayerNorm(d)

    def start(self, std=.1):
        """Where the tokens are is said in sines and cosines, and attention has something to begin with."""
        nn.init.normal_(self.wte.weight, std=std)
        sinusoids(self.wpe.weight, std)
        for number, layer in enumerate(self.h):
            attention = layer.attn["c_attn"].weight.data.chunk(3, dim=1)
            start_attention(*attention, layer.attn["c_proj"].weight.data, std)
            if number == 0:
                look_back(*attention[:2], layer.heads, (1, 2, 3))
            nn.init.normal_(layer.mlp["c_fc"].weight, std=std)
            nn.init.normal_(layer.mlp["c_proj"].weight, std=std / math.sqrt(2 * len(self.h)))

    def forward(self, x, where=...):
        """The logits of all tokens, or of those `where` a mask says so."""
        y = self.wte(x) + self.wpe.weight[:x.shape[1]]
        for block in self.h:
            y = block(y)
        return F.linear(self.ln_f(y[where]), self.wte.weight)


def start_bert(model, std=.1):
    """BERT, as transformers has it, with the start values of the GPT; the fourth head looks at the next token."""
    for p in model.parameters():
        if p.dim() > 1:
            nn.init.normal_(p, std=std)
    sinusoids(model.bert.embeddings.position_embeddings.weight, std)
    nn.init.zeros_(model.bert.embeddings.token_type_embeddings.weight)
    for number, layer in enumerate(model.bert.encoder.layer):
        start_attention(*attention_of(layer), layer.attention.output.dense.weight.data.T, std)
        if number == 0:
            look_back(*attention_of(layer)[:2], model.config.num_attention_heads, (1, 2, 3, -1))
        nn.init.normal_(layer.output.dense.weight, std=std / 2)


def attention_of(layer):
    """Query, key and value weights, [in, out]."""
    linears = layer.attention.self
    return tuple(p.weight.data.T for p in (linears.query, linears.key, linears.value))


def start_small(model, looks, spare=(), like=.2, gain=4.):
    """For a BERT of 64 numbers, in which words would drown the positions: these begin in coordinates of their own, and
    so does what `spare` names. `looks` says for each layer how far back each of its heads looks; empty: like attends
    to like; None: to everything alike."""
    start_bert(model)
    embeddings, d = model.bert.embeddings, model.config.hidden_size
    own = [f + half for f in range(0, d // 4, 2) for half in (0, d // 2)] + list(spare)     # look_back reads the first
    embeddings.word_embeddings.weight.data[:, own] = 0
    embeddings.position_embeddings.weight.data[:, list(spare)] = 0
    for distances, layer in zip(looks, model.bert.encoder.layer):
        query, key, _ = attention_of(layer)
        layer.attention.output.dense.weight.data.T[:, own] = layer.output.dense.weight.data.T[:, own] = 0
        if distances:
            look_back(query, key, model.config.num_attention_heads, distances, gain)
        else:
            nn.init.normal_(query, std=like)
            query[own] = 0                  # whether words are equal does not depend on where they stand
            key.copy_(query)
            query *= distances is not None


def start_grammar(model):
    """Its first layer looks at the neighbours of each word; [CLS] sees all of them alike."""
    start_small(model, ((1, 2, -1, -2), None))


def start_answers(model, flag=.5):
    """For a BERT that finds in a text what a question asks about. In its first layer equal words look at each other,
    and note whether one of them stands in the question; the heads of the second look 1 and 3 words back and ahead for
    a word of which this is so. Without this start it guesses among the places of a text for millions of tokens."""
    heads, d = model.config.num_attention_heads, model.config.hidden_size
    asked, found, *seen = range(1, 2 * (heads + 2), 2)      # in the question; an equal word is; a word seen is
    start_small(model, ((), (1, 3, -1, -3), ()), (asked, found, *seen))
    model.bert.embeddings.token_type_embeddings.weight.data[:2, asked] = torch.tensor([.4, -.4])
    first, second, _ = model.bert.encoder.layer
    for head, at in enumerate(range(0, d, d // heads)):
        for layer, read, write, gain in ((first, asked, found, flag), (second, found, seen[head], 2)):
            value, out = attention_of(layer)[2], layer.attention.output.dense.weight.data.T
            value[:, at] = out[at] = 0
            value[read, at], out[at, write] = gain, 1
    first.attention.output.dense.bias.data[found] = 3. * heads * flag       # zero where no equal word is asked about


class Bert(BertForMaskedLM):
    start = start_bert

    def forward(self, x):
        return super().forward(x, attention_mask=(x != self.config.pad_token_id).long()).logits


def config(family, vocab_size):
    if family == "bert":
        pad = vocab_size - 4            # data.BERT_TOKENS come last
        return {"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": vocab_size,
                "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512,
                "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
                "max_position_embeddings": 256, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
                "tie_word_embeddings": True, "dtype": "bfloat16", "pad_token_id": pad}
    ends = {"bos_token_id": END_ID, "eos_token_id": END_ID}
    if family == "gpt":
        return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": vocab_size,
                "n_positions": 256, "n_embd": 128, "n_layer": 2, "n_head": 4, "n_inner": None,
                "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
                "attn_pdrop": 0.0, "tie_word_embeddings": True, "dtype": "bfloat16", **ends}
    if family == "mlp":
        return {"model_type": "mlp", "architectures": ["MlpForCausalLM"], "vocab_size": vocab_size,
                "embedding_size": 64, "window_size": 16, "hidden_sizes": [256], "hidden_act": "tanh",
                "tie_word_embeddings": False, "dtype": "bfloat16", **ends}
    hidden, layers = {"rnn": (288, 2), "gru": (256, 1), "lstm": (224, 1)}[family]
    c = {"model_type": family, "architectures": [{"rnn": "Rnn", "gru": "Gru", "lstm": "Lstm"}[family] + "ForCausalLM"],
         "vocab_size": vocab_size, "embedding_size": hidden, "hidden_size": hidden, "num_layers": layers,
         "tie_word_embeddings": True, "dtype": "bfloat16", **ends}
    if family == "rnn":
        c["nonlinearity"] = "tanh"
    return c


def build(c):
    if c["model_type"] == "bert":
        return Bert(BertConfig(**{k: v for k, v in c.items() if k not in ("dtype", "architectures")}))
    return {"mlp": Mlp, "gpt2": Gpt}.get(c["model_type"], Recurrent)(c)


def save(model, c, folder):
    """Writes config.json and model.safetensors (bfloat16) beside the tokenizer."""
    if isinstance(model, Recurrent):
        model.fold()
    prefix = "transformer." if c["model_type"] == "gpt2" else ""
    tensors = {prefix + name: p.detach().to("cpu", torch.bfloat16).contiguous()
               for name, p in model.state_dict().items() if not name.startswith("cls.predictions.decoder")}
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(c, indent=2) + "\n")
    if c["model_type"] != "bert":
        generation = {"bos_token_id": END_ID, "eos_token_id": END_ID, "do_sample": True, "temperature": 0.8,
                      "top_k": 0}
        (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def load(folder):
    """The model as shipped: bfloat16 weights, widened to float32."""
    c = json.loads((folder / "config.json").read_text())
    model = build(c)
    tensors = load_file(str(folder / "model.safetensors"))
    tensors = {name.removeprefix("transformer."): t.float() for name, t in tensors.items()}
    if c["model_type"] == "bert":       # what is tied is in the file once
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]
    model.load_state_dict(tensors)
    return model.eval()
