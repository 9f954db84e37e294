/*
 * engine.h - the tokenizer from the inside: its parts, and how one is built by calls.
 *
 *     encode   text -> added tokens cut out -> normalised -> split into words -> ids of each word -> the template
 *     decode   ids -> tokens -> the decoder's steps -> text
 *
 * The engine knows no files. A reader of files describes the tokenizer by calls of the builder, at the end of this
 * page.
 */
#ifndef INK_TEXT_ENGINE_H
#define INK_TEXT_ENGINE_H

#include <string.h>

#include <inkling/tokenizer.h>

#include "../base/internal.h"

/* ---- small things shared by all steps --------------------------------------------------------------------------- */

#define INK_SHORT_TEXT 64 /* bytes at most; no published file comes near */

/* A few bytes that a step is given: a pattern, a prefix, a replacement. */
typedef struct ink_short_text {
    char bytes[INK_SHORT_TEXT];
    size_t size;
} ink_short_text;

static inline bool ink_text_starts(const ink_short_text *head, const char *text, size_t size)
{
    return head->size <= size && memcmp(head->bytes, text, head->size) == 0;
}

typedef struct ink_spelled_token {
    const char *text; /* [size] */
    size_t size;
    ink_token id;
} ink_spelled_token;

/* Output that counts all bytes and keeps as many as there is room for. */
typedef struct ink_text_sink {
    char *text; /* [capacity] */
    size_t capacity, size;
} ink_text_sink;

static inline void ink_text_put(ink_text_sink *out, const char *bytes, size_t size)
{
    if (out->size < out->capacity && size > 0)
        memcpy(out->text + out->size, bytes, ink_size_min(size, out->capacity - out->size));
    out->size += size;
}

/*
 * Places of tokens. Only if the caller asks for them, every text on its way from the input to the model has an array
 * beside it that says which bytes of the input each of its bytes was made of: whole characters, or a byte that belongs
 * to none. Each step carries the array along by the rules of NormalizedString in Hugging Face's tokenizers:
 *
 *     a character that takes the place of another has its range, and one that is inserted that of the one before it;
 *     a composed character has the range of the first of those that it takes the place of
 */
typedef struct ink_range {
    size_t start, stop;
} ink_range;

typedef struct ink_view {
    const char *text; /* [size] */
    size_t size;
    const ink_range *origin; /* [size]; NULL: nobody asks */
} ink_view;

/* `size` bytes of a view from the byte `start`. */
static inline ink_view ink_view_part(const ink_view *view, size_t start, size_t size)
{
    return (ink_view){view->text + start, size, view->origin != NULL ? view->origin + start : NULL};
}

/* Where an id comes from. */
typedef struct ink_id_origin {
    ink_range range;
    size_t word;
    bool written;     /* it is spelled as it is written, not as in the vocabulary, */
    size_t spaces[2]; /* with so much white space at its beginning and end */
} ink_id_origin;

/* The ids of a text: counts them all, keeps the first `wanted`. They are in the context's gathered memory, because
   scratch memory is released piece by piece. The encoder makes room before it encodes a word, and the model fills it.
 */
typedef struct ink_ids {
    ink_token *ids; /* [capacity] */
    size_t capacity, wanted, n;
    bool placed;            /* places are asked for */
    ink_id_origin *origins; /* [capacity], if they are */
    const ink_range *word;  /* of the word that is being encoded, if they are, or NULL */
    size_t n_words, done;   /* the words before it, and how many of its bytes have ids */
    const uint8_t *marks;   /* of the bytes of the input `marked`; NULL: no byte has one (ink_encode_marked()) */
    const char *marked;
} ink_ids;

/* Adds an id for the next `size` bytes of the word, size >= 1. */
static inline void ink_ids_add(ink_ids *out, ink_token id, size_t size)
{
    if (out->n < out->capacity) {
        out->ids[out->n] = id;
        if (out->word != NULL)
            out->origins[out->n] = (ink_id_origin){
                .range = {out->word[out->done].start, out->word[out->done + size - 1].stop}, .word = out->n_words};
    }
    out->done += size;
    out->n++;
}

/* encode.c. The last id is spelled as this text: an added token, or what Unigram does not know. */
void ink_ids_written(ink_ids *out, const char *text, size_t size);

/* ---- lookup.c: a hash index, a trie, the vocabulary ------------------------------------------------------------- */

