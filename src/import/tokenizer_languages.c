/*
 * tokenizer_languages.c - the tokenizers of translators: Marian's and M2M100's, which run SentencePiece itself and take
 * their ids from a vocab.json beside it, and the languages of all of them.
 *
 * SentencePiece cuts a text into pieces. vocab.json, which holds the pieces of both languages, has their ids: the
 * numbers in the SentencePiece model count for nothing. A piece that vocab.json lacks is the unknown token. A run of
 * characters that SentencePiece does not know may well be in vocab.json, as a piece of the other language.
 */
#include <string.h>

#include "../formats/sentencepiece.h"
#include "tokenizer_import.h"

/* The languages of the classes, in the order of their ids. Those of mBART are the first 25 of mBART-50's. */
static const char m2m100_languages[] =
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht hu "
    "hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl ps pt "
    "ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu";
static const char wmt21_languages[] = "en ha is ja cs ru zh de";
static const char mbart_languages[] =
    "ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT lv_LV my_MM ne_NP "
    "nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN "
    "mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI";
#define MBART_LANGUAGES 25

/* The language of a source, unless src_lang names another. */
static const struct {
    ink_tokenizer_class class;
    const char *source;
} language_classes[] = {
    {INK_CLASS_M2M100, "en"}, {INK_CLASS_NLLB, "eng_Latn"}, {INK_CLASS_MBART, "en_XX"}, {INK_CLASS_MBART50, "en_XX"}};

/* The next word of a list with a space behind each but the last. */
static size_t next_word(const char **list, const char **word)
{
    const char *end = strchr(*list, ' ');
    const size_t size = end != NULL ? (size_t)(end - *list) : strlen(*list);
    *word = *list;
    *list += size + (end != NULL);
    return size;
}

ink_result ink_import_class_languages(ink_tokenizer_import *im, const char ***names, size_t *n)
{
    const bool m2m100 = im->config.class == INK_CLASS_M2M100;
    const char *list = m2m100 ? m2m100_languages : mbart_languages, *codes = "m2m100", *word;
    const size_t most = im->config.class == INK_CLASS_MBART ? MBART_LANGUAGES : SIZE_MAX;
    char name[16];
    *n = 0;
    *names = NULL;
    if (!m2m100 && im->config.class != INK_CLASS_MBART && im->config.class != INK_CLASS_MBART50)
        return INK_OK;
    if (m2m100 && im->config.settings.n_nodes != 0)
        INK_TRY(ink_json_read_string(im->ctx, &im->config.settings, 0, "language_codes", &codes));
    if (strcmp(codes, "wmt21") == 0)
        list = wmt21_languages;
    else if (strcmp(codes, "m2m100") != 0)
        return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED, "%s: language_codes is '%s', expected 'm2m100' or 'wmt21'",
                        im->config.settings.file, codes);
    *names = ink_arena_alloc(im->arena, 128, sizeof **names);
    while (*names != NULL && *list != '\0' && *n < most) {
        const size_t size = next_word(&list, &word);
        const size_t length = ink_format(name, sizeof name, m2m100 ? "__%.*s__" : "%.*s", (int)size, word);
        (*names)[(*n)++] = ink_arena_string(im->arena, name, length);
    }
    return ink_arena_failed(im->arena) ? ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", im->b.file) : INK_OK;
}

/* ---- SentencePiece with a vocab.json ---------------------------------------------------------------------------- */

