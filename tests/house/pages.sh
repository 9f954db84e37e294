#!/bin/sh
# pages.sh SOURCE_DIR PROGRAMS_DIR - what the pages for learners show is what their commands print: every fence marked sh
# runs, and the indented lines right below it are lines of its output. Figures of the amplifier's speed may differ.
set -u
command -v cc >/dev/null || { echo "no compiler is called cc"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A tree whose plots may be written over: the pictures that the commands draw must come out as they are.
mkdir "$work/examples" "$work/build" && ln -s "$2" "$work/build/examples" && ln -s "$1"/examples/* "$work/examples" &&
    rm "$work/examples/plots" && cp -r "$1/examples/plots" "$work/examples/plots" && cp "$1/README.md" "$work" || exit 1
cd "$work" || exit 1

# run_page NAME - fences become scripts 01.sh, 02.sh ...; the lines they print go to 01.txt and so on.
run_page() {
    rm -f [0-9]*
    ran=0
    awk '/^```sh/ { name = sprintf("%02d", ++n); fence = below = 1; next }
         /^```/ { fence = 0; next }
         fence { print > (name ".sh"); next }
         below && /^    / { print substr($0, 5) > (name ".txt"); next }
         /./ { below = 0 }' "examples/$1.md"
    for script in [0-9]*.sh; do
        # compare takes a minute, and has a test of its own; quantise of everything, understand and stories for mend
        # take some seconds, so that only the gate runs them; models to be fetched are not here.
        sed -i '/^build\/examples\/compare/d' "$script"
        [ "${INKLING_TEST_ALL:-0}" = 1 ] ||
            sed -i '/^build\/examples\/quantise$/d; /^build\/examples\/understand$/d; /^build\/examples\/mend --stories/d' \
                "$script"
        [ -s "$script" ] && ! grep -qE 'SmolLM2|llama-cli' "$script" || continue
        # A command whose lines are shown may end in "no", as stories --read does.
        ran=$((ran + 1))
        sh -e "$script" >output 2>errors </dev/null || [ -e "${script%.sh}.txt" ] || { cat "$script" errors; exit 1; }
        cp output "$1-${script%.sh}.output"
        [ -e "${script%.sh}.txt" ] || continue
        cp "${script%.sh}.txt" shown
        sed -i "s/$(printf '\t')/   /g; s/ *\$//" output # a tab is three blanks on a page
        # The figures of these two lines are times.
        sed -i '/as fast as it plays\|^a block takes/{s/[0-9][0-9,.]*/N/g; s/avx[a-z0-9_]*/KERNEL/}' output shown
        # Every line, in the order of the page.
        awk 'FILENAME == "output" { printed[++n] = $0; next }
             { while (++at <= n && printed[at] != $0); if (at > n) { print "does not print here: " $0; exit 1 } }' \
            output shown || { cat "$script"; echo "but:"; cat output; exit 1; }
    done
    echo "$1: $ran commands do what the page says"
}

for page in README learning exercises answers lesson; do
    [ "$(grep -c '^```sh' "examples/$page.md")" -gt 0 ] || continue
    run_page $page || exit 1
done
for picture in "$1"/examples/plots/*; do
    cmp "$picture" "examples/plots/${picture##*/}" || { echo "not what the command of the page draws"; exit 1; }
done
for page in exercises answers; do
    [ "$(grep -c '^```sh' "examples/$page.md")" -eq 10 ] || { echo "$page: expected 10 exercises"; exit 1; }
done
# The sections of compare, of which most draw a picture of their name, come in the order of the page.
names=$(sed -n 's/^    {"\([a-z]*\)", .*/\1/p' "$1/examples/compare/compare.c" |
    while read -r name; do [ ! -e "$1/examples/plots/$name.svg" ] || echo "$name"; done)
for page in README README.ko; do
    shown=$(sed -n 's/^!.*(plots\/\([a-z]*\)\.svg)$/\1/p' "$1/examples/$page.md" | grep -xF "$names")
    [ "$shown" = "$names" ] || { echo "$page: compare has another order:" $names; exit 1; }
done
# says PAGE TEXT - the page has this text, wherever its lines end: a figure in a sentence, from what a command prints.
says() {
    tr '\n' ' ' <"examples/$1.md" | grep -qF -- "$2" || { echo "$1: does not have: $2"; exit 1; }
}
says answers "**5. $(awk 'END { print $NF }' exercises-05.output).**"
ordered=$(tr '\n' ' ' <examples/exercises.md | sed 's/.*In the right one, "\([^"]*\)", it needs.*/\1/')
says exercises "it needs $(echo "$ordered" | build/examples/score examples/models/gpt - 2>errors |
    awk '/bits per token/ { printf "%.2f", $4 }')."
says exercises "an entropy of $(build/examples/stories -n 100 --seed 7 --bits | awk 'END { print $(NF - 2) }') bits per byte"
says README "A change must gain more than $(build/examples/mend --help |
    sed -n 's/.*gain at least (default \([0-9]*\)).*/\1/p') bits"
says README "begins at $(build/examples/inspect examples/models/gpt --context 1 | awk '/^state/ { print $2 }') KB"
says README "$(cd examples/models && wc -c mood/* kind/* grammar/* tag/* answer/* | awk '
    $2 == "total" { next }
    { split($2, path, "/"); sum[path[1]] += $1 }
    END { for (name in sum) { low = low && low < sum[name] ? low : sum[name]; high = high > sum[name] ? high : sum[name] }
          printf "%.1f to %.1f MB each", low / 1e6, high / 1e6 }')"
echo "README, exercises, answers: figures in sentences are what the commands print"
awk -f "$1/tests/house/shown.awk" "$1/examples/plots/gradient.svg" "$1/examples/README.md" "$1/examples/learning.md" || exit 1
echo "README, learning: sentences say what pictures and lines beside them show"
awk -f "$1/tests/house/figures.awk" "$1/examples/learning.md" "$1/examples/drawings/head.svg" || exit 1
echo "learning, head.svg: the figures are right"
awk -f "$1/tests/house/scale.awk" "$1/examples/train/log.md" "$1/examples/plots/scale.svg" "$1/examples/README.md" || exit 1
echo "scale.svg: it shows what log.md says"
awk -f "$1/tests/house/log.awk" "$1/examples/train/log.md" "$1/tests/README.md" "$1/examples/train/README.md" \
    "$1/examples/README.md" || exit 1
echo "README: it quotes log.md and what was measured"
