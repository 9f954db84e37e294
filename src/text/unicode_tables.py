"""Writes unicode_tables.h: what the steps of a tokenizer ask of a code point.

Everything is asked of the Hugging Face tokenizers library, code point by code point, because its ids are what ours
have to equal, and its parts follow different versions of Unicode: the splitting patterns (\\p{L}, \\p{N}, \\s), the
normal forms (NFD, NFC, NFKD), Rust's own characters (lower case, numeric, \\w), BERT's old tables (punctuation, marks) and
the grapheme clusters of Precompiled.

    python3 src/text/unicode_tables.py > src/text/unicode_tables.h        (needs: pip install tokenizers)
"""
import struct
import unicodedata  # only for one known mark of each combining class

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

OTHER, LETTER, NUMBER, SPACE = 0, 1, 2, 3
WORD, NUMERIC, PUNCTUATION, MARK, ACCENT, CONTROL = 4, 8, 16, 32, 64, 128
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, CODES))


# ---- properties -----------------------------------------------------------------------------------------------------

def mark_pattern(properties, pattern, value):
    """ORs value into the property of every code point that the pattern matches."""
    runs = pre_tokenizers.Split(Regex(pattern + "+"), "removed", invert=True).pre_tokenize_str(TEXT)
    for _, (start, end) in runs:
        for i in range(start, end):
            properties[CODES[i]] |= value


