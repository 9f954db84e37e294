"""The five families as PyTorch modules whose parameters carry the names of the files, and their start values."""
import json
import math

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

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

    def unfold(self):
        self.scale = math.sqrt(self.rnn.hidden_size)
        self.rnn.weight_ih_l0.data /= self.scale

    def fold(self):
        self.rnn.weight_ih_l0.data *= self.scale
        self.scale = 1.0

    def forward(self, x):
        out, _ = self.rnn(self.embedding(x) * self.scale)
        return F.linear(out, self.embedding.weight, self.lm_head.bias)


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

    def start(self, std=.1, amplitude=.1, gain=2.0, copy=.7, back=(1, 2, 3)):
        """Positions as sines and cosines; the first heads of the first layer look at the token 1, 2, 3 back; in all
        other heads like attends to like (W_k = W_q), and every head passes on what it saw (W_o = copy W_v^T)."""
        n, d = self.wpe.weight.shape
        heads = self.h[0].heads
        size = d // heads
        nn.init.normal_(self.wte.weight, std=std)
        w = 2.2 * 440.0 ** (-torch.arange(d // 2) / (d // 2 - 1))
        angle = torch.arange(n)[:, None] * w
        self.wpe.weight.data = torch.cat([angle.sin(), angle.cos()], 1) * amplitude
        for layer in self.h:
            attention, projection = layer.attn["c_attn"].weight.data, layer.attn["c_proj"].weight.data
            nn.init.normal_(attention, std=std)
            attention[:, d:2 * d] = attention[:, :d]
            projection.copy_(copy * attention[:, 2 * d:].T)
            nn.init.normal_(layer.mlp["c_fc"].weight, std=std)
            nn.init.normal_(layer.mlp["c_proj"].weight, std=std / math.sqrt(2 * len(self.h)))
        attention = self.h[0].attn["c_attn"].weight.data
        for head, distance in enumerate(back):          # score = gain^2 sum_f cos(w_f (i - distance - j))
            attention[:, head * size:(head + 1) * size] = 0
            attention[:, d + head * size:d + (head + 1) * size] = 0
            for m in range(size // 2):
                f = m * (d // 4) // (size // 2)
                q, k = head * size + 2 * m, d + head * size + 2 * m
                cos, sin = math.cos(float(w[f]) * distance), math.sin(float(w[f]) * distance)
                attention[f, q], attention[d // 2 + f, q] = gain * cos, -gain * sin
                attention[f, q + 1], attention[d // 2 + f, q + 1] = gain * sin, gain * cos
                attention[f, k], attention[d // 2 + f, k + 1] = gain, gain

    def forward(self, x):
        y = self.wte(x) + self.wpe.weight[:x.shape[1]]
        for block in self.h:
            y = block(y)
        return F.linear(self.ln_f(y), self.wte.weight)


def config(family, vocab_size):
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
    return {"mlp": Mlp, "gpt2": Gpt}.get(c["model_type"], Recurrent)(c)


def save(model, c, folder):
    """Writes config.json and model.safetensors (bfloat16) beside the tokenizer."""
    if isinstance(model, Recurrent):
        model.fold()
    prefix = "transformer." if c["model_type"] == "gpt2" else ""
    tensors = {prefix + name: p.detach().to(torch.bfloat16).contiguous() for name, p in model.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(c, indent=2) + "\n")
    generation = {"bos_token_id": END_ID, "eos_token_id": END_ID, "do_sample": True, "temperature": 0.8, "top_k": 0}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def load(folder):
    """The model as shipped: bfloat16 weights, widened to float32."""
    c = json.loads((folder / "config.json").read_text())
    model = build(c)
    tensors = load_file(str(folder / "model.safetensors"))
    model.load_state_dict({name.removeprefix("transformer."): t.float() for name, t in tensors.items()})
    return model.eval()
