#!/usr/bin/env python3
"""How the library compares with others, measured side by side in one run.

    python3 tests/peers.py VENV [BENCH] [--translation | --rtneural=SOURCES[,EIGEN] |
                                         --gguf=LLAMA_BENCH[,LLAMA_BENCH] [FILE ...]]

VENV is a directory for a Python environment; it is made, and the peers installed into it, if they are not there yet:
onnxruntime, PyTorch (with oneDNN inside, which is also called directly, its weights packed beforehand), numpy with
OpenBLAS. BENCH is the bench program (default: build/examples/bench).

Every work is run with one thread by everybody in turn, in several rounds; the best time of each counts. The table that
is printed has the time of a peer divided by ours: 1.50 means that the peer takes half as long again. Peers are called
through Python, which costs them a few microseconds a call, so works are mostly larger than that.

--translation compares with CTranslate2 instead, with f32 and with int8: sentences through a Transformer of Marian's
shape with random weights, greedily and with four beams. transformers writes the model of CTranslate2, and its own
converter converts it. Both make as many tokens, and both times contain the encoder. In each round all run in turn. The
table has the medians of the ratios in a round, and the least and the largest of them.

--gguf=PATHS compares with llama.cpp and its fork ik_llama.cpp instead, by the paths of their `llama-bench`: prompts of
128 and 512 tokens and tokens one by one, with the GGUF files named. Without FILE a model of the shape of Llama 3.2 1B
is written for each type. They generate 128 tokens from an empty context; ours is one behind 64, the mean of them.

--rtneural=SOURCES compares small recurrent cells with RTNeural instead: LSTM and GRU with one input, alone and with a
dense layer of one output, and with as many inputs as hidden units. SOURCES is a checkout of it with its modules, EIGEN a folder with Eigen's headers (default:
/usr/include/eigen3). A program with all sizes fixed is compiled with g++, -O3 -march=native -ffast-math, once with
Eigen and once without; the faster one counts. RTNeural runs step by step, which is compared with our steps and with our
blocks of 64 (of 128 where inputs are as many as units). The table has medians as above.

This is no test: it says how things stand on one machine on one day.
"""
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
SECONDS = 0.06  # for one work of one peer in one round
STEPS = 128  # of a sequence, as in the bench
PACKAGES = ["numpy", "onnx", "onnxruntime", "torch", "transformers", "ctranslate2"]
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

PRODUCTS = [  # m, k, n
    (1, 768, 3072), (4, 768, 768), (16, 768, 768), (128, 768, 768), (16, 256, 1024), (128, 256, 1024),
    (16, 768, 3072), (128, 768, 3072), (16, 2048, 5632),
]
PERCEPTRON, BATCHES = (784, 256, 128, 10), (1, 64)
CELLS, WIDTHS = ("rnn", "gru", "lstm"), (64, 128, 256, 512)
ENCODERS = {  # layers, width, heads, width of the feed-forward network, a bias of the scores
    "minilm": (6, 384, 12, 1536, False), "bert": (12, 768, 12, 3072, False), "mpnet": (12, 768, 12, 3072, True),
}
TOKENS = 128  # of an encoder's text, as in the bench
TEXTS, LONGEST = 64, 32  # short texts of 8 to 32 tokens, 20 on average; peers compute them padded to the longest
SOURCE, TARGET = 30, 32  # tokens of a sentence of Marian's shape, and of its translation
SENTENCES, BEAMS = (1, 8), (1, 4)
VOCABULARY = 58101  # of opus-mt-en-de
GGUF_TYPES = ("Q8_0", "Q5_0", "Q4_0", "Q4_1", "Q4_K")
PROMPTS, GENERATED, GGUF_ROUNDS = (128, 512), 128, 3
EQUAL = (64, 128, 256)  # inputs and hidden units of recurrent cells
SMALL = (8, 12, 16, 20, 32, 40, 64)  # hidden sizes of cells with one input


def product_name(m, k, n):
    return f"product m = {m}, {k} x {n}"


