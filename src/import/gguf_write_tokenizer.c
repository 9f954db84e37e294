/*
 * gguf_write_tokenizer.c - the tokenizer of a folder as keys of a GGUF file, for llama.cpp's three kinds:
 *
 *     gpt2     byte-level BPE: tokens as GPT-2 spells bytes, merges, and the name of the pattern that splits texts
 *     llama    SentencePiece's BPE: pieces with scores, which say in which order neighbours are merged; bytes
 *     bert     WordPiece: U+2581 in front of what begins a word, and nothing in front of what continues one
 *
 * A tokenizer with other steps than llama.cpp has for its kind is refused, and the sentence names the step.
 */
#include <string.h>

#include "../formats/sentencepiece.h"
#include "../text/chat_object.h"
#include "../text/unicode.h"
#include "gguf_out.h"
#include "tokenizer_import.h"

typedef struct vocab_out {
    ink_gguf_out *out;
    ink_context *ctx;
    const char *file; /* for messages */
    const ink_tokenizer *t;
    size_t n;             /* rows of the model's embedding */
    unsigned char *types; /* [n] each an ink_sp_type: GGUF has SentencePiece's */
    char *text;           /* room for two tokens as they are written */
    const char *kind;     /* "gpt2", "llama", "bert" */
    const char *pre;      /* of gpt2: names of its pattern, with blanks between them */
    bool prefix;          /* of llama: a space goes in front of a text */
} vocab_out;

static ink_result vocab_refuse(const vocab_out *v, const char *what)
{
    return ink_fail(v->ctx, INK_ERROR_UNSUPPORTED, "%s: the tokenizer cannot be written as GGUF: %.400s", v->file,
                    what);
}

/* ---- which kind ------------------------------------------------------------------------------------------------- */

/* Whether a step cuts numbers into so many digits at most. */
static bool cuts_numbers(const ink_step *step, size_t digits)
{
    if (step->behavior != INK_SPLIT_ISOLATED || step->invert)
        return false;
    return step->match == ink_match_numbers
               ? step->start == digits
               : step->match == ink_match_property && step->properties == INK_UNICODE_NUMERIC && digits == 1;
}

/* Whether a step cuts words as a pattern that matches everything, so that its matches may be removed, inverted. */
static bool cuts_words(const ink_step *step, ink_pattern_name name)
{
    const ink_pattern *p = &ink_patterns[name];
    return step->match == p->match && step->properties == p->options && step->start == p->most &&
           step->behavior == (step->invert ? INK_SPLIT_REMOVED : INK_SPLIT_ISOLATED);
}

static ink_result describe_byte_level(vocab_out *v)
{
    const ink_tokenizer *t = v->t;
    const ink_step *cuts[INK_SPLIT_STEPS];
    const bool nfc = t->normalizer.n == 1 && t->normalizer.step[0].normalize == ink_normal_nfc;
    size_t n = 0;
    v->kind = "gpt2";
    if (t->normalizer.n != 0 && !nfc)
        return vocab_refuse(v, "llama.cpp has no normalizer for byte-level BPE");
    for (size_t i = 0; i < t->splitter.n; i++) {
        const ink_step *step = &t->splitter.step[i];
        if (step->scheme != INK_PREFIX_NEVER && step->prefix.size > 0)
            return vocab_refuse(v, "llama.cpp puts no space in front of a text (add_prefix_space) of byte-level BPE");
        if (step->match != ink_match_nothing)
            cuts[n++] = step;
    }
    for (const ink_pre *pre = ink_pres; pre->names != NULL && v->pre == NULL; pre++)
        if (n == (pre->digits != 0 ? 2 : 1) && (n == 1 || cuts_numbers(cuts[0], pre->digits)) &&
            cuts_words(cuts[n - 1], pre->pattern) && nfc == pre->nfc && t->bpe.ignore_merges == pre->whole_words)
            v->pre = pre->names;
    if (v->pre == NULL) {
        char what[160];
        ink_format(what, sizeof what,
                   "no name under tokenizer.ggml.pre stands for its pre_tokenizer with%s NFC and with ignore_merges %s",
                   nfc ? "" : "out", t->bpe.ignore_merges ? "true" : "false");
        return vocab_refuse(v, what);
    }
    if (nfc)
        ink_gguf_note(v->out, "llama.cpp does not bring texts into NFC: a letter and a combining accent stay two "
                              "characters");
    return INK_OK;
}

