/*
 * tokenizer_spm.c - folders with a SentencePiece model and no tokenizer.json.
 *
 * transformers makes its tokenizer of the pieces, and the class decides how: which pieces stand before and behind them,
 * the normalizer, the words, the template. Without a class the settings in the file decide. All of it is what
 * transformers 5 makes, not what SentencePiece does.
 */
#include <string.h>

#include "../formats/sentencepiece.h"
#include "tokenizer_import.h"

#define LONGEST_MERGED 1024 /* bytes of a piece that merges lead to: each place in it is looked at */

/* What the classes do to the pieces. */
typedef struct spm_class {
    ink_tokenizer_class class;
    size_t dropped;      /* pieces at the head of the file that others stand for: */
    const char *head[5]; /* names, or a control as "0" + its number; NULL ends them */
    int64_t unk;         /* the id of the unknown piece; -1: as the file says */
} spm_class;

static const spm_class spm_classes[] = {
    {INK_CLASS_XLM_ROBERTA, 3, {"0", "4", "1", "2"}, 3},
    {INK_CLASS_CAMEMBERT, 1, {"<s>NOTUSED", "4", "</s>NOTUSED", "2", "<unk>NOTUSED"}, 3},
    {INK_CLASS_T5, 0, {NULL}, 2},
    {INK_CLASS_LLAMA, 0, {NULL}, -1},
    {INK_CLASS_GEMMA, 0, {NULL}, -1},
    {INK_CLASS_NLLB, 0, {"0", "4", "1", "2"}, -1},
    {INK_CLASS_MBART, 3, {"0", "4", "1", "2"}, 3},
    {INK_CLASS_MBART50, 3, {"5", "4", "1", "2"}, 3},
    {INK_CLASS_NONE, 0, {NULL}, -1},
};

static ink_result spm_no_memory(ink_tokenizer_import *im)
{
    return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", im->b.file);
}

static void spm_token(ink_tokenizer_import *im, const char *text, size_t size, double score)
{
    im->tokens[im->n_tokens] = (ink_spelled_token){text, size, (ink_token)im->n_tokens};
    im->scores[im->n_tokens++] = score;
}

/* The pieces of the file between those of the class: fairseq's control tokens, languages, <mask>, <extra_id_99> to
   <extra_id_0>. */
static ink_result spm_list(ink_tokenizer_import *im, const ink_sentencepiece *model, const spm_class *c)
{
    const bool masked = c->dropped > 0;
    const char **languages;
    size_t n_languages;
    int64_t extra = c->class == INK_CLASS_T5 ? 100 : 0;
    ink_named_token token;
    if (extra > 0 && im->config.settings.n_nodes != 0)
        INK_TRY(ink_json_read_int(im->ctx, &im->config.settings, 0, "extra_ids", 0, 10000, &extra));
    INK_TRY(ink_import_class_languages(im, &languages, &n_languages));
    const size_t room = model->n_pieces + 6 + n_languages + (size_t)extra;
    im->tokens = ink_arena_alloc(im->arena, room, sizeof *im->tokens);
    im->scores = ink_arena_alloc(im->arena, room, sizeof *im->scores);
    im->extra = ink_arena_alloc(im->arena, room, sizeof *im->extra);
    if (ink_arena_failed(im->arena))
        return spm_no_memory(im);
    for (size_t i = 0; i < 5 && c->head[i] != NULL; i++) {
        const char *name = c->head[i];
        if (name[0] >= '0' && name[0] <= '9') {
            INK_TRY(ink_tokenizer_config_token(&im->config, (ink_control)(name[0] - '0'), &token));
            spm_token(im, token.text != NULL ? token.text : "", token.size, 0);
        } else {
            spm_token(im, name, strlen(name), i == 4 ? -100 : 0);
        }
    }
    for (size_t i = 0; i < model->n_pieces; i++) {
        const ink_sp_piece *piece = &model->pieces[i];
        bool there = i < c->dropped;
        for (size_t k = 0; k < 4 && c->class == INK_CLASS_NLLB; k++) /* whose control tokens may be anywhere */
            there = there || (piece->text.size == im->tokens[k].size &&
                              memcmp(piece->text.at, im->tokens[k].text, piece->text.size) == 0);
        if (!there)
            spm_token(im, piece->text.at, piece->text.size, (double)piece->score);
        if (piece->type == INK_SP_CONTROL || piece->type == INK_SP_USER_DEFINED)
            im->extra[im->n_extra++] = (ink_added_pattern){
                .content = piece->text.at, .content_size = piece->text.size, .special = piece->type == INK_SP_CONTROL};
    }
    for (size_t i = 0; i < n_languages; i++)
        spm_token(im, languages[i], strlen(languages[i]), 0);
    if (masked) {
        INK_TRY(ink_tokenizer_config_token(&im->config, INK_CONTROL_MASK, &token));
        spm_token(im, token.text != NULL ? token.text : "", token.size, 0);
    }
    for (int64_t i = extra; i-- > 0;) {
        char name[32];
        const size_t size = ink_format(name, sizeof name, "<extra_id_%lld>", (long long)i);
        const char *copy = ink_arena_string(im->arena, name, size);
        if (copy == NULL)
            return spm_no_memory(im);
        spm_token(im, copy, size, 0);
        im->extra[im->n_extra++] = (ink_added_pattern){.content = copy, .content_size = size, .special = true};
    }
    return INK_OK;
}