def mark_words(properties):
    """A word character is one that keeps the single_word token "x" beside it from being recognised."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("x", single_word=True)])
    encodings = tokenizer.encode_batch([chr(c) + "x" for c in CODES])
    for code, encoding in zip(CODES, encodings):
        if 1 not in encoding.ids:
            properties[code] |= WORD
    properties[ord("x")] |= WORD


def mark_lonely(properties, splitter, value):
    """The code points that the splitter makes words of their own after a letter."""
    text = "".join("x" + chr(c) for c in CODES)
    for word, (start, end) in splitter.pre_tokenize_str(text):
        if start % 2 == 1 and end == start + 1:
            properties[CODES[start // 2]] |= value
    properties[ord("x")] &= ~value


def normalize_each(normalizer, mate, codes, before="", after=""):
    """What becomes of each code point, one by one; `mate` stands between them and stays as it is."""
    parts = normalizer.normalize_str("".join(before + chr(c) + after + mate for c in codes)).split(mate)
    assert len(parts) == len(codes) + 1, (len(parts), len(codes))
    return dict(zip(codes, parts))


def mark_dropped(properties, normalizer, value):
    others = [c for c in CODES if c != ord("Q")]
    for code, text in normalize_each(normalizer, "Q", others).items():
        if text == "":
            properties[code] |= value


def bert(**wanted):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**options, **wanted})


def find_properties():
    properties = [OTHER] * 0x110000
    mark_pattern(properties, r"\p{L}", LETTER)
    mark_pattern(properties, r"\p{N}", NUMBER)
    mark_pattern(properties, r"\s", SPACE)
    mark_words(properties)
    mark_lonely(properties, pre_tokenizers.Digits(individual_digits=True), NUMERIC)
    mark_lonely(properties, pre_tokenizers.Punctuation("isolated"), PUNCTUATION)
    mark_dropped(properties, normalizers.StripAccents(), MARK)
    mark_dropped(properties, bert(strip_accents=True), ACCENT)
    mark_dropped(properties, bert(clean_text=True), CONTROL)
    return properties


def find_cases():
    """The capitals (Lu, Lt), the small letters (Ll) and the marks (M) of the splitting patterns, as runs."""
    return [pack_strides(class_of(pattern)) for pattern in (r"[\p{Lu}\p{Lt}]", r"\p{Ll}", r"\p{M}")]


def class_of(pattern):
    properties = [0] * 0x110000
    mark_pattern(properties, pattern, 1)
    return [c for c in CODES if properties[c]]


def pack_strides(codes):
    """Runs of every code point or of every second one: first << 11 | (stride - 1) << 10 | number - 1."""
    runs, i = [], 0
    while i < len(codes):
        ends = []
        for stride in (1, 2):
            end = i
            while end + 1 < len(codes) and codes[end + 1] - codes[end] == stride and end - i < 1023:
                end += 1
            ends.append((end, stride))
        end, stride = max(ends, key=lambda e: e[0])
        runs.append(codes[i] << 11 | (stride - 1) << 10 | end - i)
        i = end + 1
    return runs


# ---- grapheme clusters ----------------------------------------------------------------------------------------------

BREAK_OTHER, CONTROL_BREAK, EXTEND, SPACING, PREPEND, PICTOGRAPH, CONSONANT, LINKER = range(8)


def make_probe():
    """A charsmap that turns every character into Y. Precompiled puts one Y for each grapheme cluster of less than 6 bytes,
    and one for each character of a longer one, so the number of Ys tells where clusters end."""
    units, n_blocks, bases = {}, 3, {b"": 2 << 8}  # block 0: the root, 1: the values, 2: first bytes
    units[0] = (2 << 8 >> 8) << 10 | 1 << 9
    for k in range(256):
        units[1 << 8 | k] = 1 << 31
    for code in CODES[1:]:
        spelled = chr(code).encode()
        for i, byte in enumerate(spelled):
            place = bases[spelled[:i]] ^ byte
            last = i + 1 == len(spelled)
            base = 1 << 8 if last else bases.get(spelled[:i + 1])
            if base is None:
                base, n_blocks = n_blocks << 8 | (place & 255), n_blocks + 1
                bases[spelled[:i + 1]] = base
            base = base & ~255 | place & 255
            units[place] = ((place ^ base) >> 8) << 10 | 1 << 9 | last << 8 | byte
    table = struct.pack("<%dI" % (n_blocks << 8), *(units.get(k, 1 << 31) for k in range(n_blocks << 8)))
    return normalizers.Precompiled(struct.pack("<I", len(table)) + table + b"Y\0")


def find_breaks():
    """The classes of code points of which clusters are made, Hangul and regional indicators left out: those are
    arithmetic, these never matter (two of them are longer than 5 bytes)."""
    probe, mark, joiner, sign = make_probe(), 0x301, 0x200D, 0xA9  # a pictograph of 2 bytes
    classes = [BREAK_OTHER] * 0x110000
    classes[0] = CONTROL_BREAK

    def count(*codes):
        return len(probe.normalize_str("".join(map(chr, codes))))

    for code in CODES[1:]:
        if count(0x61, code) == 1:
            extends = code == joiner or count(sign, code, joiner, sign, mark) == 5
            links = count(0x915, code, 0x915, mark) == 4
            classes[code] = LINKER if links else EXTEND if extends else SPACING
        elif count(code, 0x61) == 1:
            classes[code] = PREPEND
        elif count(code, mark) == 2 and len(chr(code).encode()) < 4 or count(code, mark, mark) == 2:
            classes[code] = CONTROL_BREAK
        elif count(code, joiner, sign, mark) == 4:
            classes[code] = PICTOGRAPH
        elif count(code, 0x94D, 0x915, mark) == 4:
            classes[code] = CONSONANT
    return classes


# ---- mappings -------------------------------------------------------------------------------------------------------

def find_lower():
    """Runs (first, last, stride, delta) of code points whose lower case is delta away; U+0130 alone becomes two."""
    others = [c for c in CODES if c != ord("0")]
    lower = {c: t for c, t in normalize_each(normalizers.Lowercase(), "0", others).items() if t != chr(c)}
    assert [c for c in lower if len(lower[c]) != 1] == [0x130] and lower.pop(0x130) == "i\u0307"
    runs = []
    for code in sorted(lower):
        delta = ord(lower[code]) - code
        run = runs[-1] if runs else None
        if run and run[3] == delta and (code - run[1] == run[2] or run[0] == run[1] and code - run[1] in (1, 2)):
            run[2] = code - run[1]
            run[1] = code
        else:
            runs.append([code, code, 1, delta])
    return runs


def find_decompositions():
    """code -> (first, second), the canonical decomposition by one step, second 0 for a singleton; and which of them
    compose again."""
    full = {c: t for c, t in normalize_each(normalizers.NFD(), "\n", [c for c in CODES if c != 10]).items()
            if t != chr(c) and not 0xAC00 <= c < 0xD7A4}  # Hangul is arithmetic
    composes = {c for c in full if normalizers.NFC().normalize_str(chr(c)) == chr(c)}
    by_text = {t: c for c, t in full.items()}
    by_text.update({t: c for c, t in full.items() if c in composes})
    pairs = {}
    for code, text in full.items():
        head = text[:-1]
        first = ord(head) if len(head) == 1 else by_text[head] if head else ord(text)
        pairs[code] = (first, ord(text[-1]) if head else 0)
    return pairs, composes


def find_compatible():
    """Runs (first code point, number, length of each, all texts) of consecutive code points whose NFKD is another than
    their NFD, and a pool that has the texts of every run somewhere."""
    others = [c for c in CODES if c != 10 and not 0xAC00 <= c < 0xD7A4]
    canonical = normalize_each(normalizers.NFD(), "\n", others)
    runs, pool = [], ""
    for code, text in normalize_each(normalizers.NFKD(), "\n", others).items():
        if text == canonical[code]:
            continue
        run = runs[-1] if runs else None
        # a run that begins anew with an alphabet is more often found in others
        if run and run[0] + run[1] == code and run[2] == len(text) and text not in "Aa\u0391\u03B10":
            run[1] += 1
            run[3] += text
        else:
            runs.append([code, 1, len(text), text])
    for run in sorted(runs, key=lambda run: -len(run[3])):
        if run[3] not in pool:
            shared = max(k for k in range(min(len(run[3]), 40) + 1) if pool.endswith(run[3][:k]))
            pool += run[3][shared:]
    return runs, pool


def find_classes():
    """code -> canonical combining class, from how the library orders a code point and a mark whose class is known."""
    nfd = normalizers.NFD()
    low, high = "\u0334", "\u0345"  # of the lowest and of the highest class
    known = {1: low, 240: high}
    for code in CODES:
        one, rank = chr(code), unicodedata.combining(chr(code))
        if 1 < rank < 240 and nfd.normalize_str(one) == one and nfd.normalize_str(high + one) == one + high:
            known.setdefault(rank, one)
    ranks = sorted(known)
    others = [c for c in CODES if c != 10]
    whole = normalize_each(nfd, "\n", others)
    under = normalize_each(nfd, "\n", others, before=high)
    over = normalize_each(nfd, "\n", others, after=low)
    classes = {}
    for code in others:
        one = whole[code]
        if len(one) == 1 and (under[code] != high + one or over[code] != one + low):
            classes[code] = max(k for k in ranks if nfd.normalize_str(known[k] + one) == known[k] + one)
    return classes


# ---- the file -------------------------------------------------------------------------------------------------------

def print_table(declaration, entries):
    print("\nstatic const %s[%d] = {" % (declaration, len(entries)))
    line = "   "
    for entry in entries:
        if len(line) + len(entry) + 2 > 118:
            print(line)
            line = "   "
        line += " " + entry + ","
    print(line + "\n};")


def runs_of(values, shift):
    return ["0x%X" % (c << shift | values[c]) for c in range(0x110000) if c == 0 or values[c] != values[c - 1]]


def main():
    properties = find_properties()
    classes = find_classes()
    pairs, composes = find_decompositions()
    codes = sorted(pairs)
    composed = sorted((pairs[c], i) for i, c in enumerate(codes) if c in composes)
    print("""/*
 * unicode_tables.h - made by unicode_tables.py with tokenizers %s.
 */