static bool is_text(const ink_short_text *text, const char *is)
{
    return text->size == strlen(is) && memcmp(text->bytes, is, text->size) == 0;
}

/* Spaces become U+2581, and perhaps one goes in front; nothing is split. */
static ink_result describe_pieces(vocab_out *v)
{
    const ink_tokenizer *t = v->t;
    bool marked = false;
    v->kind = "llama";
    for (size_t i = 0; i < t->normalizer.n; i++) {
        const ink_step *step = &t->normalizer.step[i];
        if (step->normalize == ink_normal_prepend && is_text(&step->to, INK_SPACE))
            v->prefix = true;
        else if (step->normalize == ink_normal_replace && is_text(&step->from, " ") && is_text(&step->to, INK_SPACE) &&
                 step->start <= 1 && step->stop == 0)
            marked = true;
        else
            return vocab_refuse(v, "its normalizer has a step that llama.cpp's SentencePiece lacks");
    }
    for (size_t i = 0; i < t->splitter.n; i++) {
        const ink_step *step = &t->splitter.step[i];
        const bool metaspace = is_text(&step->to, INK_SPACE) && step->match == ink_match_nothing;
        if (metaspace) {
            marked = true;
            v->prefix |= step->scheme != INK_PREFIX_NEVER;
            if (v->prefix)
                ink_gguf_note(v->out,
                              "llama.cpp puts a space in front of every text, also of one that begins with a space%s",
                              step->scheme == INK_PREFIX_FIRST ? ", and behind every control token" : "");
        } else if (step->match != ink_match_string || !is_text(&step->from, " ") || !marked) {
            return vocab_refuse(v, "it splits texts into words, which llama.cpp's SentencePiece does not");
        }
    }
    if (!marked)
        return vocab_refuse(v, "its pieces do not spell spaces as U+2581");
    for (size_t i = 0; i < 256; i++)
        if (!t->bytes.fallback || t->bytes.id[i] < 0)
            return vocab_refuse(v, "it lacks tokens for bytes (byte_fallback)");
    return INK_OK;
}

static ink_result describe_wordpiece(vocab_out *v)
{
    static const ink_normal_fn normal[] = {ink_normal_drop, ink_normal_space, ink_normal_chinese,
                                           ink_normal_nfd,  ink_normal_drop,  ink_normal_lowercase};
    const ink_tokenizer *t = v->t;
    bool same = t->normalizer.n == 6 && t->splitter.n == 2 && t->splitter.step[0].match == ink_match_space &&
                t->splitter.step[1].match == ink_match_property && t->marks_rest;
    v->kind = "bert";
    for (size_t i = 0; i < 6 && same; i++)
        same = t->normalizer.step[i].normalize == normal[i];
    return same ? INK_OK
                : vocab_refuse(v, "llama.cpp's WordPiece removes control characters and accents, makes texts lower "
                                  "case, and splits at spaces and punctuation, no more and no less");
}

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

/* Spelled like a control token, whatever the folder says; llama.cpp must not find it in a text. */
static bool looks_special(const char *text, size_t size)
{
    return (size > 4 && memcmp(text, "<|", 2) == 0 && memcmp(text + size - 2, "|>", 2) == 0) ||
           (size == 5 && memcmp(text, "<pad>", 5) == 0) || (size == 6 && memcmp(text, "<mask>", 6) == 0);
}

static void type_tokens(vocab_out *v)
{
    const ink_tokenizer *t = v->t;
    const bool pieces = strcmp(v->kind, "llama") == 0;
    for (size_t id = 0; id < v->n; id++)
        v->types[id] = ink_vocab_has(&t->vocab, (ink_token)id) ? INK_SP_NORMAL : INK_SP_UNUSED;
    for (size_t i = 0; i < 256 && pieces; i++)
        if ((size_t)t->bytes.id[i] < v->n)
            v->types[t->bytes.id[i]] = INK_SP_BYTE;
    for (size_t i = 0; i < t->added.n_tokens; i++) {
        const ink_token id = t->added.tokens[i].id;
        const ink_vocab_token *token = &t->vocab.tokens[id];
        if (id >= 0 && (size_t)id < v->n)
            v->types[id] = token->special || looks_special(ink_vocab_bytes(&t->vocab, id), token->size)
                               ? INK_SP_CONTROL
                               : INK_SP_USER_DEFINED;
    }
    if (pieces && t->unk >= 0 && (size_t)t->unk < v->n)
        v->types[t->unk] = INK_SP_UNKNOWN;
}

