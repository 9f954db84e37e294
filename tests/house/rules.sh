#!/bin/sh
# rules.sh SOURCE_DIR - what the text of the library must and must not hold. Prints each offence with its place.
#
# A library that prints, aborts, reads the locale or touches errno is not one to link; memory comes from the arena; the
# system is known in one file; dependencies point one way; a function that takes more than two screens is not understood.
set -u
cd "$1" || exit 1
here=tests/house
report=$(mktemp)
trap 'rm -f "$report"' EXIT

# offences RULE < lines: notes the lines under the name of the rule they break.
offences() {
    found=$(cat)
    [ -z "$found" ] || printf 'rule: %s\n%s\n' "$1" "$found" >>"$report"
}

library=$(find src include -name '*.[ch]')
everything=$(find src include tests examples -name '*.[ch]')
[ -n "$library" ] || { echo "no sources under $1"; exit 1; }
code=$(awk -f $here/code.awk $library | grep -v '^src/base/platform')

# What takes memory, prints, stops the program, reads the locale or the environment, or copies without a bound.
banned='malloc|calloc|realloc|free|v?f?printf|v?sn?printf|f?puts|f?putc|putchar|perror|v?[fs]?scanf'
banned="$banned|assert|abort|_?_?[eE]xit|atexit|signal|raise|setjmp|longjmp|system|getenv|setenv"
banned="$banned|strto[dflu]|strtold|strtoull?|strtoll|ato[fil]|atoll|setlocale|localeconv"
banned="$banned|strcpy|strncpy|strcat|strncat|gets|strtok|alloca|__builtin_alloca|s?rand|time|fe[gs]et[a-z]*"
headers='stdio|stdlib|assert|errno|locale|signal|setjmp|fenv|time|alloca|unistd|pthread'

echo "$code" | grep -E "(^|[^A-Za-z0-9_.>])($banned)[ ]*\(" |
    offences "calls that only the platform file may make"
echo "$code" | grep -E "(^|[^A-Za-z0-9_])errno([^A-Za-z0-9_]|$)|#[ ]*include[ ]*<($headers)\.h>" |
    offences "errno and the system's headers belong to the platform file"
grep -nE '^#[ ]*define[ ]+' $(find include -name '*.h') | grep -vE 'define[ ]+INK(LING)?_' |
    offences "public macros begin with INK_"

awk -v literals=1 -f $here/code.awk $(find src -name '*.[ch]') | grep -v '^src/base/platform' |
    awk -f $here/formats.awk | offences "ink_format() knows %s %.300s %.*s %zu %u %llu %d %lld %%"

awk -f $here/functions.awk $library $(find examples -name '*.[ch]') | offences "a function tells one story: at most 120 lines"
awk 'length($0) > 120 { printf "%s:%d: %d columns\n", FILENAME, FNR, length($0) }' $everything |
    offences "at most 120 columns"
grep -nE '[[:space:]]$|	' $everything | offences "no tabs, no spaces at the end of a line"
grep -nE '(^|[^A-Za-z])(TODO|FIXME|XXX)([^A-Za-z]|$)' $everything | offences "no marks of unfinished work"

# `cc -c src/*/*.c` writes all objects side by side.
find src -name '*.c' | sed 's|.*/||' | sort | uniq -d | offences "no two sources of the library have one name"

# Where includes may lead, and names that can be told apart.
awk -v rule=order -f $here/includes.awk $library | offences "folders include only the folders below them (includes.awk)"
awk -v rule=circles -f $here/includes.awk $library | offences "no file includes itself through others"
awk -v rule=names -f $here/includes.awk $library | sort | offences "no private header has the name of a public one"
awk -f $here/code.awk $(find src -name '*.[ch]') | awk -f $here/statics.awk | sort |
    offences "a static function has a name of its own"

# What the pages name is there: paths from the top of the tree, links from the page, and the tests that stand beside
# the promises.
for page in $(find README.md src tests .github -name '*.md' 2>/dev/null); do
    {
        grep -oE '`(src|tests|examples|include|\.github|\.ci)/[A-Za-z0-9_./-]*`' "$page" | tr -d '`'
        grep -oE '\]\([A-Za-z0-9_./-]+\)' "$page" | sed "s|^](|$(dirname "$page")/|; s|)\$||"
    } | sort -u | while read -r path; do
        [ -e "$path" ] || echo "$page: $path"
    done
done | offences "a page names a path that is not there"
awk -f $here/translation.awk examples/README.md examples/README.ko.md |
    offences "the page in Korean shows what the English one shows (translation.awk)"
# A picture needs no script, no style sheet and nothing of the network, has a title, and a page shows it.
for picture in $(find examples -name '*.svg'); do
    [ "$(tail -n 1 "$picture")" = '</svg>' ] && grep -q '^<title>..*</title>$' "$picture" || echo "$picture: cut off, or no title"
    ! grep -qE '<(script|style|image|foreignObject)|href|@import|url\([^#]' "$picture" || echo "$picture: not alone"
    grep -qF "(${picture#examples/})" examples/*.md || echo "$picture: no page shows it"
done | offences "a picture of the pages stands alone, has a title and is shown"
awk -F '|' '/^## / { promises = /promises/ } promises && /^\|/ { print $3 }' README.md |
    grep -oE '`[a-z_]+`' | tr -d '`' | while read -r name; do
    [ -e "tests/test_$name.c" ] || grep -qE "NAME $name( |\$)" tests/CMakeLists.txt || echo "$name"
done | offences "README.md names a test that is not there"
for name in $(ls tests/test_*.c | sed 's|.*/test_||; s|\.c$||') \
    $(grep -oE 'add_test\(NAME [a-z_]+( |$)' tests/CMakeLists.txt | sed 's/.*NAME //'); do
    grep -q "^|.*\`$name\`.*|.*|" tests/README.md || echo "$name"
done | offences "tests/README.md does not say what a test proves"
[ "$(wc -l <README.md)" -le 220 ] || wc -l README.md | offences "README.md has at most 220 lines"

# The top level is the house and nothing else; dot-files and build directories aside.
ls | grep -vxE 'include|src|tests|examples|CMakeLists\.txt|README\.md|LICENSE|build.*' |
    offences "nothing else at the top level"

if [ -s "$report" ]; then
    cat "$report"
    exit 1
fi
echo "rules: the library's $(echo "$library" | wc -l) files keep them"
