#!/bin/sh
# exercises.sh SOURCE_DIR PROGRAMS_DIR - the exercises and their answers: every command runs, and prints the lines that
# the page shows below it.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$1/examples" "$work/examples" && mkdir "$work/build" && ln -s "$2" "$work/build/examples"
cd "$work" || exit 1
command -v cc >/dev/null || { echo "no compiler is called cc"; exit 77; }

for page in exercises answers; do
    # Fences become scripts 01.sh, 02.sh ...; indented lines go to 01.txt and so on, as what the script before printed.
    rm -f [0-9]*
    awk '/^```sh/ { name = sprintf("%02d", ++n); fence = 1; next }
         /^```/ { fence = 0; next }
         fence { print > (name ".sh") }
         !fence && /^    / { print substr($0, 5) > (name ".txt") }' "examples/$page.md"
    for script in [0-9]*.sh; do
        sh -e "$script" >output 2>errors || { cat "$script" errors; exit 1; }
        [ ! -e "${script%.sh}.txt" ] || while IFS= read -r line; do
            grep -qxF -e "$line" output || { cat "$script"; echo "does not print '$line', but:"; cat output; exit 1; }
        done <"${script%.sh}.txt"
    done
    set -- [0-9]*.sh
    echo "$page: $# commands do what the page says"
    [ $# -eq 10 ] || { echo "expected 10"; exit 1; }
done