/* Spells a token as GGUF does, and returns the size. */
static size_t spell_token(const vocab_out *v, ink_token id, char *text)
{
    const ink_vocab_token *token = &v->t->vocab.tokens[id];
    const char *bytes = ink_vocab_bytes(&v->t->vocab, id);
    const bool plain = v->types[id] == INK_SP_CONTROL || v->types[id] == INK_SP_USER_DEFINED;
    size_t size = 0, skipped = 0;
    if (v->t->bpe.byte_level && !token->verbatim) {
        for (size_t i = 0; i < token->size; i++)
            size += ink_utf8_put(text + size, ink_spell_byte((unsigned char)bytes[i]));
        return size;
    }
    if (strcmp(v->kind, "bert") == 0 && !plain) {
        skipped = token->size > 2 && memcmp(bytes, "##", 2) == 0 ? 2 : 0;
        memcpy(text, INK_SPACE, 3);
        size = skipped == 0 ? 3 : 0;
    }
    for (size_t i = skipped; i < token->size; i++) {
        /* A token that is cut out of the raw text has its spaces as they are. */
        const bool space = v->types[id] == INK_SP_USER_DEFINED && strcmp(v->kind, "llama") == 0 &&
                           token->size - i >= 3 && memcmp(bytes + i, INK_SPACE, 3) == 0;
        text[size++] = space ? ' ' : bytes[i];
        i += space ? 2 : 0;
    }
    return size;
}

/* SentencePiece merges the neighbours whose piece has the highest score, whatever pairs there are. So a merge gives its
   piece the score of its place, and each pair of pieces that makes a piece must be a merge. */
static ink_result put_scores(vocab_out *v)
{
    const ink_tokenizer *t = v->t;
    const ink_bpe *bpe = &t->bpe;
    float *scores = ink_arena_alloc(&v->ctx->scratch, v->n, sizeof *scores);
    if (scores == NULL)
        return ink_fail(v->ctx, INK_ERROR_MEMORY, "out of memory: %zu tokens", v->n);
    memset(scores, 0, v->n * sizeof *scores);
    for (size_t i = bpe->n_merges; i-- > 0;)
        if ((size_t)bpe->merges[i].merged < v->n)
            scores[bpe->merges[i].merged] = -(float)(i + 1);
    for (size_t id = 0; id < v->n && v->out->counts; id++) {
        const ink_vocab_token *token = &t->vocab.tokens[id];
        const char *bytes = v->types[id] == INK_SP_NORMAL ? ink_vocab_bytes(&t->vocab, (ink_token)id) : "";
        const size_t size = v->types[id] == INK_SP_NORMAL ? ink_size_min(token->size, INK_PIECES_LONGEST) : 0;
        for (size_t cut = 1; cut < size; cut++) {
            const ink_token left = ink_vocab_find(&t->vocab, bytes, cut, false);
            const ink_token right = left >= 0 ? ink_vocab_find(&t->vocab, bytes + cut, token->size - cut, false) : -1;
            if (right >= 0 && v->types[left] == INK_SP_NORMAL && v->types[right] == INK_SP_NORMAL &&
                ink_bpe_rank(bpe, left, right) == INK_NO_RANK)
                return ink_fail(v->ctx, INK_ERROR_UNSUPPORTED,
                                "%s: the tokenizer cannot be written as GGUF: its merges are not those of "
                                "SentencePiece, because '%.*s' and '%.*s' do not merge to the token they spell",
                                v->file, (int)cut, bytes, (int)(token->size - cut), bytes + cut);
        }
    }
    ink_gguf_array(v->out, "tokenizer.ggml.scores", INK_GGUF_F32, v->n);
    for (size_t id = 0; id < v->n; id++) {
        uint32_t bits;
        memcpy(&bits, &scores[id], sizeof bits);
        ink_gguf_put_number(v->out, 4, bits);
    }
    return INK_OK;
}