/* SentencePiece's normalizer: its rules, spaces that become one U+2581, and one in front. */
static ink_result pieces_steps(ink_tokenizer_import *im, const ink_sentencepiece *model)
{
    const ink_short_text space = {" ", 1}, mark = {INK_SPACE, 3};
    const bool extra = model->remove_extra_whitespaces != 0, escape = model->escape_whitespaces != 0;
    ink_tokenizer *t = &im->b.draft;
    const struct {
        bool wanted;
        ink_step step;
    } steps[] = {
        {model->charsmap.size > 0, {.normalize = ink_normal_charsmap, .start = 1}},
        {extra, {.normalize = ink_normal_strip, .from = space, .start = SIZE_MAX, .stop = SIZE_MAX}},
        {extra, {.normalize = ink_normal_replace, .from = space, .to = space, .start = 2}},
        {escape, {.normalize = ink_normal_replace, .from = space, .to = mark}},
        {model->add_dummy_prefix != 0, {.normalize = ink_normal_prepend, .to = escape ? mark : space, .start = 1}},
        {extra, {.normalize = ink_normal_strip, .from = escape ? mark : space, .stop = SIZE_MAX}}};
    if (model->charsmap.size > 0)
        INK_TRY(ink_builder_charsmap(&im->b, "precompiled_charsmap", model->charsmap.at, model->charsmap.size));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (steps[i].wanted)
            ink_builder_step(&t->normalizer, INK_NORMAL_STEPS, &steps[i].step);
    ink_builder_step(&t->decoder.steps, INK_DECODE_STEPS,
                     &(ink_step){.decode = ink_decode_replace, .from = mark, .to = space});
    t->bytes.fallback = t->decoder.byte_fallback = model->byte_fallback != 0;
    t->decoder.trims = true;
    return INK_OK;
}

/* The order of BPE's pieces: higher scores first. */
static int pieces_compare(const void *user, size_t a, size_t b)
{
    const double *scores = user;
    return scores[a] > scores[b] ? -1 : scores[a] < scores[b] ? 1 : a < b ? -1 : a > b;
}

/* The pieces that texts are cut into, with the ids of vocab.json. Of BPE a rank takes the place of the score, the same
   one for equal scores. */
static ink_result pieces_list(ink_tokenizer_import *im, const ink_sentencepiece *model)
{
    const bool bpe = model->model == INK_SP_BPE;
    size_t n = 0, n_missing = 0;
    ink_spelled_token *pieces = ink_arena_alloc(im->arena, model->n_pieces, sizeof *pieces);
    double *scores = ink_arena_alloc(im->arena, model->n_pieces, sizeof *scores);
    double *ranks = ink_arena_alloc(im->arena, model->n_pieces, sizeof *ranks);
    uint64_t *keys = ink_arena_alloc(im->arena, model->n_pieces, sizeof *keys);
    if (ink_arena_failed(im->arena))
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", model->file);
    for (size_t i = 0; i < model->n_pieces; i++) {
        const ink_sp_piece *piece = &model->pieces[i];
        const ink_token id = ink_tokenizer_find(&im->b.draft, piece->text.at, piece->text.size);
        if (piece->type == INK_SP_CONTROL && id >= 0)
            im->b.draft.vocab.tokens[id].special = true; /* SentencePiece decodes it to nothing */
        if (piece->type == INK_SP_USER_DEFINED || (bpe && piece->type == INK_SP_UNUSED))
            return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED, "%s: piece %zu is %s, which is not supported", model->file,
                            i, piece->type == INK_SP_UNUSED ? "unused" : "user-defined");
        if (piece->type != INK_SP_NORMAL)
            continue;
        if (bpe && piece->text.size > INK_PIECES_LONGEST)
            return ink_fail(im->ctx, INK_ERROR_LIMIT, "%s: piece %zu has %zu bytes, more than %d", model->file, i,
                            piece->text.size, INK_PIECES_LONGEST);
        n_missing += id < 0;
        keys[n] = INK_KEY(0, n);
        scores[n] = (double)piece->score;
        pieces[n++] = (ink_spelled_token){piece->text.at, piece->text.size, id >= 0 ? id : im->b.draft.unk};
    }
    if (n_missing > n / 2) /* a few are the unknown token, as in the reference */
        return ink_fail(im->ctx, INK_ERROR_MISMATCH,
                        "%s: %zu of its %zu pieces are not in %s, so it belongs to another model", model->file,
                        n_missing, n, im->b.file);
    if (bpe)
        ink_sort(keys, n, &(ink_ties){pieces_compare, scores});
    for (size_t i = 0, rank = 0; i < n; i++) {
        const size_t place = ink_key_index(keys[i]);
        rank += i > 0 && scores[place] != scores[ink_key_index(keys[i - 1])];
        ranks[place] = (double)rank;
    }
    return ink_builder_unigram(&im->b, pieces, bpe ? ranks : scores, n);
}