/*
 * A hash index over an array: from a key to the place of an item. Open addressing with linear probing, at most half
 * full. The items come from somebody else, so lookups need a bound that holds for any items: building tries hash
 * seeds until no probe is longer than INK_INDEX_PROBES, and refuses items that defeat them all.
 */
#define INK_INDEX_PROBES 256
#define INK_INDEX_EMPTY UINT32_MAX

typedef struct ink_index {
    uint32_t *slots; /* [n_slots], the number of an item or INK_INDEX_EMPTY */
    size_t n_slots;  /* a power of two */
    uint64_t seed;
} ink_index;

/* The hash of items[i]; false if the index leaves this item out. */
typedef bool (*ink_index_hash_fn)(const void *items, uint32_t i, uint64_t seed, uint64_t *hash);

/* Whether two items are equal. */
typedef bool (*ink_index_equal_fn)(const void *items, uint32_t i, uint32_t k);

/* Indexes items 0 .. n - 1; of equal items the last is found. `what` and `file` are for the message. INK_ERROR_MEMORY,
   INK_ERROR_LIMIT. */
ink_result ink_index_build(ink_context *ctx, ink_arena *arena, const char *file, const char *what,
                           ink_index_hash_fn hash, ink_index_equal_fn equal, const void *items, size_t n,
                           ink_index *index);

/* A lookup compares the items in slot 0, 1, ... of the hash until one is equal or INK_INDEX_EMPTY is met. */
static inline uint32_t ink_index_slot(const ink_index *index, uint64_t hash, size_t probe)
{
    return index->slots[((size_t)hash + probe) & (index->n_slots - 1)];
}

/*
 * A trie of bytes finds the longest of many strings, at one place in a text or at every place. One trie holds several
 * sets of strings, each below a root of its own. The children of a node are a tree again: the k-th bit of a byte says
 * in which half of the k-th child's siblings it is, so a child is found in nine steps at most. Node 0 stands for none.
 *
 * To find the longest string at every place of a text, a set holds its strings backward, and the text is read from its
 * end (Aho and Corasick 1975). The node reached is the longest beginning of the text after this place that is the end
 * of a string; where no byte continues it, `fail` leads to the next shorter one. So n bytes cost O(n), however long the
 * strings are. A walk from each place would cost n times the longest string. In the same way a set of forward strings
 * finds the longest string that ends at every place.
 */
#define INK_TRIE_SETS 3
#define INK_TRIE_NONE UINT32_MAX
#define INK_TRIE_ROOT(set) (1 + (set))

typedef struct ink_trie_node {
    uint32_t child;
    uint32_t sibling[2];
    uint32_t fail;
    uint32_t value;  /* of the string that ends here; in a linked set else of the longest one that ends so; or NONE */
    uint32_t length; /* of this string */
    char byte;
} ink_trie_node;

typedef struct ink_trie {
    ink_trie_node *nodes; /* [n_nodes] */
    size_t n_nodes;
} ink_trie;

/* A string of a trie, size >= 1. If several of a set are equal, the first keeps its value. */
typedef struct ink_trie_string {
    const char *text; /* [size], read backward if `backward` */
    size_t size;
    uint32_t value;
    uint8_t set;
    bool backward;
} ink_trie_string;

/* The i-th string; false if there is none at i. */
typedef bool (*ink_trie_string_fn)(const void *user, size_t i, ink_trie_string *string);

/* Makes a trie of the strings at 0 .. n - 1, with exactly as many nodes as it has, which are counted first: all of them
   may take table_bytes of ink_limits. `file` is for the message. INK_ERROR_LIMIT, INK_ERROR_MEMORY. */
ink_result ink_trie_build(ink_context *ctx, ink_arena *arena, const char *file, ink_trie_string_fn string,
                          const void *user, size_t n, ink_trie *trie);

/* Completes a set, so that it can be read along a text; `arena` lends memory. INK_ERROR_MEMORY. */
ink_result ink_trie_link(ink_context *ctx, ink_arena *arena, ink_trie *trie, unsigned set);

/* Of a linked set: the node after one more byte of a text; the first one is INK_TRIE_ROOT(set). */
uint32_t ink_trie_step(const ink_trie *trie, unsigned set, uint32_t node, char byte);

/* Of a linked set of backward strings: found[i - from] is the node with the longest string that text [size] has at i,
   or one without a value, for from <= i < to. The text behind `to` is read, too: as far as the longest string reaches
   is enough. */
