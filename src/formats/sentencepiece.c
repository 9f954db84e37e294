/*
 * sentencepiece.c - reads ModelProto (sentencepiece.h).
 *
 * A message is a row of fields: a number (field << 3 | wire type) as a varint, seven bits in each byte, lowest first;
 * then another varint (wire type 0), 8 or 4 bytes (1, 5), or a length and so many bytes (2). The fields that count are
 * rows of a table.
 */
#include "sentencepiece.h"

#include <math.h>
#include <string.h>

typedef struct sp_reader {
    ink_context *ctx;
    const char *file, *start; /* of the whole file */
} sp_reader;

typedef struct sp_field {
    uint64_t number, wire, value; /* value: of wire types 0, 1 and 5, and the length of 2 */
    const char *at;               /* of the field, */
    const char *bytes;            /* and of what a length stands before */
} sp_field;

static ink_result sp_refuse(const sp_reader *r, const char *at, const char *reason)
{
    return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: %s", r->file, (size_t)(at - r->start), reason);
}

static ink_result sp_varint(const sp_reader *r, const char **at, const char *end, uint64_t *value)
{
    const char *start = *at;
    *value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (*at == end)
            return sp_refuse(r, start, "a number that the message ends in");
        const unsigned char byte = (unsigned char)*(*at)++;
        if (shift == 63 && byte > 1)
            break;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return INK_OK;
    }
    return sp_refuse(r, start, "a number of more than 64 bits");
}

static ink_result sp_next(const sp_reader *r, const char **at, const char *end, sp_field *f)
{
    uint64_t key;
    f->at = *at;
    INK_TRY(sp_varint(r, at, end, &key));
    f->number = key >> 3;
    f->wire = key & 7;
    if (f->number == 0 || f->number >= 1u << 29)
        return sp_refuse(r, f->at, "a field of no number: this is no SentencePiece model");
    if (f->wire == 0 || f->wire == 2)
        INK_TRY(sp_varint(r, at, end, &f->value));
    const uint64_t size = f->wire == 0 ? 0 : f->wire == 1 ? 8 : f->wire == 5 ? 4 : f->value;
    if (f->wire == 3 || f->wire == 4 || f->wire > 5)
        return sp_refuse(r, f->at, "a wire type that is not supported: this is no SentencePiece model");
    if (size > (uint64_t)(end - *at))
        return sp_refuse(r, f->at, "a field that is longer than its message");
    f->bytes = *at;
    if (f->wire == 1 || f->wire == 5)
        f->value = ink_get_le(*at, (size_t)size);
    *at += size;
    return INK_OK;
}

typedef enum sp_message { SP_MODEL, SP_PIECE, SP_TRAINER, SP_NORMALIZER } sp_message;

/* The fields of messages, and where they go in an ink_sp_piece or an ink_sentencepiece. */
static const struct {
    uint8_t message, number, wire;
    size_t offset;
} sp_fields[] = {
    {SP_MODEL, 1, 2, 0},
    {SP_MODEL, 2, 2, 0},
    {SP_MODEL, 3, 2, 0},
    {SP_PIECE, 1, 2, offsetof(ink_sp_piece, text)},
    {SP_PIECE, 2, 5, offsetof(ink_sp_piece, score)},
    {SP_PIECE, 3, 0, offsetof(ink_sp_piece, type)},
    {SP_TRAINER, 3, 0, offsetof(ink_sentencepiece, model)},
    {SP_TRAINER, 24, 0, offsetof(ink_sentencepiece, whitespace_as_suffix)},
    {SP_TRAINER, 35, 0, offsetof(ink_sentencepiece, byte_fallback)},
    {SP_TRAINER, 40, 0, offsetof(ink_sentencepiece, unk_id)},
    {SP_TRAINER, 41, 0, offsetof(ink_sentencepiece, bos_id)},
    {SP_TRAINER, 42, 0, offsetof(ink_sentencepiece, eos_id)},
    {SP_TRAINER, 45, 2, offsetof(ink_sentencepiece, unk_piece)},
    {SP_TRAINER, 46, 2, offsetof(ink_sentencepiece, bos_piece)},
    {SP_TRAINER, 47, 2, offsetof(ink_sentencepiece, eos_piece)},
    {SP_NORMALIZER, 2, 2, offsetof(ink_sentencepiece, charsmap)},
    {SP_NORMALIZER, 3, 0, offsetof(ink_sentencepiece, add_dummy_prefix)},
    {SP_NORMALIZER, 4, 0, offsetof(ink_sentencepiece, remove_extra_whitespaces)},
    {SP_NORMALIZER, 5, 0, offsetof(ink_sentencepiece, escape_whitespaces)},
};