ink_result ink_import_pieces(ink_tokenizer_import *im)
{
    static const ink_control wanted[] = {INK_CONTROL_UNK, INK_CONTROL_EOS, INK_CONTROL_PAD};
    const bool marian = im->config.class == INK_CLASS_MARIAN;
    bool separate = false;
    ink_json_document ids;
    ink_tokenizer *t = &im->b.draft;
    ink_sentencepiece *model = ink_arena_alloc(im->arena, 1, sizeof *model);
    const char **names, *file = !marian ? "sentencepiece.bpe.model" : im->target ? "target.spm" : "source.spm";
    size_t n_names, n_ids = 0;
    if (model == NULL)
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", file);
    if (marian)
        INK_TRY(ink_tokenizer_config_bool(&im->config, "separate_vocabs", &separate));
    INK_TRY(ink_json_open(im->ctx, im->arena, im->source, separate && im->target ? "target_vocab.json" : "vocab.json",
                          INK_LIMIT(im->ctx, table_bytes), &ids));
    INK_TRY(ink_builder_start(&im->b, im->ctx, im->arena, ids.file));
    INK_TRY(ink_sentencepiece_open(im->ctx, im->arena, im->source, file, INK_LIMIT(im->ctx, table_bytes), model));
    if (model->model != INK_SP_UNIGRAM && model->model != INK_SP_BPE)
        return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: model_type %lld is not supported; supported: 1 (Unigram), 2 (BPE)", file,
                        (long long)model->model);
    if (model->whitespace_as_suffix != 0)
        return ink_fail(im->ctx, INK_ERROR_UNSUPPORTED, "%s: treat_whitespace_as_suffix is not supported", file);
    INK_TRY(ink_import_list_tokens(im, &ids, 0));
    for (size_t i = 0; i < 3; i++) {
        ink_named_token token;
        INK_TRY(ink_tokenizer_config_token(&im->config, wanted[i], &token));
        if (token.text == NULL || ink_json_member(&ids, 0, token.text) == INK_JSON_NONE)
            return ink_fail(im->ctx, INK_ERROR_MISMATCH, "%s: there is no '%s', the %s", ids.file,
                            token.text != NULL ? token.text : "", token.key);
    }
    /* The languages of the class are numbered behind the vocabulary. */
    INK_TRY(ink_import_class_languages(im, &names, &n_names));
    ink_spelled_token *tokens = ink_arena_alloc(im->arena, im->n_tokens + n_names, sizeof *tokens);
    if (tokens == NULL)
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %s", ids.file);
    memcpy(tokens, im->tokens, im->n_tokens * sizeof *tokens);
    im->tokens = tokens;
    for (n_ids = im->n_tokens; im->n_tokens < n_ids + n_names; im->n_tokens++) {
        const char *name = names[im->n_tokens - n_ids];
        tokens[im->n_tokens] = (ink_spelled_token){name, strlen(name), (ink_token)im->n_tokens};
    }
    t->model = model->model == INK_SP_BPE ? INK_MODEL_PIECES : INK_MODEL_UNIGRAM;
    INK_TRY(pieces_steps(im, model));
    INK_TRY(ink_import_tokens(im));
    INK_TRY(ink_import_template_id(im, INK_CONTROL_UNK, &t->unk));
    INK_TRY(pieces_list(im, model));
    t->codes_in_front = marian;
    if (marian && !separate && !im->target)
        t->max_length = 512; /* as the class has it; the settings may say something else */
    if (!marian)
        return INK_OK;
    ink_token eos;
    INK_TRY(ink_import_template_id(im, INK_CONTROL_EOS, &eos));
    const ink_token slots[] = {INK_TEMPLATE_A, INK_TEMPLATE_B, eos};
    for (int pair = 0; pair < 2; pair++)
        for (int i = 0; i < 3; i++)
            if (i != 1 || pair == 1)
                INK_TRY(ink_import_slot(im, pair != 0, slots[i], 0));
    return INK_OK;
}