/* ---- merges ----------------------------------------------------------------------------------------------------- */

/* The order of pieces without a class: higher scores first, then ids. */
static int spm_compare(const void *user, size_t a, size_t b)
{
    const double *scores = user;
    return scores[a] > scores[b] ? -1 : scores[a] < scores[b] ? 1 : a < b ? -1 : a > b;
}

/* A piece that two others make is a merge of them: of the pieces in order, shorter left parts first. Called with the
   vocabulary in place. model NULL: all pieces that text reaches count. */
static ink_result spm_merges(ink_tokenizer_import *im, const ink_sentencepiece *model, bool ranked)
{
    const ink_vocab *vocab = &im->b.draft.vocab;
    uint64_t *keys = ink_arena_alloc(im->arena, im->n_tokens, sizeof *keys);
    if (keys == NULL)
        return spm_no_memory(im);
    for (size_t i = 0; i < im->n_tokens; i++)
        keys[i] = INK_KEY(0, i);
    if (ranked)
        ink_sort(keys, im->n_tokens, &(ink_ties){spm_compare, im->scores});
    for (int pass = 0; pass < 2; pass++) { /* first they are counted */
        size_t n = 0;
        for (size_t k = 0; k < im->n_tokens; k++) {
            const size_t i = ink_key_index(keys[k]);
            const ink_spelled_token *t = &im->tokens[i];
            if (ink_vocab_find(vocab, t->text, t->size, false) != t->id ||
                (ranked && model != NULL && model->pieces[i].type != INK_SP_NORMAL))
                continue;
            if (t->size > LONGEST_MERGED)
                return ink_fail(im->ctx, INK_ERROR_LIMIT, "%s: piece %zu has %zu bytes, more than %d", im->b.file, i,
                                t->size, LONGEST_MERGED);
            for (size_t cut = 1; cut < t->size; cut++) {
                if (((unsigned char)t->text[cut] & 0xC0) == 0x80)
                    continue;
                const ink_token left = ink_vocab_find(vocab, t->text, cut, false);
                const ink_token right = left >= 0 ? ink_vocab_find(vocab, t->text + cut, t->size - cut, false) : -1;
                if (right < 0 ||
                    (ranked && model != NULL &&
                     (model->pieces[left].type != INK_SP_NORMAL || model->pieces[right].type != INK_SP_NORMAL)))
                    continue;
                if (pass == 1)
                    im->merges[n] = (ink_spelled_merge){{t->text, t->text + cut}, {cut, t->size - cut}, 0};
                n++;
            }
            INK_TRY(ink_limit_check(im->ctx, im->b.file, (uint64_t)n * sizeof *im->merges,
                                    INK_LIMIT(im->ctx, table_bytes))); /* long pieces have many merges */
        }
        im->n_merges = n;
        if (pass == 0 && (im->merges = ink_arena_alloc(im->arena, n, sizeof *im->merges)) == NULL)
            return spm_no_memory(im);
    }
    return INK_OK;
}