void ink_trie_starts(const ink_trie *trie, unsigned set, const char *text, size_t size, size_t from, size_t to,
                     uint32_t *found);

/* The value of exactly this string, or INK_TRIE_NONE. */
uint32_t ink_trie_find(const ink_trie *trie, unsigned set, const char *string, size_t size);

/* The value of the longest string of the set that text [size] begins with, and its length; or INK_TRIE_NONE. */
uint32_t ink_trie_longest(const ink_trie *trie, unsigned set, const char *text, size_t size, size_t *length);

/* The vocabulary: the bytes of all tokens in one pool, ids as places in it, and an index from bytes to ids. Several
   tokens may have one id: text becomes this id by any of them, and the id becomes the last one. */
typedef struct ink_vocab_token {
    uint32_t offset; /* of its first byte in the pool */
    uint32_t size;   /* in bytes; may be 0 */
    bool known;      /* false: no token has this id */
    bool verbatim;   /* its characters stand for themselves: in a vocabulary of bytes, where no text reaches it, and in
                        SentencePiece's own decoder, which does not know it */
    bool special;    /* a control token, left out when decoding */
} ink_vocab_token;

typedef struct ink_vocab {
    char *pool; /* [pool_size] */
    size_t pool_size;
    ink_vocab_token *tokens; /* [first_other + n_others]: by id, then the others, whose id a later token has */
    size_t n_ids, first_other, n_others;
    ink_token *id_of_other; /* [n_others] */
    size_t longest;         /* bytes of the longest token */
    ink_index index;
} ink_vocab;

static inline bool ink_vocab_has(const ink_vocab *vocab, ink_token id)
{
    return id >= 0 && (size_t)id < vocab->n_ids && vocab->tokens[id].known;
}

static inline const char *ink_vocab_bytes(const ink_vocab *vocab, ink_token id)
{
    return vocab->pool + vocab->tokens[id].offset;
}

/* The id of tokens[i]. */
static inline ink_token ink_vocab_id(const ink_vocab *vocab, size_t i)
{
    return i < vocab->first_other ? (ink_token)i : vocab->id_of_other[i - vocab->first_other];
}

/* Tells the index, if there is one, that tokens[from] is going to be tokens[to]. */
void ink_vocab_moves(ink_vocab *vocab, uint32_t from, uint32_t to);

/* The token of the model with exactly these bytes, or -1. */
ink_token ink_vocab_find(const ink_vocab *vocab, const char *bytes, size_t size, bool verbatim);

/* ---- steps: the normalizer, the splitter and the decoder are rows of them --------------------------------------- */

/* The longest row of each. BERT's normalizer has six steps; WordPiece's decoder has twelve. */
#define INK_NORMAL_STEPS 16
#define INK_SPLIT_STEPS 8
#define INK_DECODE_STEPS 24

typedef struct ink_step ink_step;

/* Code points in scratch memory. A byte that belongs to no code point is INK_CODE_BYTE + its value. */
#define INK_CODE_BYTE 0x110000u

typedef struct ink_codes {
    uint32_t *at;      /* [n] */
    ink_range *origin; /* [n] of each code; NULL: nobody asks */
    size_t n;
    uint32_t *room;         /* [capacity], in which they are, */
    ink_range *origin_room; /* and their origins */
    size_t capacity;
    size_t most; /* no step makes more of them, */
    size_t size; /* from a text of so many bytes */
} ink_codes;

/* charsmap.c. SentencePiece's rules of normalisation: strings and what each becomes. A trie of bytes in Darts' double
   array (Yata 2007) finds the string; its value is the place of the replacement in `texts`, which a NUL ends.

       from the node at `place` the byte c leads to place' = (place ^ offset of its unit) ^ c, if the label there is c
 */
typedef struct ink_charsmap {
    uint32_t *units; /* [n_units] */
    size_t n_units;
    char *texts; /* [n_texts] UTF-8 */
    size_t n_texts;
} ink_charsmap;

/* One more byte of a text: false if no string of the map goes on with it. *place is 0 at first. If a string ends here,
 *to [*to_size] is what it becomes; else both stay. */
bool ink_charsmap_step(const ink_charsmap *map, size_t *place, unsigned char byte, const char **to, size_t *to_size);

/* A step of a normalizer changes the codes in place, or replaces them by others in the context's scratch memory. */
typedef ink_result (*ink_normal_fn)(ink_context *ctx, const ink_step *step, ink_codes *codes);

