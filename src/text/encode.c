/*
 * encode.c - text to ids: added tokens are cut out, the text between them is normalised, split into words, and encoded
 * word by word; the template goes around it.
 */
#include "engine.h"
#include "unicode.h"

/* ---- added tokens ----------------------------------------------------------------------------------------------- */

/* The length of the code point before or after a place in text [size] if it is white space, else 0. */
static size_t space_before(const char *text, size_t place)
{
    uint32_t code;
    size_t length = place > 0 ? ink_utf8_last(text, place, &code) : 0;
    return length > 0 && ink_unicode_class_of(code) == INK_UNICODE_SPACE ? length : 0;
}

static size_t space_after(const char *text, size_t size, size_t place)
{
    uint32_t code;
    size_t length = place < size ? ink_utf8_next(text + place, size - place, &code) : 0;
    return length > 0 && ink_unicode_class_of(code) == INK_UNICODE_SPACE ? length : 0;
}

#define ADDED_WINDOW 1024 /* places that are looked up at once */

ink_result ink_added_start(ink_context *ctx, const ink_added *added, ink_added_set set, const char *text, size_t size,
                           ink_added_walk *walk)
{
    *walk = (ink_added_walk){.added = added, .set = set, .text = text, .size = size};
    walk->room = ink_size_min(size, ADDED_WINDOW);
    walk->window = ink_arena_alloc(&ctx->scratch, walk->room, sizeof *walk->window);
    return walk->window != NULL ? INK_OK : ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: added tokens in a text");
}

/* As in the reference, a match that is left in the text, because of single_word for instance, still uses up its bytes,
   and white space that a token includes on its right is still searched for tokens; one that would include the white
   space on its left loses what the token before has included. */
bool ink_added_next(ink_added_walk *w)
{
    const char *text = w->text;
    size_t done = w->stop, size = w->size, space; /* the text before `done` belongs to the token before */
    for (size_t i = w->scanned; i < size; i++) {
        if (i >= w->to) {
            w->from = i;
            w->to = i + ink_size_min(w->room, size - i);
            size_t reach = ink_size_min(w->added->longest, size - w->to);
            ink_trie_starts(&w->added->trie, w->set, text, w->to + reach, i, w->to, w->window);
        }
        const ink_trie_node *found = &w->added->trie.nodes[w->window[i - w->from]];
        if (found->value == INK_TRIE_NONE)
            continue;
        const ink_added_token *token = &w->added->tokens[found->value];
        size_t start = i, stop = i + found->length;
        uint32_t left = 0, right = 0; /* the neighbours */
        if (start > 0)
            ink_utf8_last(text, start, &left);
        if (stop < size)
            ink_utf8_next(text + stop, size - stop, &right);
        bool in_word = (start > 0 && ink_unicode_has(left, INK_UNICODE_WORD)) ||
                       (stop < size && ink_unicode_has(right, INK_UNICODE_WORD));
        if (token->as_text || (token->single_word && in_word)) {
            i = stop - 1;
            continue;
        }
        w->scanned = stop;
        if (token->left_strip && start < done)
            start = done;
        while (token->left_strip && start > done && (space = space_before(text, start)) != 0 && start - space >= done)
            start -= space;
        if (token->right_strip) {
            /* A run of white space is walked once for all tokens in it. */
            w->space_end = ink_size_max(w->space_end, stop);
            while ((space = space_after(text, size, w->space_end)) != 0)
                w->space_end += space;
            stop = w->space_end;
        }
        if (start >= stop) { /* the token before has it all */
            i = w->scanned - 1;
            continue;
        }
        w->id = token->id;
        w->start = start;
        w->stop = stop;
        return true;
    }
    w->scanned = size;
    return false;
}

/* ---- one text --------------------------------------------------------------------------------------------------- */