ink_result ink_import_spm_merges(ink_tokenizer_import *im)
{
    return im->spm == NULL && !im->by_score ? INK_OK : spm_merges(im, im->spm, im->config.class == INK_CLASS_NONE);
}

/* Whether the class makes a Unigram, whatever the file is. */
static bool spm_is_unigram(ink_tokenizer_class class)
{
    return class == INK_CLASS_XLM_ROBERTA || class == INK_CLASS_CAMEMBERT || class == INK_CLASS_T5 ||
           class == INK_CLASS_MBART || class == INK_CLASS_MBART50;
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

/* The steps of a row; the row of an empty draft has room for all of them. */
static void spm_normal(ink_tokenizer_import *im, ink_step step)
{
    ink_builder_step(&im->b.draft.normalizer, INK_NORMAL_STEPS, &step);
}

/* Metaspace: spaces become U+2581, one goes in front, and words may begin with it. */
static void spm_metaspace(ink_tokenizer_import *im, ink_prefix_scheme scheme, bool split)
{
    const ink_step step = {.match = split ? ink_match_string : ink_match_nothing,
                           .behavior = INK_SPLIT_MERGED_WITH_NEXT,
                           .from = {INK_SPACE, 3},
                           .to = {INK_SPACE, 3},
                           .prefix = {INK_SPACE, 3},
                           .scheme = scheme};
    ink_builder_step(&im->b.draft.splitter, INK_SPLIT_STEPS, &step);
    im->b.draft.tracks_start |= scheme == INK_PREFIX_FIRST && im->b.draft.normalizer.n > 0;
}

void ink_import_word_pieces(ink_tokenizer_import *im, bool splits, bool prefix)
{
    static const ink_step words = {.match = ink_match_space, .behavior = INK_SPLIT_REMOVED};
    static const ink_step drop = {.decode = ink_decode_drop, .from = {INK_SPACE, 3}};
    static const ink_step spaces = {.decode = ink_decode_replace, .from = {INK_SPACE, 3}, .to = {" ", 1}};
    ink_tokenizer *t = &im->b.draft;
    if (splits)
        ink_builder_step(&t->splitter, INK_SPLIT_STEPS, &words);
    spm_metaspace(im, prefix ? INK_PREFIX_ALWAYS : INK_PREFIX_NEVER, true);
    if (prefix)
        ink_builder_step(&t->decoder.steps, INK_DECODE_STEPS, &drop);
    ink_builder_step(&t->decoder.steps, INK_DECODE_STEPS, &spaces);
}

static ink_result spm_steps(ink_tokenizer_import *im, const ink_sentencepiece *model)
{
    static const ink_step spaces = {.decode = ink_decode_replace, .from = {INK_SPACE, 3}, .to = {" ", 1}};
    const ink_tokenizer_class class = im->config.class;
    const ink_short_text space = {" ", 1};
    ink_tokenizer *t = &im->b.draft;
    bool prefix = true, legacy = class == INK_CLASS_NONE;
    INK_TRY(ink_tokenizer_config_bool(&im->config, "add_prefix_space", &prefix));
    INK_TRY(ink_tokenizer_config_bool(&im->config, "legacy", &legacy));
    const ink_prefix_scheme scheme = legacy ? INK_PREFIX_ALWAYS : INK_PREFIX_FIRST;
    const bool mbart50 = class == INK_CLASS_MBART50, nllb = class == INK_CLASS_NLLB;
    if (model->charsmap.size > 0 && class != INK_CLASS_LLAMA && class != INK_CLASS_GEMMA && class != INK_CLASS_MBART) {
        INK_TRY(ink_builder_charsmap(&im->b, "precompiled_charsmap", model->charsmap.at, model->charsmap.size));
        spm_normal(im, (ink_step){.normalize = ink_normal_charsmap, .map = &t->charsmap});
    }
    if (spm_is_unigram(class) || nllb) {
        prefix |= class != INK_CLASS_XLM_ROBERTA && class != INK_CLASS_CAMEMBERT;
        if (mbart50 || (nllb && model->charsmap.size > 0))
            spm_normal(im, (ink_step){.normalize = ink_normal_replace, .from = space, .to = space, .start = 2});
        ink_import_word_pieces(im, !mbart50 && !nllb, prefix);
        return INK_OK;
    }
    t->bytes.fallback = class != INK_CLASS_NONE || model->byte_fallback != 0;
    prefix = class == INK_CLASS_NONE ? model->add_dummy_prefix != 0 : prefix && class == INK_CLASS_LLAMA;
    if (class == INK_CLASS_NONE && model->remove_extra_whitespaces != 0) {
        spm_normal(im, (ink_step){.normalize = ink_normal_strip, .from = space, .start = SIZE_MAX, .stop = SIZE_MAX});
        spm_normal(im, (ink_step){.normalize = ink_normal_replace, .from = space, .to = space, .start = 2});
    }
    if (class == INK_CLASS_GEMMA || (class == INK_CLASS_NONE && model->escape_whitespaces != 0))
        spm_normal(im, (ink_step){.normalize = ink_normal_replace, .from = space, .to = {INK_SPACE, 3}});
    if (class == INK_CLASS_NONE && prefix && legacy)
        spm_normal(im, (ink_step){.normalize = ink_normal_replace,
                                  .from = {INK_SPACE, 3},
                                  .to = {INK_SPACE INK_SPACE, 6},
                                  .stop = 1});
    if (prefix)
        spm_metaspace(im, scheme, false);
    else if (class == INK_CLASS_LLAMA)
        spm_metaspace(im, INK_PREFIX_NEVER, false);
    ink_builder_step(&t->decoder.steps, INK_DECODE_STEPS, &spaces);
    t->decoder.byte_fallback = t->bytes.fallback;
    t->decoder.strip = space;
    t->decoder.strip_most = prefix ? 1 : 0;
    return INK_OK;
}

/* ---- all together ----------------------------------------------------------------------------------------------- */

static const char *spm_name(ink_tokenizer_import *im, int32_t id, const ink_bytes_field *name)
{
    return id >= 0 ? ink_arena_string(im->arena, name->at, name->size) : NULL;
}

/* Without a class of its own the folder has to be one whose class says nothing. */
static ink_result spm_check_class(ink_tokenizer_import *im, const ink_sentencepiece *model)
{
    static const char none[] = "TokenizersBackend PreTrainedTokenizerFast PreTrainedTokenizer";
    const ink_tokenizer_config *config = &im->config;
    const char *name = config->class_name != NULL ? config->class_name : config->model_type;
    bool known = name == NULL ||
                 ink_is_listed(config->class_name != NULL ? none : "llama mistral mixtral smollm3 modernbert umt5",
                               name, strlen(name));
    for (const spm_class *c = spm_classes; c->class != INK_CLASS_NONE; c++)
        if (c->class == config->class)
            return INK_OK;
    if (!known || config->class != INK_CLASS_NONE)
        return ink_fail(
            im->ctx, INK_ERROR_UNSUPPORTED,
            "%s: the tokenizer of '%s' is not supported without tokenizer.json, which transformers writes: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER); supported: those of XLM-RoBERTa, "
            "CamemBERT, T5, Llama, Gemma, NLLB and mBART, and none",
            model->file, name);
    if (model->model != INK_SP_UNIGRAM && model->model != INK_SP_BPE)
        return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: model_type %lld is not supported; supported: 1 (Unigram), 2 (BPE)", model->file,
                        (long long)model->model);
    for (size_t i = 0; i < model->n_pieces; i++)
        if (model->pieces[i].type == INK_SP_USER_DEFINED)
            return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: piece %zu is user-defined, which is not supported without a class that says what "
                            "becomes of it",
                            model->file, i);
    return INK_OK;
}