/* A step of a splitter says where it matches: the length in bytes of the match at the head of text [size], size >= 1,
   or 0. It looks at nothing before the text. */
typedef size_t (*ink_match_fn)(const ink_step *step, const char *text, size_t size);

/* A step of a decoder changes one token. It writes the new token to `out`, which has the room that ink_decode_room()
   gives, and returns its length. `first`: it is the first token of a text. */
typedef size_t (*ink_decode_fn)(const ink_step *step, bool first, const char *token, size_t size, char *out);

/* What a splitter does with the matches of a step; the text between two matches is a word. */
typedef enum ink_split_behavior {
    INK_SPLIT_ISOLATED,             /* each is a word */
    INK_SPLIT_REMOVED,              /* they are dropped */
    INK_SPLIT_CONTIGUOUS,           /* neighbours are one word together */
    INK_SPLIT_MERGED_WITH_PREVIOUS, /* each belongs to the word before it */
    INK_SPLIT_MERGED_WITH_NEXT      /* each belongs to the word after it */
} ink_split_behavior;

/* Before a step splits a text, it may put a prefix in front of it. */
typedef enum ink_prefix_scheme {
    INK_PREFIX_NEVER,
    INK_PREFIX_FIRST, /* only at the beginning of the whole text */
    INK_PREFIX_ALWAYS
} ink_prefix_scheme;

struct ink_step {
    union {
        ink_normal_fn normalize;
        ink_match_fn match;
        ink_decode_fn decode;
    };
    ink_short_text from, to; /* every `from` becomes `to`; of a splitter `from` matches, and each U+0020 becomes `to` */
    unsigned properties;     /* code points with one of these (unicode.h) are dropped, or match */
    size_t start, stop;      /* strip: so many characters at most at the start and at the end; replace: a run of at
                                least `start` times `from`, only at the head of the text if `stop` is 1 */
    const ink_charsmap *map; /* of ink_normal_charsmap */

    /* Of a splitter only: */
    ink_split_behavior behavior;
    bool invert;           /* matches and the text between them change places */
    ink_short_text prefix; /* goes before a text that does not start with it */
    ink_prefix_scheme scheme;
};

typedef struct ink_steps {
    ink_step *step; /* [n] */
    size_t n;
} ink_steps;

/* normalize.c. Normalises a text in scratch memory that the caller releases. Without steps the view stays. No step
   makes more than `most` code points of it; 0: as many as the context's text_growth allows. INK_ERROR_LIMIT before
   memory is taken for more. */
ink_result ink_normalize(ink_context *ctx, const ink_steps *steps, size_t most, ink_view *view);

ink_result ink_normal_drop(ink_context *ctx, const ink_step *step, ink_codes *codes);    /* by properties */
ink_result ink_normal_space(ink_context *ctx, const ink_step *step, ink_codes *codes);   /* white space: U+0020 */
ink_result ink_normal_chinese(ink_context *ctx, const ink_step *step, ink_codes *codes); /* spaces around them */
ink_result ink_normal_lowercase(ink_context *ctx, const ink_step *step, ink_codes *codes);
ink_result ink_normal_nmt(ink_context *ctx, const ink_step *step, ink_codes *codes); /* controls go, more are spaces */
ink_result ink_normal_strip(ink_context *ctx, const ink_step *step, ink_codes *codes); /* white space, or `from` */
ink_result ink_normal_prepend(ink_context *ctx, const ink_step *step,
                              ink_codes *codes); /* `to`; to nothing if `start` */
ink_result ink_normal_replace(ink_context *ctx, const ink_step *step, ink_codes *codes);
ink_result ink_normal_nfd(ink_context *ctx, const ink_step *step, ink_codes *codes);
ink_result ink_normal_nfc(ink_context *ctx, const ink_step *step, ink_codes *codes);
ink_result ink_normal_nfkd(ink_context *ctx, const ink_step *step, ink_codes *codes);
ink_result ink_normal_nfkc(ink_context *ctx, const ink_step *step, ink_codes *codes);
ink_result ink_normal_charsmap(ink_context *ctx, const ink_step *step, ink_codes *codes); /* `map`; `start`: longest */

/* Options of ink_match_words(): how a splitter differs from the others of its kind. */
enum {
    INK_WORDS_CONTRACTIONS = 1, /* the endings 's, 't, 're, 've, 'm, 'll, 'd, in any case, are words; */
    INK_WORDS_ENDINGS = 2,      /* or they belong to the word before them, if INK_WORDS_CASES is set */
    INK_WORDS_MARKS = 4,        /* combining marks are letters */
    INK_WORDS_CASES = 8,        /* so they are in words; a word has capitals, then small letters */
    INK_WORDS_LINES = 16,       /* line ends belong to the punctuation before them, */
    INK_WORDS_SLASHES = 32      /* and so do slashes */
};