/* Makes room for `more` ids. Doubles, so that the copies cost no more than the ids. */
static ink_result ids_reserve(ink_context *ctx, ink_ids *out, size_t more)
{
    size_t needed, doubled = out->wanted;
    if (!ink_size_add(out->n, more, &needed))
        needed = out->wanted;
    needed = ink_size_min(needed, out->wanted);
    if (needed <= out->capacity)
        return INK_OK;
    if (ink_size_mul(ink_size_max(needed, 256), 2, &doubled))
        doubled = ink_size_min(doubled, out->wanted);
    ink_token *ids = ink_arena_alloc(&ctx->gathered, doubled, sizeof *ids);
    ink_id_origin *origins = NULL;
    if (ids != NULL && out->placed)
        origins = ink_arena_alloc(&ctx->gathered, doubled, sizeof *origins);
    if (ids == NULL || (origins == NULL && out->placed))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: room for %zu ids", doubled);
    if (out->n > 0)
        memcpy(ids, out->ids, ink_size_min(out->n, out->capacity) * sizeof *ids);
    if (out->n > 0 && origins != NULL)
        memcpy(origins, out->origins, ink_size_min(out->n, out->capacity) * sizeof *origins);
    out->ids = ids;
    out->origins = origins;
    out->capacity = doubled;
    return INK_OK;
}

ink_result ink_unknown_fail(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size)
{
    const ink_short_text *name = &tokenizer->unk_name;
    if (name->size == 0)
        return ink_fail(ctx, INK_ERROR_MISMATCH,
                        "'%.*s' is not in the vocabulary, and the model names no unknown token",
                        (int)ink_size_min(size, 100), word);
    return ink_fail(ctx, INK_ERROR_MISMATCH,
                    "'%.*s' is not in the vocabulary, nor is '%.*s', which the model names as its unknown token",
                    (int)ink_size_min(size, 100), word, (int)name->size, name->bytes);
}

/* How many white space characters text [size] begins or ends with. In the spelling of bytes U+0120 is the space. */
static size_t spaces_at(const char *text, size_t size, bool at_end, bool byte_level)
{
    size_t n = 0;
    for (uint32_t code; size > 0; n++) {
        size_t length = at_end ? ink_utf8_last(text, size, &code) : ink_utf8_next(text, size, &code);
        if (byte_level ? code != ' ' : code != 0x120 && ink_unicode_class_of(code) != INK_UNICODE_SPACE)
            break;
        text += at_end ? 0 : length;
        size -= length;
    }
    return n;
}

void ink_ids_written(ink_ids *out, const char *text, size_t size)
{
    if (out->word == NULL || out->n > out->capacity)
        return;
    out->origins[out->n - 1].written = true;
    for (int at_end = 0; at_end < 2; at_end++)
        out->origins[out->n - 1].spaces[at_end] = spaces_at(text, size, at_end, false);
}

/* The mark of byte k of a view of the input (ink_encode_marked()). */
static bool is_marked(const ink_ids *out, const ink_view *view, size_t k)
{
    return out->marks[view->origin != NULL ? view->origin[k].start : (size_t)(view->text + k - out->marked)] != 0;
}

/* The ids that a model makes of a word, or the id of an added token. */
static ink_result encode_word(ink_context *ctx, const ink_tokenizer *t, const ink_view *word, ink_token added,
                              ink_ids *out)
{
    const bool whole = added >= 0 || t->model == INK_MODEL_WORDLEVEL;
    INK_TRY(ids_reserve(ctx, out, whole ? 1 : word->size)); /* no model makes more ids than there are bytes */
    out->word = out->placed ? word->origin : NULL;
    out->done = 0;
    if (whole) {
        ink_token id = added >= 0 ? added : ink_vocab_find(&t->vocab, word->text, word->size, false);
        if (id < 0 && t->unk < 0)
            return ink_unknown_fail(ctx, t, word->text, word->size);
        ink_ids_add(out, id >= 0 ? id : t->unk, word->size);
    } else if (t->model == INK_MODEL_BPE) {
        INK_TRY(ink_bpe_encode(ctx, t, word->text, word->size, out));
    } else if (t->model == INK_MODEL_UNIGRAM) {
        INK_TRY(ink_unigram_encode(ctx, t, word->text, word->size, out));
    } else if (t->model == INK_MODEL_PIECES) {
        INK_TRY(ink_pieces_encode(ctx, t, word->text, word->size, out));
    } else {
        INK_TRY(ink_wordpiece_encode(ctx, t, word->text, word->size, out));
    }
    if (added >= 0)
        ink_ids_written(out, word->text, word->size);
    if (added >= 0 && out->marks != NULL) {
        size_t n_marked = 0;
        while (n_marked < word->size && is_marked(out, word, n_marked))
            n_marked++;
        if (n_marked == word->size && ink_tokenizer_is_special(t, added)) /* white space */
            return ink_fail(ctx, INK_ERROR_MISMATCH,
                            "a message holds the text '%.*s', which this tokenizer cannot tell from its control token",
                            (int)ink_size_min(word->size, 40), word->text);
        out->ids[out->n - 1] = ~added;
    }
    out->n_words++;
    return INK_OK;
}