#ifndef INK_TEXT_UNICODE_TABLES_H
#define INK_TEXT_UNICODE_TABLES_H

#include <stdint.h>

/* Properties: bits 0 and 1 are the ink_unicode_class, the others the ink_unicode_property. */""" % tokenizers.__version__)
    print_table("uint8_t unicode_ascii", ["0x%02X" % properties[c] for c in range(128)])
    breaks = find_breaks()
    both = [a << 8 | b for a, b in zip(breaks, properties)]
    print("\n/* A run of code points with the same properties is (first code point << 11 | ink_unicode_break << 8 |\n"
          "   properties); it ends before the next. */")
    print_table("uint32_t unicode_runs", runs_of(both, 11))
    print("\n/* Capitals (Lu, Lt), small letters (Ll) and marks (M) as the splitting patterns know them. In a run is every code\n"
          "   point or every second one: first << 11 | (stride - 1) << 10 | their number - 1. */")
    for name, runs in zip(("capitals", "small", "marks"), find_cases()):
        print_table("uint32_t unicode_" + name, ["0x%X" % run for run in runs])
    print("\n/* A run of code points as in unicode_runs, (first code point << 8 | canonical combining class). */")
    print_table("uint32_t unicode_classes", runs_of([classes.get(c, 0) for c in range(0x110000)], 8))
    print("\n/* Canonical decompositions by one step, in order: code point << 42 | first << 21 | second; second is 0 where\n"
          "   the decomposition is one code point. Hangul syllables are not among them. */")
    print_table("uint64_t unicode_pairs", ["0x%X" % (c << 42 | pairs[c][0] << 21 | pairs[c][1]) for c in codes])
    print("\n/* Places in unicode_pairs of those that compose again, ordered by first and second. */")
    print_table("uint16_t unicode_composed", [str(i) for _, i in composed])
    runs, pool = find_compatible()
    print("\n/* Compatibility decompositions, as far as they go, of consecutive code points: first << 30 | number << 18 |\n"
          "   length of each << 13 | place of the first in unicode_compatible. */")
    print_table("uint64_t unicode_compatible_runs",
                ["0x%X" % (first << 30 | n << 18 | length << 13 | pool.index(text)) for first, n, length, text in runs])
    assert len(pool) < 1 << 13 and max(run[1] for run in runs) < 1 << 12
    print_table("uint16_t unicode_compatible", ["0x%X" % ord(c) for c in pool])
    print("""
/* Every stride-th code point from first to last has its lower case delta away. */
typedef struct unicode_case {
    uint32_t first, last, stride;
    int32_t delta;
} unicode_case;""")
    print_table("unicode_case unicode_lower", ["{0x%X, 0x%X, %d, %d}" % tuple(run) for run in find_lower()])
    print("\n#endif")


main()
