/*
 * language.c - the languages of a translator (tokenizer.h): finding one by the name that a user types, and what two of
 * them mean.
 *
 * Folders name languages with two letters (ISO 639-1) or three (639-3), with a region or a script behind them, and some
 * put marks around: fr, fr_XX, fra_Latn, __fr__, >>fra<<.
 */
#include "engine.h"

/* Two letters, and three that mean the same or a language of that macrolanguage. */
static const char iso639[] =
    "afafr amamh ararb arara asasm ayayr ayaym azazj azaze babak bebel bgbul bmbam bnben bobod brbre bsbos cacat "
    "csces cscze cycym cywel dadan dedeu deger dzdzo eeewe elell elgre eneng eoepo esspa etest etekk eueus eubaq "
    "fapes fafas faper fffuv ffful fifin fjfij fofao frfra frfre fyfry gagle gdgla glglg gngrn guguj hahau heheb "
    "hihin hrhrv hthat huhun hyhye hyarm idind igibo isisl isice itita jajpn jvjav kakat kageo kgkon kikik kkkaz "
    "kmkhm knkan kokor kskas kukmr kukur kykir lalat lbltz lglug lilim lnlin lolao ltlit lvlvs lvlav mgplt mgmlg "
    "mimri mimao mkmkd mkmac mlmal mnkhk mnmon mrmar mszsm msmsa msmay mtmlt mymya mybur nbnob nenpi nenep nlnld "
    "nldut nnnno nonob nonor nynya ococi omgaz omorm orory orori papan plpol pspbt pspus ptpor ququy quque rnrun "
    "roron rorum rurus rwkin sasan scsrd sdsnd sgsag sisin skslk skslo slslv smsmo snsna sosom sqals sqsqi sqalb "
    "srsrp ssssw stsot susun svswe swswh swswa tatam tetel tgtgk ththa titir tktuk tltgl tntsn trtur tstso tttat "
    "twtwi uguig ukukr ururd uzuzn uzuzb vivie wowol xhxho yiydd yiyid yoyor zhzho zhcmn zhchi zuzul";

/* The letters of a name up to the region or script, in lower case. */
typedef struct language_name {
    char letters[16];
    size_t size; /* 0: too long for a language */
    size_t rest; /* where the region begins, in the name without its marks */
} language_name;

static char language_lower(char letter) { return (char)(letter >= 'A' && letter <= 'Z' ? letter | 0x20 : letter); }

void ink_language_code(const char **text, size_t *size)
{
    for (int i = 0; i < 2; i++) {
        const char *const marks = i == 0 ? "____" : ">><<";
        if (*size > 4 && memcmp(*text, marks, 2) == 0 && memcmp(*text + *size - 2, marks + 2, 2) == 0) {
            *text += 2;
            *size -= 4;
        }
    }
}

static language_name language_of(const char *text, size_t size)
{
    language_name name = {{0}, 0, 0};
    while (name.rest < size && text[name.rest] != '_' && text[name.rest] != '-')
        name.rest++;
    if (name.rest <= sizeof name.letters)
        for (; name.size < name.rest; name.size++)
            name.letters[name.size] = language_lower(text[name.size]);
    return name;
}

bool ink_language_known(const char *name)
{
    const language_name x = language_of(name, strlen(name));
    bool known = false;
    for (size_t i = 0; !known && (x.size == 2 || x.size == 3) && i < sizeof iso639; i += 6)
        known = memcmp(iso639 + i + (x.size == 3 ? 2 : 0), x.letters, x.size) == 0;
    return known;
}

/* Whether two names mean one language: the letters are the same, or a row of the table has the two of one and the three
   of the other. A region or script that both have is the same. */
static bool language_same(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const language_name x = language_of(a, a_size), y = language_of(b, b_size);
    const language_name *two = x.size == 2 ? &x : &y, *three = x.size == 2 ? &y : &x;
    bool same = x.size > 0 && x.size == y.size && memcmp(x.letters, y.letters, x.size) == 0;
    for (size_t i = 0; !same && two->size == 2 && three->size == 3 && i < sizeof iso639; i += 6)
        same = memcmp(iso639 + i, two->letters, 2) == 0 && memcmp(iso639 + i + 2, three->letters, 3) == 0;
    if (!same || x.rest == a_size || y.rest == b_size)
        return same;
    same = a_size - x.rest == b_size - y.rest;
    for (size_t i = 1; same && i < a_size - x.rest; i++)
        same = language_lower(a[x.rest + i]) == language_lower(b[y.rest + i]);
    return same;
}