static ink_result encode_words(ink_context *ctx, const ink_tokenizer *t, const ink_view *text, bool at_start,
                               ink_ids *out)
{
    ink_split split;
    ink_view word;
    INK_TRY(ink_split_start(ctx, &t->splitter, text, at_start, &split));
    for (;;) {
        INK_TRY(ink_split_next(ctx, &split, &word));
        if (word.size == 0)
            return INK_OK;
        INK_TRY(encode_word(ctx, t, &word, -1, out));
    }
}

/* Walks a text from added token to added token of one set. */
typedef struct segment_walk {
    ink_added_walk tokens;
    ink_view whole;
    bool plain;    /* the text is one segment */
    bool at_start; /* the text is the beginning of the whole text */
    size_t done;
    bool ended;
} segment_walk;

/* The text before an added token, which may be empty, the token's text, and its id; -1 after the last. */
typedef struct segment {
    ink_view view, token;
    bool at_start;
    ink_token id;
} segment;

static ink_result segment_start(ink_context *ctx, const ink_added *added, ink_added_set set, unsigned flags,
                                const segment *text, const ink_ids *out, segment_walk *w)
{
    const ink_view *view = &text->view;
    const char *searched = view->text;
    *w = (segment_walk){.whole = *view, .plain = (flags & INK_ENCODE_ADDED) == 0, .at_start = text->at_start};
    w->tokens = (ink_added_walk){.text = view->text, .size = view->size};
    if (w->plain)
        return INK_OK;
    if (out->marks != NULL) {
        /* No token is found in marked bytes: for the search they are bytes that no text has. White space stays, because
           tokens may include it, and tokens of white space alone are text like any other. */
        char *masked = ink_arena_alloc(&ctx->scratch, view->size, 1);
        if (masked == NULL)
            return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: added tokens in a text");
        for (size_t i = 0, length; i < view->size; i += length) {
            uint32_t code;
            length = ink_utf8_next(view->text + i, view->size - i, &code);
            const bool space = ink_unicode_class_of(code) == INK_UNICODE_SPACE;
            for (size_t k = i; k < i + length; k++)
                masked[k] = is_marked(out, view, k) && !space ? '\xff' : view->text[k];
        }
        searched = masked;
    }
    return ink_added_start(ctx, added, set, searched, view->size, &w->tokens);
}

static bool segment_next(segment_walk *w, segment *s)
{
    if (w->ended)
        return false;
    bool found = !w->plain && ink_added_next(&w->tokens);
    size_t stop = found ? w->tokens.start : w->tokens.size;
    *s = (segment){.view = ink_view_part(&w->whole, w->done, w->done < stop ? stop - w->done : 0),
                   .at_start = w->at_start && w->done == 0,
                   .id = found ? w->tokens.id : -1};
    if (found)
        s->token = ink_view_part(&w->whole, stop, w->tokens.stop - stop);
    w->done = w->tokens.stop;
    w->ended = !found;
    return true;
}