/* rules.c. The first two cut every text into a row of matches. ink_match_words() does as Llama 3 does, with the options
   in `properties` and at most `start` digits in a word; ink_match_numbers() is \p{N}{1,start}. */
size_t ink_match_gpt2(const ink_step *step, const char *text, size_t size);
size_t ink_match_words(const ink_step *step, const char *text, size_t size);
size_t ink_match_numbers(const ink_step *step, const char *text, size_t size);
size_t ink_match_word_or_not(const ink_step *step, const char *text, size_t size); /* \w+|[^\w\s]+ */
size_t ink_match_space(const ink_step *step, const char *text, size_t size);       /* one of White_Space */
size_t ink_match_property(const ink_step *step, const char *text, size_t size);    /* a code point with `properties` */
size_t ink_match_string(const ink_step *step, const char *text, size_t size);      /* `from` */
size_t ink_match_nothing(const ink_step *step, const char *text, size_t size);     /* the text is one word */

/* split.c. A row of steps is walked without recursion: level i holds the rest of the text that step i cuts up. */
typedef struct ink_split {
    const ink_steps *steps;
    struct {
        ink_view rest;
        ink_arena_mark mark; /* scratch memory goes back to it when the text is used up */
        bool at_start;       /* the rest is the beginning of the whole text, if there are no origins to tell */
    } level[INK_SPLIT_STEPS + 1];
    size_t depth; /* of the level that is being cut */
    bool begins;  /* what comes from the byte 0 of the input is the beginning of the whole text */
} ink_split;

/* Starts the walk over a text; `at_start` says that it is the beginning of the whole text. Then each call gives the
   next word, which stays until the next call; its size is 0 at the end. Both take scratch memory that the caller
   releases, at most for one text of each level. */
ink_result ink_split_start(ink_context *ctx, const ink_steps *steps, const ink_view *text, bool at_start,
                           ink_split *split);
ink_result ink_split_next(ink_context *ctx, ink_split *split, ink_view *word);

/* decode.c. Every `from` becomes `to`; `from` is stripped; the first token loses every `from`; all other tokens lose
   the prefix `from` or gain the prefix `to`. */
size_t ink_decode_replace(const ink_step *step, bool first, const char *token, size_t size, char *out);
size_t ink_decode_strip(const ink_step *step, bool first, const char *token, size_t size, char *out);
size_t ink_decode_drop(const ink_step *step, bool first, const char *token, size_t size, char *out);
size_t ink_decode_join(const ink_step *step, bool first, const char *token, size_t size, char *out);

/* GPT-2's spelling of bytes as printable characters: 21-7E, A1-AC and AE-FF as the code point of the same value, the
   other 68 bytes, in their order, as U+0100, U+0101, ... U+0143. Back: -1 for a character that spells no byte. */
uint32_t ink_spell_byte(unsigned char byte);
int ink_spelled_byte(uint32_t code);

typedef struct ink_decoder {
    ink_steps steps;
    bool byte_level;      /* tokens are bytes in a row, and there are no steps */
    bool spells_bytes;    /* tokens are bytes, and the steps get the spelling of bytes that ink_spell_byte() gives */
    bool byte_fallback;   /* tokens <0x00> to <0xFF> are bytes */
    ink_short_text strip; /* the whole text loses this at its beginning, */
    size_t strip_most;    /* so often at most */
    bool trims;           /* SentencePiece's own decoder, and Python's strip() at both ends of the whole text */
    size_t room;          /* bytes that any token becomes, at most */
} ink_decoder;

/* The most bytes that the steps make of a token of `longest` bytes; false if that is beyond what is supported. */
bool ink_decode_room(const ink_steps *steps, size_t longest, size_t *room);

/* ---- added tokens, models, the template ------------------------------------------------------------------------- */

/*
 * Added tokens, strings such as <|endoftext|>, are cut out of a text before anything else sees it. There are two sets.
 * RAW tokens are cut out of the raw text first; NORMALIZED ones, whose contents are normalised themselves, out of the
 * normalised text between them. In each set the longest token at the leftmost place wins. A third set holds all
 * contents as they are written, to find a token by its content.
 */