static void put_merges(vocab_out *v)
{
    const ink_bpe *bpe = &v->t->bpe;
    ink_gguf_array(v->out, "tokenizer.ggml.merges", INK_GGUF_STRING, bpe->n_merges);
    for (size_t i = 0; i < bpe->n_merges; i++) {
        size_t size = spell_token(v, bpe->merges[i].left, v->text);
        v->text[size++] = ' ';
        size += spell_token(v, bpe->merges[i].right, v->text + size);
        ink_gguf_put_string(v->out, v->text, size);
    }
}

static ink_result put_tokens(vocab_out *v)
{
    char unused[32];
    const char *pre = v->pre != NULL ? v->pre : "default";
    size_t length = 0; /* of the first of these names */
    const ink_vocab *vocab = &v->t->vocab;
    while (pre[length] != '\0' && pre[length] != ' ')
        length++;
    type_tokens(v);
    ink_gguf_text(v->out, "tokenizer.ggml.model", v->kind, strlen(v->kind));
    ink_gguf_text(v->out, "tokenizer.ggml.pre", pre, length);
    ink_gguf_array(v->out, "tokenizer.ggml.tokens", INK_GGUF_STRING, v->n);
    for (size_t id = 0; id < v->n; id++)
        if (v->types[id] != INK_SP_UNUSED)
            ink_gguf_put_string(v->out, v->text, spell_token(v, (ink_token)id, v->text));
        else
            ink_gguf_put_string(v->out, unused, ink_format(unused, sizeof unused, "[PAD%zu]", id));
    ink_gguf_array(v->out, "tokenizer.ggml.token_type", INK_GGUF_I32, v->n);
    for (size_t id = 0; id < v->n; id++)
        ink_gguf_put_number(v->out, 4, v->types[id]);
    for (size_t i = 0; i < v->t->added.n_tokens; i++) {
        const ink_added_token *added = &v->t->added.tokens[i];
        const bool strips = added->right_strip || (added->left_strip && added->id != v->t->controls[INK_CONTROL_MASK]);
        if (strips || added->single_word) {
            ink_gguf_note(v->out,
                          "GGUF has no keys for lstrip, rstrip and single_word of added tokens (such as token %d): "
                          "llama.cpp finds them inside words, and leaves the spaces around them in the text",
                          (int)added->id);
            break;
        }
    }
    for (size_t id = v->n; id < vocab->n_ids; id++)
        if (ink_vocab_has(vocab, (ink_token)id)) {
            ink_gguf_note(v->out, "tokens from id %zu on are left out: the model has no rows for them", id);
            break;
        }
    if (strcmp(v->kind, "llama") == 0)
        return put_scores(v);
    if (strcmp(v->kind, "gpt2") == 0)
        put_merges(v);
    return INK_OK;
}

/* ---- control tokens --------------------------------------------------------------------------------------------- */

static void put_id(const vocab_out *v, const char *key, ink_token id)
{
    if (id >= 0 && (size_t)id < v->n)
        ink_gguf_u32(v->out, key, (uint64_t)id);
}

/* The token that stands between the texts of a pair, behind the `after` tokens that end the first; -1: there is none,
   or it begins the second. */
static ink_token separator(const ink_template *template, size_t after, ink_token bos)
{
    const ink_template_slot *pair = template->slots + template->n[0];
    size_t a = 0, b = 0;
    for (size_t i = 0; i < template->n[1]; i++) {
        a = pair[i].id == INK_TEMPLATE_A ? i : a;
        b = pair[i].id == INK_TEMPLATE_B ? i : b;
    }
    return b == a + after + 2 && pair[b - 1].id != bos ? pair[b - 1].id : -1;
}

