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

# offences RULE < lines: notes what came in under the rule's name.
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

awk -f $here/functions.awk $library $(find examples -name '*.[ch]') | offences "a function tells one story: at most 120 lines"
awk 'length($0) > 120 { printf "%s:%d: %d columns\n", FILENAME, FNR, length($0) }' $everything |
    offences "at most 120 columns"
grep -nE '[[:space:]]$|	' $everything | offences "no tabs, no spaces at the end of a line"
grep -nE '(^|[^A-Za-z])(TODO|FIXME|XXX)([^A-Za-z]|$)' $everything | offences "no marks of unfinished work"

# `cc -c src/*/*.c` writes all objects side by side.
find src -name '*.c' | sed 's|.*/||' | sort | uniq -d | offences "no two sources of the library have one name"

# What README.md names is there: paths, and the tests that stand beside the promises.
{
    grep -oE '`(src|tests|examples|include)/[A-Za-z0-9_./-]*`' README.md | tr -d '`'
    grep -oE '\]\([A-Za-z0-9_./-]+\)' README.md | sed 's/^](//; s/)$//'
} | sort -u | while read -r path; do
    [ -e "$path" ] || echo "$path"
done | offences "README.md names a path that is not there"
awk -F '|' '/^## / { promises = /promises/ } promises && /^\|/ { print $3 }' README.md |
    grep -oE '`[a-z_]+`' | tr -d '`' | while read -r name; do
    [ -e "tests/test_$name.c" ] || grep -qE "NAME $name( |\$)" tests/CMakeLists.txt || echo "$name"
done | offences "README.md names a test that is not there"

# The top level is the house and nothing else; dot-files and build directories aside.
ls | grep -vxE 'include|src|tests|examples|CMakeLists\.txt|README\.md|LICENSE|build.*' |
    offences "nothing else at the top level"

if [ -s "$report" ]; then
    cat "$report"
    exit 1
fi
echo "rules: the library's $(echo "$library" | wc -l) files keep them"