typedef enum ink_added_set { INK_ADDED_RAW, INK_ADDED_NORMALIZED, INK_ADDED_CONTENT } ink_added_set;

#define INK_ADDED_LONGEST 1024 /* bytes of a content, and code points that any step of a normalizer makes of it */

typedef struct ink_added_token {
    ink_token id;
    bool left_strip;  /* includes the white space before it */
    bool right_strip; /* and after it */
    bool single_word; /* only where no word character is beside it */
    bool as_text;     /* is found, and left in the text */
} ink_added_token;

typedef struct ink_added {
    ink_added_token *tokens; /* [n_tokens] */
    size_t n_tokens;
    ink_trie trie;  /* of indices in tokens; RAW and NORMALIZED are backward and linked */
    size_t longest; /* bytes of the longest text that is searched for */
} ink_added;

/* Walks over a text from token to token. text[start .. stop) is one and the white space it includes. */
typedef struct ink_added_walk {
    const ink_added *added;
    ink_added_set set;
    const char *text; /* [size] */
    size_t size;
    size_t start, stop;
    ink_token id;

    size_t scanned;   /* the search goes on from here */
    size_t space_end; /* text between the last right_strip and here is white space */
    uint32_t *window; /* [room] the nodes of the longest tokens at the places from `from` to `to` */
    size_t room, from, to;
} ink_added_walk;

/* Starts a walk, with scratch memory that the caller releases. Then each call goes to the next token; false if there is
   none. A whole walk costs O(size). */
ink_result ink_added_start(ink_context *ctx, const ink_added *added, ink_added_set set, const char *text, size_t size,
                           ink_added_walk *walk);
bool ink_added_next(ink_added_walk *walk);

typedef enum ink_text_model {
    INK_MODEL_BPE,
    INK_MODEL_WORDPIECE,
    INK_MODEL_WORDLEVEL,
    INK_MODEL_UNIGRAM,
    INK_MODEL_PIECES /* SentencePiece's BPE */
} ink_text_model;

/* A pair of tokens that becomes one; its rank is its place in the list of merges. */
typedef struct ink_bpe_merge {
    ink_token left, right, merged;
} ink_bpe_merge;

/* The tokens of the 256 bytes, of BPE and Unigram. */
typedef struct ink_bytes {
    bool fallback;     /* what the vocabulary lacks becomes the tokens <0x00>..<0xFF> of its bytes, if all exist */
    ink_token id[256]; /* -1 for those that do not exist */
} ink_bytes;

/* Byte-pair encoding (bpe.c). A character missing from the vocabulary becomes (1) its bytes if they may stand for it;
   otherwise (2) the unknown token, with adjacent unknowns merged if fuse_unk; or (3) nothing if there is no unknown
   token. A byte missing from a byte-level vocabulary becomes (2) or (3). */
typedef struct ink_bpe {
    ink_bpe_merge *merges; /* [n_merges] */
    size_t n_merges;
    ink_index index;
    bool byte_level; /* a word starts as bytes; else as characters */
    bool fuse_unk;
    bool ignore_merges; /* a word that is a token as a whole is that token, whatever the merges make of it */
} ink_bpe;

#define INK_NO_RANK UINT32_MAX

/* The rank of the merge of two tokens, or INK_NO_RANK. */
uint32_t ink_bpe_rank(const ink_bpe *bpe, ink_token left, ink_token right);

/* WordPiece (wordpiece.c). */
typedef enum ink_wordpiece_set { INK_WORDPIECE_HEAD, INK_WORDPIECE_REST } ink_wordpiece_set;

typedef struct ink_wordpiece {
    ink_trie trie;  /* of ids: HEAD has all tokens; REST has those with the prefix, without it, backward and linked */
    size_t longest; /* characters: a longer word is unknown */
} ink_wordpiece;

/* Unigram (unigram.c), and SentencePiece's BPE (bpe.c), which merges neighbours that make a piece together. */
#define INK_PIECES_LONGEST 256   /* bytes of a piece of SentencePiece's BPE */
#define INK_UNIGRAM_PENALTY 10.0 /* a character that is no piece is so much below the smallest score */
#define INK_UNIGRAM_NESTED 128   /* pieces of which each is the end of the next longer one, at most */

typedef struct ink_unigram_piece {
    double score;     /* the logarithm of its probability; of BPE its rank */
    uint32_t shorter; /* the longest piece that this one ends with, or INK_TRIE_NONE */
    uint32_t size;    /* in bytes */
} ink_unigram_piece;

