#!/bin/sh
# pointers.sh SOURCE_DIR - what the pages point to is there: `path:function` and [`file:function`](path) name a function
# that this file defines, `path` alone a file or a folder, and every link and picture a file beside the page, or a heading in it.
# The table of names under tokenizer.ggml.pre has those of ink_pres.
set -u
cd "$1" || exit 1
report=$(mktemp) names=$(mktemp)
trap 'rm -f "$report" "$names"' EXIT

# defines FILE FUNCTION: a definition begins in the first column and ends in no semicolon.
defines() {
    awk -v name="$2" '
        BEGIN { start = "^[A-Za-z_].*[ *]" name "\\(" }
        $0 ~ start && /\{ .* }$/ { found = 1; exit }
        $0 ~ start { head = $0 }
        head != "" && /;/ { head = "" }
        head != "" && /^{/ { found = 1; exit }
        END { exit !found }' "$1"
}

for page in README.md examples/*.md examples/train/README.md src/README.md src/import/README.md tests/README.md; do
    for pointer in $(grep -oE '`[A-Za-z0-9_./-]+\.[ch](:[a-z_0-9]+)?`' "$page" | tr -d '`' | sort -u); do
        file=${pointer%%:*}
        case $file in
        src/* | include/* | examples/* | tests/*) ;;
        *) continue ;; # the name of a file whose place the text has told
        esac
        if [ ! -f "$file" ]; then
            echo "$page: there is no file $file"
        elif [ "$file" != "$pointer" ] && ! defines "$file" "${pointer#*:}"; then
            echo "$page: $file does not define ${pointer#*:}()"
        fi
    done >>"$report"
    # [`file.c:function`](where it is), as "where it is:function"
    for pointer in $(grep -oE '\[`[A-Za-z0-9_.-]+\.[ch]:[a-z_0-9]+`\]\([^)]+\)' "$page" |
        sed 's/.*:\([a-z_0-9]*\)`](\(.*\))/\2:\1/' | sort -u); do
        defines "$(dirname "$page")/${pointer%:*}" "${pointer##*:}" || echo "$page: no ${pointer##*:}() in ${pointer%:*}"
    done >>"$report"
    for link in $(grep -oE '\]\([^)#]+\)' "$page" | sed 's/^](//; s/)$//' | grep -v '^https*:' | sort -u); do
        [ -e "$(dirname "$page")/$link" ] || echo "$page: there is nothing at $link"
    done >>"$report"
    # file.md#a-heading: a heading in small letters of any alphabet, without marks, with a hyphen for each blank
    for link in $(grep -oE '\]\([A-Za-z0-9_./-]*#[^)]+\)' "$page" | sed 's/^](//; s/)$//' | sort -u); do
        target=$(dirname "$page")/${link%%#*}
        [ -n "${link%%#*}" ] || target=$page
        sed -n 's/^##* //p' "$target" | tr 'A-Z ' 'a-z-' | tr -d '!-,./:-@[-^`{-~' | grep -qx -e "${link#*#}" ||
            echo "$page: no heading for $link"
    done >>"$report"
done
sed -n '/^const ink_pre ink_pres/,/^};/p' src/import/tokenizer_gguf.c | grep -o '"[^"]*"' | tr -d '"' | tr -s ' ' '\n' | sort >"$names"
sed -n '/^| `tokenizer.ggml.pre` |/,/^$/p' src/import/README.md | sed -e 1,2d -e 's/^| \([^|]*\) |.*/\1/; s/([^)]*)//g; s/ and /,/g' |
    tr -s ' ,;' '\n' | grep . | sort | diff "$names" - |
    sed -n 's/^[<>]/src\/import\/README.md and ink_pres: only one of them has/p' >>"$report"
if [ -s "$report" ]; then
    cat "$report"
    exit 1
fi
echo "pointers: all files and functions the pages name are there"