/* ---- languages -------------------------------------------------------------------------------------------------- */

const char *ink_import_source_language(const ink_tokenizer_import *im)
{
    for (size_t i = 0; i < sizeof language_classes / sizeof language_classes[0]; i++)
        if (language_classes[i].class == im->config.class)
            return language_classes[i].source;
    return NULL;
}

/* The template of a class that puts the language of the source around a text, whatever tokenizer.json says. A language
   that the vocabulary lacks is the unknown token there, as in the reference. */
static ink_result language_template(ink_tokenizer_import *im, const char *source)
{
    const ink_tokenizer_class class = im->config.class;
    ink_tokenizer *t = &im->b.draft;
    ink_token *const languages[] = {&t->source_language, &t->target_language}, eos;
    const char *names[] = {source, NULL};
    bool behind = class == INK_CLASS_MBART;
    for (int i = 0; i < 2; i++) {
        const char *key = i == 0 ? "src_lang" : "tgt_lang";
        char spelled[64];
        if (im->config.settings.n_nodes != 0)
            INK_TRY(ink_json_read_string(im->ctx, &im->config.settings, 0, key, &names[i]));
        if (names[i] == NULL)
            continue;
        const size_t size = ink_format(spelled, sizeof spelled, class == INK_CLASS_M2M100 ? "__%s__" : "%s", names[i]);
        *languages[i] = ink_tokenizer_find(t, spelled, size);
        if (*languages[i] < 0 && (class == INK_CLASS_M2M100 || i == 1))
            return ink_fail(im->ctx, INK_ERROR_MISMATCH, "%s: %s is '%.40s', which is no language of the vocabulary",
                            INK_TOKENIZER_CONFIG_FILE, key, names[i]);
    }
    if (class == INK_CLASS_NLLB)
        INK_TRY(ink_tokenizer_config_bool(&im->config, "legacy_behaviour", &behind));
    INK_TRY(ink_import_template_id(im, INK_CONTROL_EOS, &eos));
    if (t->source_language < 0)
        INK_TRY(ink_import_template_id(im, INK_CONTROL_UNK, &t->source_language));
    t->template.n[0] = t->template.n[1] = 0;
    const ink_token slots[] = {t->source_language, INK_TEMPLATE_A, INK_TEMPLATE_B, eos, t->source_language};
    for (int pair = 0; pair < 2; pair++)
        for (int i = behind ? 1 : 0; i < (behind ? 5 : 4); i++)
            if (i != 2 || pair == 1)
                INK_TRY(ink_import_slot(im, pair != 0, slots[i], 0));
    return INK_OK;
}

/* Whether a token is that of a language, as the classes spell it: __fr__, >>fra<<, fr_XX or fra_Latn. */
static bool is_language(const ink_tokenizer *t, ink_tokenizer_class class, ink_token id)
{
    size_t size, letters = 0;
    const char *text = ink_tokenizer_token(t, id, &size);
    const char *const inside = text;
    if (text == NULL || size < 4 || size > 40)
        return false;
    ink_language_code(&text, &size);
    if (class == INK_CLASS_MARIAN || class == INK_CLASS_M2M100)
        return text != inside && inside[0] == (class == INK_CLASS_MARIAN ? '>' : '_') &&
               memchr(text, '<', size) == NULL;
    while (letters < size && text[letters] >= 'a' && text[letters] <= 'z')
        letters++;
    return ink_tokenizer_is_special(t, id) && (letters == 2 || letters == 3) && size > letters + 2 &&
           text[letters] == '_' && text[letters + 1] >= 'A' && text[letters + 1] <= 'Z';
}