typedef struct ink_unigram {
    ink_trie trie;             /* one linked set of pieces, forward */
    ink_unigram_piece *pieces; /* [n_pieces] */
    size_t n_pieces;
    double unknown; /* the score of a character that is no piece */
    ink_token *ids; /* [n_pieces] SentencePiece's own encoder: the ids of the pieces in another vocabulary, or the
                       unknown token; sums are floats. NULL: pieces are ids */
} ink_unigram;

/* The template: control tokens around a text or a pair of texts, such as BOS, or CLS and SEP. */
#define INK_TEMPLATE_LONGEST 256 /* slots for a single text, or for a pair */
#define INK_TEMPLATE_A (-1)      /* the texts, in place of an id */
#define INK_TEMPLATE_B (-2)

typedef struct ink_template_slot {
    ink_token id;
    ink_token type; /* of the id, or of all ids of the text */
} ink_template_slot;

typedef struct ink_template {
    ink_template_slot *slots; /* [n[0] + n[1]], for a single text and then for a pair */
    size_t n[2];
} ink_template;

/* A pair of languages as the folder names them, "en" and "de", and the text in front of a source. */
typedef struct ink_language_pair {
    ink_short_text from, to;
    char task[2 * INK_SHORT_TEXT + 32]; /* "translation_en_to_de"; "": the pair is no task */
    char prefix[256];
    size_t prefix_size;
} ink_language_pair;

/* The code in a token of a language: fr of __fr__ and >>fr<<; or the token as it is. */
void ink_language_code(const char **text, size_t *size);

/* Whether a name has two or three letters that ISO 639 knows as one language, and not as a group of them. */
bool ink_language_known(const char *name);

/* ---- the tokenizer, and its builder ----------------------------------------------------------------------------- */

#define INK_N_CONTROLS (INK_CONTROL_MASK + 1)

#define INK_UNK_NONE (-1)    /* the model has no unknown token */
#define INK_UNK_MISSING (-2) /* it names one that its vocabulary lacks: a text with an unknown word is an error */

struct ink_tokenizer {
    ink_vocab vocab;
    ink_added added;
    ink_steps normalizer, splitter;
    bool tracks_start; /* texts need origins, because the splitter asks where a text began before it was normalised */
    ink_charsmap charsmap;
    ink_text_model model;
    ink_bytes bytes;
    ink_bpe bpe;
    ink_wordpiece wordpiece;
    ink_unigram unigram;
    ink_token unk;           /* the unknown token of the model, or INK_UNK_NONE, INK_UNK_MISSING */
    ink_short_text unk_name; /* as the model names it, at most so many bytes */
    ink_template template;
    ink_decoder decoder;
    ink_token controls[INK_N_CONTROLS];
    size_t max_length;
    bool cuts_left;      /* a text that is too long loses ids at its beginning */
    bool gives_types;    /* the model is to get the types of the template */
    ink_token named_unk; /* the unknown token, if it is named outside of the model: it never continues a word; or -1 */
    bool marks_rest;     /* tokens that continue a word are spelled with a prefix */
    bool trims_places;   /* the place of a token has no white space at its ends, */
    bool keeps_prefix;   /* but for one space at the beginning of the text */

    ink_token *languages; /* [n_languages] the tokens of languages, by id */
    size_t n_languages;
    ink_token source_language, target_language; /* of the folder: in the template, and forced; -1: none */
    bool codes_in_front;                        /* a text may begin with >>fr<<, and so does a source */
    ink_language_pair *pairs;                   /* [n_pairs] without tokens: what the model translates */
    size_t n_pairs;
};

/* The ids of a word of any bytes, in O(size log size), with WordPiece and Unigram in O(size). Scratch memory of the
   context is taken and released. */
ink_result ink_bpe_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size,
                          ink_ids *out);
ink_result ink_pieces_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size,
                             ink_ids *out);
ink_result ink_wordpiece_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size,
                                ink_ids *out);

ink_result ink_unigram_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size,
                              ink_ids *out);

/* Adds what a piece of a word becomes, or a run of characters that no piece has (-1). */
void ink_unigram_put(const ink_tokenizer *tokenizer, const char *text, size_t size, int64_t piece, ink_ids *out);

/* encode.c. Encodes a text in which added tokens are recognised, but not where a byte has a mark that is not 0; added
   tokens of white space are found everywhere. Nothing is put around the text. The id of an added token is written as
   ~id. The ids are in gathered memory, which the caller releases. */
