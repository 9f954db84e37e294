#!/bin/sh
# examples.sh SOURCE_DIR LIBRARY COMPILER [FLAG...] - the programs shown in README.md (fences marked c) and at the head
# of inkling.h compile without a warning, link, run from the top of the source tree, and print something.
set -u
cd "$1" || exit 1
library=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A C fence of README.md goes to a file of its own; the example of inkling.h is its first indented block.
awk -v work="$work" '
    /^```/ { if (out != "") out = ""; else if ($0 == "```c") out = work "/readme" ++n ".c"; next }
    out != "" { print > out }' README.md
awk '/^ \*     / { print substr($0, 8); seen = 1; next }
     /^ \*$/ { print ""; next }
     seen { exit }' include/inkling.h >"$work/header.c"

count=0
for program in "$work"/*.c; do
    grep -q 'int main' "$program" || { echo "$program is not a whole program:"; cat "$program"; exit 1; }
    "$@" -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude "$program" "$library" -lm -pthread \
        -o "${program%.c}" || { cat "$program"; exit 1; }
    "${program%.c}" >"$work/output" || { echo "it fails:"; cat "$program"; exit 1; }
    [ -s "$work/output" ] || { echo "it prints nothing:"; cat "$program"; exit 1; }
    cat "$work/output"
    count=$((count + 1))
done
[ -e "$work/readme1.c" ] || { echo "README.md shows no C"; exit 1; }
echo "examples: $count programs of README.md and inkling.h compile and run"