static ink_result language_pair_add(ink_tokenizer_import *im, const char *from, size_t from_size, const char *to,
                                    size_t to_size, const char *prefix)
{
    ink_language_pair *pair = &im->b.draft.pairs[im->b.draft.n_pairs];
    const size_t prefix_size = strlen(prefix);
    if (from_size > INK_SHORT_TEXT || to_size > INK_SHORT_TEXT || prefix_size > sizeof pair->prefix)
        return ink_fail(im->ctx, INK_ERROR_LIMIT, "the languages '%.40s' and '%.40s' or their prefix are too long",
                        from, to);
    memset(pair, 0, sizeof *pair);
    memcpy(pair->from.bytes, from, pair->from.size = from_size);
    memcpy(pair->to.bytes, to, pair->to.size = to_size);
    memcpy(pair->prefix, prefix, pair->prefix_size = prefix_size);
    im->b.draft.n_pairs++;
    return INK_OK;
}

/* "task_specific_params": {"translation_en_to_de": {"prefix": "translate English to German: "}} in config.json. */
static ink_result language_tasks(ink_tokenizer_import *im, ink_json tasks)
{
    static const char head[] = "translation_", middle[] = "_to_";
    const ink_json_document *model = &im->config.model;
    INK_TRY(ink_json_expect(im->ctx, model, tasks, INK_JSON_OBJECT));
    im->b.draft.pairs = ink_arena_alloc(im->arena, model->nodes[tasks].n_children, sizeof(ink_language_pair));
    if (im->b.draft.pairs == NULL)
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: the tasks of the model");
    for (ink_json i = ink_json_first(model, tasks); i != INK_JSON_NONE; i = ink_json_next(model, i)) {
        const char *key = model->nodes[i].key, *prefix = "";
        const char *from = key + sizeof head - 1,
                   *to = strncmp(key, head, sizeof head - 1) == 0 ? strstr(from, middle) : NULL;
        if (to == NULL)
            continue;
        INK_TRY(ink_json_expect(im->ctx, model, i, INK_JSON_OBJECT));
        INK_TRY(ink_json_read_string(im->ctx, model, i, "prefix", &prefix));
        INK_TRY(language_pair_add(im, from, (size_t)(to - from), to + 4, strlen(to + 4), prefix));
        ink_language_pair *pair = &im->b.draft.pairs[im->b.draft.n_pairs - 1];
        ink_format(pair->task, sizeof pair->task, "%s", key);
    }
    return INK_OK;
}

ink_result ink_import_languages(ink_tokenizer_import *im)
{
    ink_tokenizer *t = &im->b.draft;
    const ink_tokenizer_class class = im->config.class;
    const char *source = ink_import_source_language(im), *from = NULL, *to = NULL;
    if (source != NULL)
        INK_TRY(language_template(im, source));
    for (int pass = 0; pass < 2 && (source != NULL || class == INK_CLASS_MARIAN); pass++) { /* first to count */
        size_t n = 0;
        for (size_t id = 0; id < t->vocab.n_ids; id++) {
            const bool is = is_language(t, class, (ink_token)id);
            if (is && pass == 1)
                t->languages[n] = (ink_token)id;
            n += is;
        }
        t->n_languages = n;
        if (pass == 0 && (t->languages = ink_arena_alloc(im->arena, n, sizeof *t->languages)) == NULL)
            return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: %zu languages", n);
    }
    const ink_json tasks =
        im->config.model.n_nodes != 0 ? ink_json_member(&im->config.model, 0, "task_specific_params") : INK_JSON_NONE;
    if (tasks != INK_JSON_NONE)
        return language_tasks(im, tasks);
    if (class != INK_CLASS_MARIAN || im->config.settings.n_nodes == 0)
        return INK_OK;
    INK_TRY(ink_json_read_string(im->ctx, &im->config.settings, 0, "source_lang", &from));
    INK_TRY(ink_json_read_string(im->ctx, &im->config.settings, 0, "target_lang", &to));
    t->pairs = ink_arena_alloc(im->arena, 1, sizeof *t->pairs);
    if (t->pairs == NULL)
        return ink_fail(im->ctx, INK_ERROR_MEMORY, "out of memory: the languages of the model");
    if (from == NULL || to == NULL)
        return INK_OK;
    return language_pair_add(im, from, ink_language_known(from) ? strlen(from) : 0, to,
                             ink_language_known(to) ? strlen(to) : 0, "");
}