ink_result ink_encode_marked(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size,
                             const uint8_t *marks, ink_token **ids, size_t *n);

/* encode.c. INK_ERROR_MISMATCH: the word is unknown, and there is no unknown token. */
ink_result ink_unknown_fail(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size);

/*
 * Building. All memory comes from the caller's growing arena; ink_builder_finish() then copies the parts into one
 * object of exactly their size. Flags, the unknown token, the template, the controls are plain fields of `draft`.
 *
 *     ink_builder_start(&b, ctx, arena, "the name of the file");
 *     ink_builder_step(&b.draft.normalizer, INK_NORMAL_STEPS, &step);   and .splitter, .decoder.steps: all steps
 *     ink_builder_vocab(&b, n_ids, n_bytes);                            room for all tokens
 *     ink_builder_token(&b, id, bytes, size);                           each token of the model
 *     ink_builder_index(&b);                                            now they can be found
 *     ink_builder_merges(&b, merges, n);                                or ink_builder_wordpiece(), _unigram()
 *     ink_builder_token(&b, id, bytes, size);                           added tokens that the model does not have
 *     ink_builder_added(&b, patterns, n);
 *     ink_builder_finish(&b, &tokenizer);
 */
typedef struct ink_tokenizer_builder {
    ink_context *ctx;
    ink_arena *arena;
    const char *file; /* for messages */
    size_t n_others;  /* room for tokens with an id that another token has; set before ink_builder_vocab() */
    ink_tokenizer draft;
} ink_tokenizer_builder;

/* An added token, and the text that encoding searches: the content, or the normalised content; if that is empty, no
   text has the token. */
typedef struct ink_added_pattern {
    const char *content, *text;
    size_t content_size, size;
    ink_added_set set;
    ink_added_token token;
    bool special; /* decoding leaves it out, if that would give the content and not the normalised content */
} ink_added_pattern;

ink_result ink_builder_start(ink_tokenizer_builder *b, ink_context *ctx, ink_arena *arena, const char *file);

/* Adds a copy of the step to a row of the draft; false if the row has `most` of them. */
bool ink_builder_step(ink_steps *row, size_t most, const ink_step *step);

/* Room for tokens with ids below n_ids, and n_bytes of all. */
ink_result ink_builder_vocab(ink_tokenizer_builder *b, size_t n_ids, size_t n_bytes);

/* Gives `id` < n_ids a token of `size` bytes. A token that has the id already becomes one of the others. */
ink_vocab_token *ink_builder_token(ink_tokenizer_builder *b, ink_token id, const char *bytes, size_t size);

/* Takes over the bytes of a charsmap: the size of the trie in bytes, its units, and the texts; all numbers are 32 bits,
   lowest byte first. The step that uses it has `map` = &b->draft.charsmap. Everything that a lookup can reach is
   checked. INK_ERROR_CORRUPT with `where` and the place of the unit; INK_ERROR_MEMORY. */
ink_result ink_builder_charsmap(ink_tokenizer_builder *b, const char *where, const char *bytes, size_t size);

/* Of equal tokens the last keeps its id; the others' ids have no token, but with Unigram they are decoded. */
ink_result ink_builder_index(ink_tokenizer_builder *b);

/* `merges` [n] are kept until the end. Of merges of the same pair the last counts. */
ink_result ink_builder_merges(ink_tokenizer_builder *b, ink_bpe_merge *merges, size_t n);

/* Of the tokens put so far; those that continue a word begin with `prefix`. */
ink_result ink_builder_wordpiece(ink_tokenizer_builder *b, const ink_short_text *prefix, size_t longest);

/* Of the tokens put so far: scores[id] for each id < n; or, for SentencePiece's own encoder, of pieces [n] with an id
   in the vocabulary, or the unknown token's. INK_ERROR_LIMIT: more than INK_UNIGRAM_NESTED pieces are ends of each
   other.
 */
ink_result ink_builder_unigram(ink_tokenizer_builder *b, const ink_spelled_token *pieces, const double *scores,
                               size_t n);

/* Tokens with the ids of the patterns exist. Of equal contents or texts the first is found. */
ink_result ink_builder_added(ink_tokenizer_builder *b, const ink_added_pattern *patterns, size_t n);

ink_result ink_builder_finish(ink_tokenizer_builder *b, ink_tokenizer **tokenizer);

#endif