ink_result ink_import_spm(ink_tokenizer_import *im, const char *file)
{
    ink_sentencepiece *model = ink_arena_alloc(im->arena, 1, sizeof *model);
    ink_tokenizer *t = &im->b.draft;
    if (model == NULL)
        return spm_no_memory(im);
    INK_TRY(ink_builder_start(&im->b, im->ctx, im->arena, file));
    INK_TRY(ink_sentencepiece_open(im->ctx, im->arena, im->source, file, INK_LIMIT(im->ctx, table_bytes), model));
    INK_TRY(spm_check_class(im, model));
    const ink_tokenizer_class class = im->config.class;
    const spm_class *c = spm_classes;
    while (c->class != INK_CLASS_NONE && c->class != class)
        c++;
    if (class == INK_CLASS_NONE) {
        im->config.defaults[INK_CONTROL_BOS] = spm_name(im, model->bos_id, &model->bos_piece);
        im->config.defaults[INK_CONTROL_EOS] = spm_name(im, model->eos_id, &model->eos_piece);
        im->config.defaults[INK_CONTROL_UNK] = spm_name(im, model->unk_id, &model->unk_piece);
    }
    /* So that the text behind each of them gets a space, too. */
    im->added_raw = class == INK_CLASS_NONE && model->add_dummy_prefix != 0;
    INK_TRY(spm_list(im, model, c));
    INK_TRY(spm_steps(im, model));
    const bool fairseq = class == INK_CLASS_XLM_ROBERTA || class == INK_CLASS_CAMEMBERT;
    const bool unigram = spm_is_unigram(class) || (class == INK_CLASS_NONE && model->model == INK_SP_UNIGRAM);
    t->model = unigram ? INK_MODEL_UNIGRAM : INK_MODEL_BPE;
    ink_named_token unk;
    INK_TRY(ink_tokenizer_config_token(&im->config, INK_CONTROL_UNK, &unk));
    if (unigram) {
        const int64_t id = c->unk >= 0 ? c->unk : model->unk_id;
        if (id < 0 || (uint64_t)id >= im->n_tokens)
            return ink_fail(im->ctx, INK_ERROR_CORRUPT, "%s: the unknown piece is %lld, there are %zu", file,
                            (long long)id, im->n_tokens);
        t->unk = (ink_token)id;
    } else {
        t->bpe.fuse_unk = true;
        im->spm = model;
        im->unk = class == INK_CLASS_GEMMA || class == INK_CLASS_NLLB ? unk.text : NULL;
        if (class == INK_CLASS_NONE)
            im->unk = ink_arena_string(im->arena, model->unk_piece.at, model->unk_piece.size);
    }
    INK_TRY(ink_import_tokens(im));
    if (ink_import_source_language(im) != NULL)
        return INK_OK;
    if (class == INK_CLASS_T5 || fairseq) {
        ink_token cls = -1, sep;
        if (fairseq)
            INK_TRY(ink_import_template_id(im, INK_CONTROL_BOS, &cls));
        INK_TRY(ink_import_template_id(im, INK_CONTROL_EOS, &sep));
        if (fairseq)
            return ink_import_bert_template(im, cls, sep, true);
        const ink_template_slot slots[] = {{INK_TEMPLATE_A, 0}, {sep, 0}, {INK_TEMPLATE_B, 0}, {sep, 0}};
        for (int pair = 0; pair < 2; pair++)
            for (int i = 0; i < 2 + 2 * pair; i++)
                INK_TRY(ink_import_slot(im, pair != 0, slots[i].id, slots[i].type));
        return INK_OK;
    }
    return ink_import_bos_eos(im);
}