/* The row of a field, or -1 if nobody asks for it. */
static ink_result sp_row(const sp_reader *r, sp_message message, const sp_field *f, int *row)
{
    *row = -1;
    for (int i = 0; i < (int)(sizeof sp_fields / sizeof sp_fields[0]); i++)
        if (sp_fields[i].message == message && sp_fields[i].number == f->number)
            *row = i;
    if (*row >= 0 && sp_fields[*row].wire != f->wire)
        return sp_refuse(r, f->at, "a field with another wire type than that of SentencePiece");
    return INK_OK;
}

/* Reads the fields of a message [size] into `out`. */
static ink_result sp_read(const sp_reader *r, sp_message message, const char *bytes, uint64_t size, void *out)
{
    const char *end = bytes + size;
    while (bytes < end) {
        sp_field f = {0};
        int row;
        INK_TRY(sp_next(r, &bytes, end, &f));
        INK_TRY(sp_row(r, message, &f, &row));
        if (row < 0)
            continue;
        char *to = (char *)out + sp_fields[row].offset;
        const uint32_t bits = (uint32_t)f.value;
        if (f.wire == 2)
            *(ink_bytes_field *)(void *)to = (ink_bytes_field){f.bytes, (size_t)f.value};
        else
            memcpy(to, &bits, sizeof bits);
        if (f.wire == 5 && !isfinite(((ink_sp_piece *)out)->score))
            return sp_refuse(r, f.at, "a score that is not finite");
        for (size_t i = 0; f.wire == 2 && f.number != 2 && i < f.value;) { /* all but the charsmap are text */
            uint32_t code;
            i += ink_utf8_next(f.bytes + i, (size_t)f.value - i, &code);
            if (code >= INK_UTF8_INVALID)
                return sp_refuse(r, f.at, "text that is not valid UTF-8");
        }
    }
    return INK_OK;
}

ink_result ink_sentencepiece_open(ink_context *ctx, ink_arena *arena, const ink_source *source, const char *name,
                                  ink_limit limit, ink_sentencepiece *model)
{
    sp_reader r = {.ctx = ctx, .file = name};
    size_t size, memory;
    INK_TRY(ink_file_read_all(ctx, source, name, limit, arena, &r.start, &size));
    *model = (ink_sentencepiece){.file = name,
                                 .model = INK_SP_UNIGRAM,
                                 .bos_id = 1,
                                 .eos_id = 2,
                                 .unk_piece = {"<unk>", 5},
                                 .bos_piece = {"<s>", 3},
                                 .eos_piece = {"</s>", 4},
                                 .add_dummy_prefix = 1,
                                 .remove_extra_whitespaces = 1,
                                 .escape_whitespaces = 1};
    for (int pass = 0; pass < 2; pass++) { /* first the pieces are counted */
        size_t n = 0;
        for (const char *at = r.start, *end = r.start + size; at < end;) {
            sp_field f = {0};
            int row;
            INK_TRY(sp_next(&r, &at, end, &f));
            INK_TRY(sp_row(&r, SP_MODEL, &f, &row));
            if (row < 0)
                continue;
            if (f.number != 1) {
                INK_TRY(sp_read(&r, f.number == 2 ? SP_TRAINER : SP_NORMALIZER, f.bytes, f.value, model));
            } else if (pass == 1) {
                model->pieces[n] = (ink_sp_piece){.text = {"", 0}, .type = INK_SP_NORMAL};
                INK_TRY(sp_read(&r, SP_PIECE, f.bytes, f.value, &model->pieces[n]));
                if (model->pieces[n].type < INK_SP_NORMAL || model->pieces[n].type > INK_SP_BYTE)
                    return sp_refuse(&r, f.at, "a piece of an unknown type");
            }
            n += f.number == 1;
        }
        if (n == 0)
            return ink_fail(ctx, INK_ERROR_CORRUPT, "%s: there are no pieces: this is no SentencePiece model", name);
        model->n_pieces = n;
        if (pass == 1)
            break;
        if (!ink_size_mul(n, sizeof *model->pieces, &memory))
            memory = SIZE_MAX;
        INK_TRY(ink_limit_check(ctx, name, (uint64_t)memory + size, limit));
        model->pieces = ink_arena_alloc(arena, n, sizeof *model->pieces);
        if (model->pieces == NULL)
            return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s", name);
    }
    return INK_OK;
}