static ink_result put_controls(vocab_out *v, const ink_model_info *info)
{
    static const char *const stops[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    const ink_tokenizer *t = v->t;
    const ink_template_slot *slots = t->template.slots;
    const bool bert = strcmp(v->kind, "bert") == 0;
    size_t before = 0, after;
    ink_token bos = t->controls[INK_CONTROL_BOS], eos = t->controls[INK_CONTROL_EOS];
    while (slots[before].id >= 0)
        before++;
    after = t->template.n[0] - before - 1;
    if (before > 1 || after > 1 || (bert && before + after != 2))
        return vocab_refuse(v, bert ? "WordPiece has one token in front of a text and one behind it in llama.cpp"
                                    : "llama.cpp puts at most one token in front of a text and one behind it");
    bos = before > 0 ? slots[0].id : bos >= 0 ? bos : info->bos_token;
    eos = after > 0 ? slots[before + 1].id : eos >= 0 ? eos : info->eos_token;
    const ink_token sep = bert ? -1 : separator(&t->template, after, bos);
    put_id(v, "tokenizer.ggml.bos_token_id", bos);
    put_id(v, "tokenizer.ggml.eos_token_id", eos);
    for (size_t i = 0, n = 0; i < info->n_stop_tokens && n < 2; i++)
        if (info->stop_tokens[i] != eos)
            put_id(v, stops[n++], info->stop_tokens[i]);
    put_id(v, "tokenizer.ggml.unknown_token_id", t->controls[INK_CONTROL_UNK]);
    put_id(v, "tokenizer.ggml.seperator_token_id", bert ? eos : sep >= 0 ? sep : t->controls[INK_CONTROL_SEP]);
    put_id(v, "tokenizer.ggml.padding_token_id", t->controls[INK_CONTROL_PAD]);
    put_id(v, "tokenizer.ggml.mask_token_id", t->controls[INK_CONTROL_MASK]);
    if (!bert) { /* whose template llama.cpp knows */
        ink_gguf_bool(v->out, "tokenizer.ggml.add_bos_token", before > 0);
        ink_gguf_bool(v->out, "tokenizer.ggml.add_eos_token", after > 0);
        if (sep >= 0)
            ink_gguf_bool(v->out, "tokenizer.ggml.add_sep_token", true);
    }
    if (strcmp(v->kind, "llama") == 0)
        ink_gguf_bool(v->out, "tokenizer.ggml.add_space_prefix", v->prefix);
    return INK_OK;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static ink_result put_chat_template(ink_gguf_out *out, ink_import *in)
{
    ink_tokenizer_config config;
    ink_chat_draft draft = {.name = NULL};
    INK_TRY(ink_tokenizer_config_open(in->ctx, in->config.arena, in->source, &config));
    INK_TRY(ink_chat_template_read(&config, in->config.arena, in->source, &draft));
    if (draft.text != NULL)
        ink_gguf_text(out, "tokenizer.chat_template", draft.text, draft.size);
    if (draft.text != NULL && draft.with_tools != NULL)
        ink_gguf_text(out, "tokenizer.chat_template.tool_use", draft.with_tools, draft.with_tools_size);
    return INK_OK;
}

static ink_result put_vocab(vocab_out *v, const ink_model_info *info)
{
    ink_arena *scratch = &v->ctx->scratch;
    size_t room;
    if (!ink_size_mul(v->t->vocab.longest, 4, &room) || !ink_size_add(room, 16, &room))
        room = SIZE_MAX;
    v->types = ink_arena_alloc(scratch, v->n, 1);
    v->text = ink_arena_alloc(scratch, room, 1);
    if (ink_arena_failed(scratch))
        return ink_fail(v->ctx, INK_ERROR_MEMORY, "out of memory: %zu tokens", v->n);
    switch (v->t->model) {
    case INK_MODEL_BPE:
        INK_TRY(v->t->bpe.byte_level ? describe_byte_level(v) : describe_pieces(v));
        break;
    case INK_MODEL_WORDPIECE:
        INK_TRY(describe_wordpiece(v));
        break;
    default:
        return vocab_refuse(v, v->t->model == INK_MODEL_WORDLEVEL ? "llama.cpp has no model of whole words (WordLevel)"
                                                                  : "only BPE and WordPiece can be, not Unigram");
    }
    INK_TRY(put_tokens(v));
    return put_controls(v, info);
}

ink_result ink_gguf_tokenizer(ink_gguf_out *out, ink_import *in, const ink_tokenizer *tokenizer)
{
    vocab_out v = {.out = out,
                   .ctx = in->ctx,
                   .file = in->source->name != NULL ? in->source->name : "the folder",
                   .t = tokenizer,
                   .n = in->model->info.vocab_size};
    if (tokenizer == NULL) {
        ink_gguf_text(out, "tokenizer.ggml.model", "none", 4);
        return INK_OK;
    }
    ink_arena_mark mark = ink_arena_mark_here(&in->ctx->scratch);
    ink_result result = put_vocab(&v, &in->model->info);
    INK_TRY(ink_scratch_end(in->ctx, mark, result));
    return put_chat_template(out, in);
}