ink_token ink_tokenizer_language(const ink_tokenizer *tokenizer, size_t i)
{
    return tokenizer != NULL && i < tokenizer->n_languages ? tokenizer->languages[i] : -1;
}

/* The token of a language, or -1. The token with this name as it is counts before others. */
static ink_token language_find(const ink_tokenizer *t, const char *name)
{
    ink_token found = -1;
    size_t size = strlen(name), code_size;
    ink_language_code(&name, &size);
    for (size_t i = 0; i < t->n_languages; i++) {
        const char *code = ink_tokenizer_token(t, t->languages[i], &code_size);
        ink_language_code(&code, &code_size);
        if (code_size == size && memcmp(code, name, size) == 0)
            return t->languages[i];
        if (found < 0 && language_same(code, code_size, name, size))
            found = t->languages[i];
    }
    return found;
}

#define LISTED 12 /* languages that an error lists */

static ink_result language_unknown(ink_context *ctx, const ink_tokenizer *t, const char *name)
{
    char list[LISTED * 24];
    size_t n = 0;
    for (size_t i = 0; i < t->n_languages && i < LISTED; i++) {
        size_t size;
        const char *code = ink_tokenizer_token(t, t->languages[i], &size);
        ink_language_code(&code, &size);
        n += ink_format(list + n, sizeof list - n, "%s%.*s", i > 0 ? ", " : "", (int)ink_size_min(size, 16), code);
    }
    return ink_fail(ctx, INK_ERROR_ARGUMENT, "the model does not know the language '%.40s'; it knows %zu: %s%s", name,
                    t->n_languages, list, t->n_languages > LISTED ? ", ..." : "");
}

static bool language_is(const char *name, const ink_short_text *code)
{
    return name == NULL || code->size == 0 || language_same(name, strlen(name), code->bytes, code->size);
}

/* The pair of the folder that the names mean; neither is known where the folder has tokens of languages. */
static ink_result language_pair(ink_context *ctx, const ink_tokenizer *t, const char *from, const char *to,
                                ink_direction *direction)
{
    char list[LISTED * 56];
    size_t n = 0;
    if (from == NULL && to == NULL)
        return INK_OK;
    for (size_t i = 0; i < t->n_pairs; i++) {
        const ink_language_pair *pair = &t->pairs[i];
        if (language_is(from, &pair->from) && language_is(to, &pair->to)) {
            direction->task = pair->task[0] != '\0' ? pair->task : NULL;
            direction->prefix = pair->prefix;
            direction->prefix_size = pair->prefix_size;
            return INK_OK;
        }
        if (i < LISTED)
            n += ink_format(list + n, sizeof list - n, "%sfrom %.20s to %.20s", i > 0 ? ", " : "",
                            pair->from.size > 0 ? pair->from.bytes : "several languages",
                            pair->to.size > 0 ? pair->to.bytes : "several languages");
    }
    if (t->n_pairs > 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "the model does not translate from %.40s to %.40s; it translates %s%s",
                        from != NULL ? from : "any language", to != NULL ? to : "any language", list,
                        t->n_pairs > LISTED ? ", ..." : "");
    return ink_fail(ctx, INK_ERROR_ARGUMENT,
                    "the folder names no languages, so '%.40s' means nothing to it: it translates in one direction",
                    to != NULL ? to : from);
}

ink_result ink_tokenizer_direction(ink_context *ctx, const ink_tokenizer *tokenizer, const char *from, const char *to,
                                   ink_direction *direction)
{
    INK_REQUIRE(ctx, direction);
    *direction = (ink_direction){-1, -1, -1, NULL, 0, NULL};
    INK_REQUIRE(ctx, tokenizer);
    ink_direction draft = *direction;
    if (tokenizer->n_languages == 0) {
        INK_TRY(language_pair(ctx, tokenizer, from, to, &draft));
        *direction = draft;
        return INK_OK;
    }
    ink_token target = to != NULL ? language_find(tokenizer, to) : tokenizer->target_language;
    if (to != NULL && target < 0)
        return language_unknown(ctx, tokenizer, to);
    if (tokenizer->codes_in_front) { /* the language of the source has no token */
        draft.to = target;
        INK_TRY(language_pair(ctx, tokenizer, tokenizer->n_pairs > 0 ? from : NULL, NULL, &draft));
    } else {
        draft.first = target;
        if (from != NULL && (draft.from = language_find(tokenizer, from)) < 0)
            return language_unknown(ctx, tokenizer, from);
    }
    *direction = draft;
    return INK_OK;
}
