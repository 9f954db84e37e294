"""Writes unicode_tables.h: what the splitting rules ask of a code point, as one sorted table of runs.

The classes are asked of the Hugging Face tokenizers library, code point by code point, because its ids are what ours
have to equal: letters and numbers of its splitting patterns (\\p{L}, \\p{N}), white space (\\s), and the word
characters (\\w) that decide whether an added token with "single_word" stands alone.

    python3 src/text/unicode_tables.py > src/text/unicode_tables.h        (needs: pip install tokenizers)
"""
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

OTHER, LETTER, NUMBER, SPACE, WORD = 0, 1, 2, 3, 4
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, CODES))


def mark(properties, pattern, value):
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


def main():
    properties = [OTHER] * 0x110000
    mark(properties, r"\p{L}", LETTER)
    mark(properties, r"\p{N}", NUMBER)
    mark(properties, r"\s", SPACE)
    mark_words(properties)
    runs = [c for c in range(0x110000) if c == 0 or properties[c] != properties[c - 1]]
    entries = ["0x%X" % (c << 3 | properties[c]) for c in runs]
    ascii_entries = [str(properties[c]) for c in range(128)]
    print("/*")
    print(" * unicode_tables.h - made by unicode_tables.py with tokenizers %s." % tokenizers.__version__)
    print(" *")
    print(" * A run of code points with the same properties is (first code point << 3 | properties); it ends\n"
          " * before the next. Properties: bits 0 and 1 are the ink_unicode_class, bit 2 says word character.")
    print(" */")
    print("#ifndef INK_TEXT_UNICODE_TABLES_H\n#define INK_TEXT_UNICODE_TABLES_H\n\n#include <stdint.h>\n")
    print("static const uint8_t unicode_ascii[128] = {")
    for i in range(0, 128, 32):
        print("    " + ", ".join(ascii_entries[i:i + 32]) + ",")
    print("};\n\nstatic const uint32_t unicode_runs[%d] = {" % len(entries))
    line = "   "
    for entry in entries:
        if len(line) + len(entry) + 2 > 118:
            print(line)
            line = "   "
        line += " " + entry + ","
    print(line + "\n};\n\n#endif")


main()