/* Where each byte of an input comes from: its character, or itself if it belongs to none. */
static ink_result view_start(ink_context *ctx, ink_view *view)
{
    ink_range *origin = ink_arena_alloc(&ctx->scratch, view->size, sizeof *origin);
    if (origin == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the places of a text of %zu bytes", view->size);
    view->origin = origin;
    for (size_t i = 0, length; i < view->size; i += length) {
        uint32_t code;
        length = ink_utf8_next(view->text + i, view->size - i, &code);
        for (size_t k = i; k < i + length; k++)
            origin[k] = code < INK_UTF8_INVALID ? (ink_range){i, i + length} : (ink_range){k, k + 1};
    }
    return INK_OK;
}

/* A language code in front of a text, >>fr<<, is a token, or unknown. */
static ink_result encode_code(ink_context *ctx, const ink_tokenizer *t, ink_view *view, ink_ids *out)
{
    size_t size = 0;
    if (view->size < 4 || memcmp(view->text, ">>", 2) != 0)
        return INK_OK;
    for (size = 2; size < view->size && memcmp(view->text + size - 1, "<<", 2) != 0;)
        size++;
    if (size++ == view->size)
        return INK_OK;
    const ink_view code = ink_view_part(view, 0, size);
    const ink_token id = ink_tokenizer_find(t, code.text, size);
    *view = ink_view_part(view, size, view->size - size);
    return encode_word(ctx, t, &code, id >= 0 ? id : t->unk, out);
}

/* Between raw added tokens the text is normalised; between normalised ones it is encoded word by word. Scratch memory
   is given back behind each segment. */
static ink_result encode_text(ink_context *ctx, const ink_tokenizer *t, const char *text, size_t size, unsigned flags,
                              ink_ids *out)
{
    ink_step lowercase_step = {.normalize = ink_normal_lowercase};
    const ink_steps lowercase = {&lowercase_step, 1};
    segment raw = {.view = {.text = text, .size = size}, .at_start = (flags & INK_ENCODE_CONTINUE) == 0, .id = -1},
            normalized;
    segment_walk raw_walk, walk;
    if (out->placed || t->tracks_start || (out->marks != NULL && t->normalizer.n > 0))
        INK_TRY(view_start(ctx, &raw.view)); /* marks are found through the normalised text */
    INK_TRY(segment_start(ctx, &t->added, INK_ADDED_RAW, flags, &raw, out, &raw_walk));
    const ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    while (segment_next(&raw_walk, &raw)) {
        if (t->codes_in_front && (flags & INK_ENCODE_ADDED) != 0)
            INK_TRY(encode_code(ctx, t, &raw.view, out));
        if (raw.view.size > 0) {
            if ((flags & INK_ENCODE_LOWER) != 0)
                INK_TRY(ink_normalize(ctx, &lowercase, 0, &raw.view));
            INK_TRY(ink_normalize(ctx, &t->normalizer, 0, &raw.view));
            INK_TRY(segment_start(ctx, &t->added, INK_ADDED_NORMALIZED, flags, &raw, out, &walk));
            const ink_arena_mark words = ink_arena_mark_here(&ctx->scratch);
            while (segment_next(&walk, &normalized)) {
                if (normalized.view.size > 0)
                    INK_TRY(encode_words(ctx, t, &normalized.view, normalized.at_start, out));
                ink_arena_release(&ctx->scratch, words);
                if (normalized.id >= 0)
                    INK_TRY(encode_word(ctx, t, &normalized.token, normalized.id, out));
            }
            ink_arena_release(&ctx->scratch, mark);
        }
        if (raw.id >= 0)
            INK_TRY(encode_word(ctx, t, &raw.token, raw.id, out));
    }
    return INK_OK;
}

ink_result ink_encode_marked(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size,
                             const uint8_t *marks, ink_token **ids, size_t *n)
{
    static const uint8_t none;
    ink_ids out = {.wanted = SIZE_MAX, .marks = size > 0 ? marks : &none, .marked = text};
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_result result = encode_text(ctx, tokenizer, text, size, INK_ENCODE_ADDED, &out);
    *ids = out.ids;
    *n = out.n;
    return ink_scratch_end(ctx, mark, result);
}

/* ---- places ----------------------------------------------------------------------------------------------------- */

/* Takes the white space of a token off the ends of its place, a character of the text for each, as process_offsets() of
   the reference does it. */
static void place_trim(const ink_tokenizer *t, const char *text, size_t size, ink_token id, const ink_id_origin *origin,
                       bool first, ink_place *place)
{
    const ink_vocab_token *token = &t->vocab.tokens[id];
    const char *spelled = ink_vocab_bytes(&t->vocab, id);
    bool byte_level = t->bpe.byte_level && !token->verbatim;
    size_t stop = place->stop;
    size_t before = origin->written ? origin->spaces[0] : spaces_at(spelled, token->size, false, byte_level);
    size_t after = origin->written ? origin->spaces[1] : spaces_at(spelled, token->size, true, byte_level);
    uint32_t code;
    if (before == 1 && t->keeps_prefix && (first || place->start == 0))
        before = 0;
    for (; before > 0 && place->start < stop; before--)
        place->start += ink_utf8_next(text + place->start, size - place->start, &code);
    for (; after > 0 && stop > 0; after--)
        stop -= ink_utf8_last(text, stop, &code);
    if (after == 0)
        place->stop = ink_size_max(stop, place->start);
}

static size_t place_characters(const char *text, size_t size)
{
    size_t n = 0;
    uint32_t code;
    for (size_t i = 0; i < size; n++)
        i += ink_utf8_next(text + i, size - i, &code);
    return n;
}

/* True if the token goes on with the word before it: the rule of the pipelines of transformers. */
static bool place_continues(const ink_tokenizer *t, const char *text, size_t size, ink_token id, const ink_place *place)
{
    const size_t start = place->start;
    if (id == t->named_unk)
        return false;
    if (!t->marks_rest)
        return start > 0 && text[start - 1] != ' ' && (start == size || text[start] != ' ');
    return place_characters(ink_vocab_bytes(&t->vocab, id), t->vocab.tokens[id].size) !=
           place_characters(text + start, place->stop - start);
}

/* The places of `count` ids of text `which` from id `from`. */
static void places_put(const ink_tokenizer *t, const ink_encode_input *input, int which, const ink_ids *ids,
                       size_t from, size_t count, ink_place *places)
{
    const char *text = which == 0 ? input->text : input->pair;
    const size_t size = which == 0 ? input->size : input->pair_size;
    const size_t before = which == 0 && input->direction != NULL ? input->direction->prefix_size : 0;
    for (size_t i = 0; i < count; i++) {
        const ink_id_origin *origin = &ids->origins[from + i];
        const ink_range range = {origin->range.start - ink_size_min(before, origin->range.start),
                                 origin->range.stop - ink_size_min(before, origin->range.stop)};
        places[i] = (ink_place){.text = which, .start = range.start, .stop = range.stop, .word = origin->word};
        if (t->trims_places)
            place_trim(t, text, size, ids->ids[from + i], origin, i == 0, &places[i]);
        places[i].continues = place_continues(t, text, size, ids->ids[from + i], &places[i]);
    }
}

/* ---- a text or a pair, and the template ------------------------------------------------------------------------- */

/* Shortens two texts of length[0] and length[1] ids until they have at most `room` together, the longer one first. As
   in the reference, when both are shortened and room is odd, the one that was longer keeps the odd id; of equals the
   second. */
static void template_truncate(size_t length[2], size_t room)
{
    size_t shorter = length[0] > length[1] ? 1 : 0, longer = 1 - shorter;
    if (length[0] <= room && length[1] <= room - length[0])
        return;
    if (length[shorter] <= room / 2) {
        length[longer] = room - length[shorter];
        return;
    }
    length[shorter] = room / 2;
    length[longer] = room - room / 2;
}

/* The ids of the input in gathered memory: those of text i and how many of them are used; *n with the control tokens.
 */
static ink_result encode_input(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_encode_input *input,
                               size_t capacity, ink_ids texts[2], size_t length[2], size_t *n)
{
    bool pair = input->pair != NULL;
    const ink_direction *direction = input->direction;
    ink_encode_input joined = *input;
    size_t extra = 0, wanted = capacity;
    if ((input->flags & INK_ENCODE_TEMPLATE) != 0) { /* each text is in the template once */
        extra = tokenizer->template.n[pair] - (pair ? 2 : 1);
        extra += direction != NULL && direction->to >= 0;
    }
    if (direction != NULL && direction->prefix_size > 0) {
        char *text = NULL;
        if (ink_size_add(direction->prefix_size, input->size, &joined.size))
            text = ink_arena_alloc(&ctx->scratch, joined.size, 1);
        if (text == NULL)
            return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a text of %zu bytes", input->size);
        memcpy(text, direction->prefix, direction->prefix_size);
        if (input->size > 0)
            memcpy(text + direction->prefix_size, input->text, input->size);
        joined.text = text;
    }
    if (input->max_length != 0) {
        if (input->max_length < extra)
            return ink_fail(ctx, INK_ERROR_LIMIT, "max_length is %zu, the template alone has %zu tokens",
                            input->max_length, extra);
        wanted = tokenizer->cuts_left ? SIZE_MAX : ink_size_min(wanted, input->max_length);
    }
    texts[0].wanted = texts[1].wanted = wanted;
    INK_TRY(encode_text(ctx, tokenizer, joined.text, joined.size, input->flags, &texts[0]));
    if (pair)
        INK_TRY(encode_text(ctx, tokenizer, input->pair, input->pair_size, input->flags, &texts[1]));
    for (int i = 0; i < 2; i++)
        length[i] = texts[i].n;
    if (input->max_length != 0)
        template_truncate(length, input->max_length - extra);
    if (!ink_size_add(length[0], length[1], n) || !ink_size_add(*n, extra, n))
        return ink_fail(ctx, INK_ERROR_LIMIT, "the texts have more ids than can be counted");
    if (*n > capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the text is %zu tokens long, there is room for %zu", *n, capacity);
    return INK_OK;
}

ink_result ink_tokenizer_encode_input(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_encode_input *input,
                                      ink_token *ids, ink_token *types, ink_place *places, size_t capacity, size_t *n)
{
    INK_REQUIRE(ctx, n);
    *n = 0;
    INK_REQUIRE(ctx, tokenizer, input);
    const char *text = input->text, *pair = input->pair;
    if (input->size > 0)
        INK_REQUIRE(ctx, text);
    if (input->pair_size > 0)
        INK_REQUIRE(ctx, pair);
    if (capacity > 0)
        INK_REQUIRE(ctx, ids);
    if ((input->flags & ~(unsigned)(INK_ENCODE_DEFAULT | INK_ENCODE_CONTINUE | INK_ENCODE_LOWER)) != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: unknown flags %zu", __func__, (size_t)input->flags);

    ink_ids texts[2] = {{.placed = places != NULL && capacity > 0}, {.placed = places != NULL && capacity > 0}};
    size_t length[2], total = 0;
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch), ids_mark = ink_arena_mark_here(&ctx->gathered);
    ink_result result = encode_input(ctx, tokenizer, input, capacity, texts, length, &total);
    const ink_template *template = &tokenizer->template;
    const ink_template_slot *slots = template->slots + (pair != NULL ? template->n[0] : 0);
    const ink_direction *direction = (input->flags & INK_ENCODE_TEMPLATE) != 0 ? input->direction : NULL;
    size_t at = 0;
    if (result == INK_OK && direction != NULL && direction->to >= 0) {
        ids[at] = direction->to;
        if (types != NULL)
            types[at] = 0;
        if (places != NULL)
            places[at] = (ink_place){.text = -1, .word = SIZE_MAX};
        at++;
    }
    for (size_t i = 0; result == INK_OK && i < template->n[pair != NULL]; i++) {
        bool is_text = slots[i].id < 0;
        size_t which = slots[i].id == INK_TEMPLATE_B ? 1 : 0;
        size_t count = is_text ? length[which] : (input->flags & INK_ENCODE_TEMPLATE) != 0 ? 1 : 0;
        size_t skipped = input->max_length != 0 && tokenizer->cuts_left ? texts[which].n - length[which] : 0;
        if (count > 0)
            memcpy(ids + at, is_text ? texts[which].ids + skipped : &slots[i].id, count * sizeof *ids);
        if (count > 0 && !is_text && direction != NULL && direction->from >= 0 &&
            slots[i].id == tokenizer->source_language)
            ids[at] = direction->from;
        for (size_t k = 0; k < count && types != NULL; k++)
            types[at + k] = slots[i].type;
        if (places != NULL && is_text)
            places_put(tokenizer, input, (int)which, &texts[which], skipped, count, places + at);
        else if (places != NULL && count > 0)
            places[at] = (ink_place){.text = -1, .word = SIZE_MAX};
        at += count;
    }
    (void)ink_scratch_end(ctx, mark, result);
    ink_arena_release(&ctx->gathered, ids_mark);
    if (result != INK_OK)
        ink_arena_free(&ctx->gathered);
    *n = result == INK_OK || result == INK_ERROR_LIMIT ? total : 0;
    return result;
}

ink_result ink_tokenizer_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size,
                                unsigned flags, ink_token *ids, size_t capacity, size_t *n)
{
    ink_encode_input input = {.text = text, .size = size, .flags = flags};
    return ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, NULL, capacity, n);
}