def perceptron_name(batch):
    return f"MLP 784-256-128-10, batch {batch}"


def sequence_name(cell, h):
    return f"{cell.upper()} sequence, a step, h = {h}"


def encoder_name(kind):
    return f"encoder of {kind}'s shape, {TOKENS} tokens"


def texts_name(kind):
    return f"encoder of {kind}'s shape, {TEXTS} texts of 8 to {LONGEST} tokens"


def translate_name(sentences, beams):
    return f"Marian's shape, {sentences} x {SOURCE} tokens to {TARGET}, {f'{beams} beams' if beams > 1 else 'greedy'}"


# ---- ours ------------------------------------------------------------------------------------------------------------


def run_bench(bench, *arguments):
    out = subprocess.run([bench, "--json", "--quick", *arguments], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def ours(bench):
    """Seconds by name of work; a step of a sequence is one of its steps."""
    times = {}
    perceptrons = run_bench(bench, "--only", "mlp 784")
    kernel = perceptrons[0]["kernel"]
    for line in perceptrons:
        times[perceptron_name(line["m"])] = line["seconds"]
    for line in run_bench(bench, "--only", "product", "--kernel", kernel):
        if line["type"] == "F32":
            times[product_name(line["m"], line["k"], line["n"])] = line["seconds"]
    for line in run_bench(bench, "--only", "sequence"):
        times[sequence_name(line["name"].split()[0], line["n"])] = line["seconds"]
    for line in run_bench(bench, "--only", "encoder"):
        kind = line["name"].split()[0]
        times[texts_name(kind) if line["name"].endswith("x64") else encoder_name(kind)] = line["seconds"]
    return times


def our_translations(bench):
    return {translate_name(line["m"], 1 if "greedy" in line["name"] else int(line["name"].split()[1])): line["seconds"]
            for line in run_bench(bench, "--only", "translate")}


# ---- peers: each gives a dictionary of calls by name of work ---------------------------------------------------------


def openblas():
    import numpy as np

    def product(m, k, n):
        x, w = np.ones((m, k), np.float32), np.ones((n, k), np.float32)
        y = np.empty((m, n), np.float32)
        return lambda: np.matmul(x, w.T, out=y)

    return {product_name(*shape): product(*shape) for shape in PRODUCTS}


def onednn():
    import torch

    def product(m, k, n):
        x, b = torch.ones(m, k), torch.zeros(n)
        w = torch.ops.mkldnn._reorder_linear_weight(torch.ones(n, k), m)
        return lambda: torch.ops.mkldnn._linear_pointwise(x, w, b, "none", [], "")

    return {product_name(*shape): product(*shape) for shape in PRODUCTS}


def pytorch():
    import torch

    def product(m, k, n):
        x, w, b = torch.ones(m, k), torch.ones(n, k), torch.zeros(n)
        return lambda: torch.nn.functional.linear(x, w, b)

    def perceptron(batch):
        layers = []
        for i, o in zip(PERCEPTRON, PERCEPTRON[1:]):
            layers += [torch.nn.Linear(i, o), torch.nn.ReLU()]
        x = torch.rand(batch, PERCEPTRON[0])
        net = torch.jit.freeze(torch.jit.trace(torch.nn.Sequential(*layers[:-1]).eval(), x))
        return lambda: net(x)

    def sequence(cell, h):
        net = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](h, h).eval()
        x = torch.rand(STEPS, 1, h)
        return lambda: net(x)

    def encoder(texts, tokens, layers, width, heads, feed_forward, bias):
        layer = torch.nn.TransformerEncoderLayer(width, heads, feed_forward, activation="gelu", batch_first=True)
        net, x = torch.nn.TransformerEncoder(layer, layers).eval(), torch.rand(texts, tokens, width)
        mask = torch.rand(tokens, tokens) if bias else None
        return lambda: net(x, mask)

    calls = {product_name(*shape): product(*shape) for shape in PRODUCTS}
    calls |= {perceptron_name(batch): perceptron(batch) for batch in BATCHES}
    calls |= {encoder_name(kind): encoder(1, TOKENS, *sizes) for kind, sizes in ENCODERS.items()}
    calls |= {texts_name(kind): encoder(TEXTS, LONGEST, *sizes) for kind, sizes in ENCODERS.items()}
    return calls | {sequence_name(cell, h): sequence(cell, h) for cell in CELLS for h in WIDTHS}


def onnxruntime():
    import numpy as np
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    def session(nodes, weights, x):
        names = {name for node in nodes for name in node.output if name}
        used = {name for node in nodes for name in node.input}
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(names - used)]
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
        constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
        graph = helper.make_graph(nodes, "work", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        run = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run
        return lambda: run(None, {"x": x})

    def random(*shape):
        return (np.random.default_rng(1).random(shape, np.float32) - 0.5) / 10

    def chain(sizes, batch):
        nodes, weights, last = [], {}, "x"
        for i, (k, n) in enumerate(zip(sizes, sizes[1:])):
            weights |= {f"w{i}": random(n, k), f"b{i}": random(n)}
            nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"h{i}"], transB=1))
            last = f"h{i}"
            if i + 2 < len(sizes):
                nodes.append(helper.make_node("Relu", [last], [f"r{i}"]))
                last = f"r{i}"
        return session(nodes, weights, random(batch, sizes[0]))

    def sequence(cell, h):
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[cell]
        more = {"linear_before_reset": 1} if cell == "gru" else {}
        node = helper.make_node(cell.upper(), ["x", "w", "r", "b"], ["y"], hidden_size=h, **more)
        weights = {"w": random(1, gates * h, h), "r": random(1, gates * h, h), "b": random(1, 2 * gates * h)}
        return session([node], weights, random(STEPS, 1, h))

    def encoder(texts, tokens, layers, width, heads, feed_forward, bias):
        nodes, weights = [], {"heads": np.array([0, 0, heads, width // heads]), "rows": np.array([0, 0, width]),
                              "root": np.array(np.sqrt(width / heads), np.float32)}

        def apply(op, *inputs, **attributes):
            nodes.append(helper.make_node(op, list(inputs), [f"v{len(nodes)}"], **attributes))
            return nodes[-1].output[0]

        def weight(*shape):
            weights[f"w{len(weights)}"] = random(*shape)
            return f"w{len(weights) - 1}"

        def linear(x, k, n):
            return apply("Add", apply("MatMul", x, weight(k, n)), weight(n))

        def split(x, order):
            return apply("Transpose", apply("Reshape", linear(x, width, width), "heads"), perm=order)

        def norm(x, y):
            return apply("LayerNormalization", apply("Add", x, y), weight(width), weight(width), axis=-1)

        x, places = "x", weight(1, heads, tokens, tokens) if bias else None
        for _ in range(layers):
            q, k, v = split(x, (0, 2, 1, 3)), split(x, (0, 2, 3, 1)), split(x, (0, 2, 1, 3))
            scores = apply("Div", apply("MatMul", q, k), "root")
            shares = apply("Softmax", apply("Add", scores, places) if bias else scores, axis=-1)
            seen = apply("Reshape", apply("Transpose", apply("MatMul", shares, v), perm=(0, 2, 1, 3)), "rows")
            x = norm(x, linear(seen, width, width))
            x = norm(x, linear(apply("Gelu", linear(x, width, feed_forward)), feed_forward, width))
        return session(nodes, weights, random(texts, tokens, width))

    calls = {product_name(m, k, n): chain((k, n), m) for m, k, n in PRODUCTS}
    calls |= {perceptron_name(batch): chain(PERCEPTRON, batch) for batch in BATCHES}
    calls |= {encoder_name(kind): encoder(1, TOKENS, *sizes) for kind, sizes in ENCODERS.items()}
    calls |= {texts_name(kind): encoder(TEXTS, LONGEST, *sizes) for kind, sizes in ENCODERS.items()}
    return calls | {sequence_name(cell, h): sequence(cell, h) for cell in CELLS for h in WIDTHS}


def translators():
    import ctranslate2
    import transformers
    from ctranslate2.converters.transformers import MarianMTLoader

    class Names:
        eos_token, unk_token = "</s>", "<unk>"

    class Loader(MarianMTLoader):
        def get_vocabulary(self, model, tokenizer):  # all but <pad>, whose rows the loader removes
            return [Names.eos_token, Names.unk_token] + [f"t{i}" for i in range(2, VOCABULARY - 1)]

    model = transformers.MarianMTModel(transformers.MarianConfig(
        vocab_size=VOCABULARY, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
        decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, max_position_embeddings=512,
        activation_function="swish", scale_embedding=True, pad_token_id=VOCABULARY - 1, eos_token_id=0,
        decoder_start_token_id=VOCABULARY - 1, forced_eos_token_id=0))
    sources = [[f"t{2 + (i * SOURCE + t) * 7919 % (VOCABULARY - 3)}" for t in range(SOURCE)] for i in range(max(SENTENCES))]

    def works(folder, compute_type):
        translator = ctranslate2.Translator(folder, compute_type=compute_type, inter_threads=1, intra_threads=1)

        def work(sentences, beams):
            def call():
                results = translator.translate_batch(sources[:sentences], beam_size=beams, min_decoding_length=TARGET,
                                                     max_decoding_length=TARGET)
                assert all(len(result.hypotheses[0]) == TARGET for result in results)
            return call

        return {translate_name(s, b): work(s, b) for s in SENTENCES for b in BEAMS}

    with tempfile.TemporaryDirectory() as folder:
        spec = Loader()(model.eval(), Names)
        spec.validate()
        spec.optimize()
        spec.save(folder)
        return {f"CTranslate2 {ctranslate2.__version__}, {kind}": works(folder, kind) for kind in ("float32", "int8")}


def write_llama(path, kind):
    """A file of the shape of Llama 3.2 1B without a vocabulary. Its weights are one block, repeated: speed does not
    depend on them."""
    import gguf
    import numpy as np

    hidden, blocks, heads, kv_heads, inner, vocabulary = 2048, 16, 32, 8, 8192, 128256
    numbers = np.random.default_rng(1)
    quant = gguf.GGMLQuantizationType[kind]
    per_block, block_bytes = gguf.GGML_QUANT_SIZES[quant]
    if kind == "Q4_K":  # gguf cannot quantise to it: scales of 0.001, then any bits
        block = np.concatenate([np.full(2, 0.001, np.float16).view(np.uint8), numbers.integers(0, 256, 140, np.uint8)])
    else:
        block = gguf.quantize(numbers.normal(0, 0.02, (1, per_block)).astype(np.float32), quant).reshape(-1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(blocks)
    writer.add_context_length(4096)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("none")
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)

    def matrix(name, n, k):
        assert k % per_block == 0
        writer.add_tensor(name, np.tile(block, n * k // per_block).reshape(n, -1), raw_dtype=quant)

    def norm(name):
        writer.add_tensor(name, np.ones(hidden, np.float32))

    matrix("token_embd.weight", vocabulary, hidden)
    norm("output_norm.weight")
    for i in range(blocks):
        norm(f"blk.{i}.attn_norm.weight")
        norm(f"blk.{i}.ffn_norm.weight")
        for name, n, k in (("attn_q", hidden, hidden), ("attn_k", 64 * kv_heads, hidden),
                           ("attn_v", 64 * kv_heads, hidden), ("attn_output", hidden, hidden),
                           ("ffn_gate", inner, hidden), ("ffn_up", inner, hidden), ("ffn_down", hidden, inner)):
            matrix(f"blk.{i}.{name}.weight", n, k)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


RTNEURAL = r"""
#include <RTNeural/RTNeural.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>

using matrix = std::vector<std::vector<float>>;

static matrix random_matrix(int rows, int columns)
{
    matrix m(rows, std::vector<float>(columns));
    for(auto& row : m)
        for(auto& x : row)
            x = ((float)std::rand() / (float)RAND_MAX - 0.5f) / 10;
    return m;
}

template <bool gru, typename Cell>
void fill(Cell& cell, int h)
{
    const int gates = gru ? 3 : 4;
    cell.setWVals(random_matrix(Cell::in_size, gates * h));
    cell.setUVals(random_matrix(h, gates * h));
    if constexpr(gru)
        cell.setBVals(random_matrix(2, gates * h));
    else
        cell.setBVals(random_matrix(1, gates * h)[0]);
}

/* The best time of a step in 0.04 s, of runs of 1024 steps. */
template <typename Model>
void measure(Model& model, const char* name, int h)
{
    using clock = std::chrono::steady_clock;
    alignas(RTNEURAL_DEFAULT_ALIGNMENT) static float x[Model::input_size];
    double best = 1;
    model.reset();
    for(auto end = clock::now() + std::chrono::milliseconds(40); clock::now() < end;)
    {
        auto start = clock::now();
        for(int i = 0; i < 1024; ++i)
        {
            x[0] = (float)(i % 13) / 13 - 0.5f;
            model.forward(x);
            asm volatile("" : : "r"(model.getOutputs()) : "memory");
        }
        best = std::min(best, std::chrono::duration<double>(clock::now() - start).count() / 1024);
    }
    std::printf("{\"name\": \"%s\", \"n\": %d, \"seconds\": %.6g}\n", name, h, best);
}

template <int h, typename Cell, bool gru>
void cells(const char* name, const char* dense_name)
{
    static RTNeural::ModelT<float, 1, h, Cell> alone;
    static RTNeural::ModelT<float, 1, 1, Cell, RTNeural::DenseT<float, h, 1>> with_dense;
    float bias[] = { 0.1f };
    fill<gru>(alone.template get<0>(), h);
    fill<gru>(with_dense.template get<0>(), h);
    with_dense.template get<1>().setWeights(random_matrix(1, h));
    with_dense.template get<1>().setBias(bias);
    measure(alone, name, h);
    measure(with_dense, dense_name, h);
}

template <int h, typename Cell, bool gru>
void equal(const char* name)
{
    static RTNeural::ModelT<float, h, h, Cell> model;
    fill<gru>(model.template get<0>(), h);
    measure(model, name, h);
}

template <int... sizes>
void equals()
{
    (equal<sizes, RTNeural::GRULayerT<float, sizes, sizes>, true>("gru equal"), ...);
    (equal<sizes, RTNeural::LSTMLayerT<float, sizes, sizes>, false>("lstm equal"), ...);
}

template <int... sizes>
void all()
{
    (cells<sizes, RTNeural::GRULayerT<float, 1, sizes>, true>("gru", "gru dense"), ...);
    (cells<sizes, RTNeural::LSTMLayerT<float, 1, sizes>, false>("lstm", "lstm dense"), ...);
}

int main() { all<SMALL>(); equals<EQUAL>(); }
"""


def compile_rtneural(folder, sources, *backend):
    source, program = os.path.join(folder, "rtneural.cpp"), os.path.join(folder, "rtneural" + backend[0])
    with open(source, "w", encoding="utf-8") as file:
        file.write(RTNEURAL.replace("SMALL", ", ".join(map(str, SMALL))).replace("EQUAL", ", ".join(map(str, EQUAL))))
    subprocess.run(["g++", "-std=c++17", "-O3", "-march=native", "-ffast-math", "-DEIGEN_STACK_ALLOCATION_LIMIT=0",
                    "-DRTNEURAL_DEFAULT_ALIGNMENT=32", f"-I{sources}", source, *backend, "-o", program], check=True)
    return program


# ---- measuring -------------------------------------------------------------------------------------------------------


def best_time(call):
    call()
    start = time.perf_counter()
    call()
    n = max(1, int(100e-6 / (time.perf_counter() - start)))
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(n):
            call()
        best = min(best, (time.perf_counter() - start) / n)
    return best


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(bench):
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    peers = {peer.__name__: peer() for peer in (onnxruntime, onednn, pytorch, openblas)}
    best = {}
    for _ in range(ROUNDS):
        rounds = [("inkling", name, seconds) for name, seconds in ours(bench).items()]
        for peer, calls in peers.items():
            for name, call in calls.items():
                rounds.append((peer, name, best_time(call) / (STEPS if "sequence" in name else 1)))
        for peer, name, seconds in rounds:
            best[peer, name] = min(seconds, best.get((peer, name), seconds))
    return list(peers), best


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "")
    return model or platform.processor()


def show(peers, best):
    import numpy
    import onnxruntime as ort
    import torch

    onednn_version = next((w for w in torch.__config__.show().split() if w.startswith("v") and w[1].isdigit()), "")
    print(f"{datetime.date.today()}, {processor()}, one thread; onnxruntime {ort.__version__}, "
          f"PyTorch {torch.__version__}, oneDNN {onednn_version}, numpy {numpy.__version__}\n")
    print("| work | inkling | " + " | ".join(peers) + " |")
    print("|---|---" + "|---" * len(peers) + "|")
    names = [product_name(*shape) for shape in PRODUCTS] + [perceptron_name(batch) for batch in BATCHES]
    names += [sequence_name(cell, h) for cell in CELLS for h in WIDTHS] + [encoder_name(kind) for kind in ENCODERS]
    names += [texts_name(kind) for kind in ENCODERS]
    for name in names:
        us = best["inkling", name]
        ratios = [f"{best[peer, name] / us:.2f}" if (peer, name) in best else "" for peer in peers]
        print(f"| {name} | {us * 1e6:.1f} us | " + " | ".join(ratios) + " |")


def translate(bench):
    """Every round times each work by everybody in turn, twice; the better time counts."""
    peers, rounds = translators(), {}
    for _ in range(ROUNDS):
        for name, seconds in our_translations(bench).items():
            rounds.setdefault(name, []).append([seconds] + [min(timed(c), timed(c)) for c in (p[name] for p in peers.values())])
    print(f"{datetime.date.today()}, {processor()}, one thread, {ROUNDS} rounds\n")
    print("| work | inkling | " + " | ".join(peers) + " |")
    print("|---|---" + "|---" * len(peers) + "|")
    for name, times in rounds.items():
        cells = [f"{min(row[0] for row in times) * 1e3:.0f} ms"]
        for peer in range(1, len(peers) + 1):
            ratios = [row[peer] / row[0] for row in times]
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {name} | " + " | ".join(cells) + " |")


def llama_bench(program, path):
    """Tokens a second by the name of the work."""
    command = [program, "-m", path, "-t", "1", "-p", ",".join(map(str, PROMPTS)), "-n", str(GENERATED), "-r", "1"]
    out = subprocess.run([*command, "-o", "json"], check=True, capture_output=True, text=True).stdout
    rates = {}
    for row in json.loads(out):
        rates[f"prompt {row['n_prompt']}" if row["n_prompt"] else "token"] = row["avg_ts"]
        rates["version"] = row["build_commit"]
    return rates


def our_model(bench, path):
    return {f"prompt {line['m']}" if line["name"] == "prompt" else line["name"]: line["rate"]
            for line in run_bench(bench, "--model", path) if line["name"] != "open"}


def llamas(bench, programs, paths):
    """In each round all run in turn; the table has the medians of our rate divided by theirs, and the extremes."""
    versions, rows = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for path in paths or GGUF_TYPES:
            if not paths:
                kind, path = path, os.path.join(folder, f"llama-1b-{path}.gguf")
                write_llama(path, kind)
            for _ in range(GGUF_ROUNDS):
                mine = our_model(bench, path)
                theirs = [llama_bench(program, path) for program in programs]
                versions |= {program: rates.pop("version") for program, rates in zip(programs, theirs)}
                for work, rate in mine.items():
                    row = rate, [rates[work] for rates in theirs]
                    rows.setdefault((os.path.basename(path), work), []).append(row)
            if not paths:
                os.remove(path)
    print(f"{datetime.date.today()}, {processor()}, one thread, {GGUF_ROUNDS} rounds; "
          f"{', '.join(f'{program}: {version}' for program, version in versions.items())}\n")
    heads = [f"{program}, tokens/s | ours / theirs" for program in programs]
    print("| file | work | inkling, tokens/s | " + " | ".join(heads) + " |")
    print("|---|---|---" + "|---|---" * len(programs) + "|")
    for (name, work), rates in rows.items():
        cells = [name, work, f"{max(rate for rate, _ in rates):.0f}"]
        for i in range(len(programs)):
            ratios = [rate / theirs[i] for rate, theirs in rates]
            cells += [f"{max(theirs[i] for _, theirs in rates):.0f}",
                      f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]
        print("| " + " | ".join(cells) + " |")


def small_cells(bench, sources, eigen="/usr/include/eigen3"):
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        programs = [compile_rtneural(folder, sources, "-DRTNEURAL_USE_EIGEN=1", f"-I{eigen}"),
                    compile_rtneural(folder, sources, "-DRTNEURAL_USE_STL=1")]
        for _ in range(ROUNDS):
            mine = {(line["name"], line["n"]): line["seconds"] for line in run_bench(bench, "--only", "cell")}
            theirs = {}
            for program in programs:
                out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
                for line in map(json.loads, out.splitlines()):
                    theirs.setdefault((line["name"], line["n"]), []).append(line["seconds"])
            for (name, h), times in theirs.items():
                cell, *kind = name.split()
                if kind == ["equal"]:
                    lines = [f"{cell} step", f"{cell} sequence"]
                else:
                    lines = [" ".join(["small", cell, way, *kind]) for way in ("step", "block")]
                rows.setdefault((name, h), []).append((min(times), *(mine[line, h] for line in lines)))
    print(f"{datetime.date.today()}, {processor()}, one thread, {ROUNDS} rounds\n")
    print("| cell | RTNeural, us a step | inkling, step by step | RTNeural / ours | in blocks | RTNeural / ours |")
    print("|---|---|---|---|---|---|")
    for (name, h), times in sorted(rows.items(), key=lambda row: (row[0][0].split()[1:], row[0])):
        cell, *kind = name.split()
        extra = {"dense": ", dense 1", "equal": f", {h} inputs"}[kind[0]] if kind else ""
        cells = [f"{cell.upper()} {h}{extra}", f"{min(t[0] for t in times) * 1e6:.3f}"]
        for way in (1, 2):
            ratios = [t[0] / t[way] for t in times]
            cells += [f"{min(t[way] for t in times) * 1e6:.3f}",
                      f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]
        print("| " + " | ".join(cells) + " |")


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    gguf = next((a.removeprefix("--gguf=").split(",") for a in sys.argv[1:] if a.startswith("--gguf=")), None)
    rtneural = next((a.removeprefix("--rtneural=").split(",") for a in sys.argv[1:] if a.startswith("--rtneural=")), None)
    files = [a for a in arguments if a.endswith(".gguf")]
    arguments = [a for a in arguments if a not in files]
    if len(arguments) not in (1, 2):
        sys.exit(__doc__)
    venv, bench = os.path.abspath(arguments[0]), arguments[1] if len(arguments) == 2 else "build/examples/bench"
    python = os.path.join(venv, "bin", "python")
    if rtneural is not None:
        small_cells(bench, *rtneural)
        return
    if os.path.abspath(sys.prefix) == venv:
        if gguf is not None:
            llamas(bench, gguf, files)
        elif "--translation" in sys.argv:
            translate(bench)
        else:
            show(*measure(bench))
        return
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    packages = PACKAGES if gguf is None else ["numpy", "gguf"]
    if subprocess.run([python, "-c", "import " + ", ".join(packages)], stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    os.execve(python, [python, os.path.abspath(__file__), *sys.argv[1:]], os.environ | ONE_THREAD)


if __name__ == "__main__":
    main()
