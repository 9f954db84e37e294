# translation.awk PAGE TRANSLATION - a translated page has, in the same order, every line of the page's fences, every
# indented line, the paths of its pictures and its links to functions. Names the first line that differs.
function keep(what) {
    if (FNR == NR) {
        kept[++n] = what
        place[n] = FILENAME ":" FNR
    } else if (what != kept[++at] && !wrong) {
        wrong = 1
        print FILENAME ":" FNR ": has '" what "', but " (at > n ? "the page ends" : place[at] " has '" kept[at] "'")
    }
}

FNR == 1 { fence = 0 }
/^```/ { fence = !fence }
fence || /^```/ || /^    / { keep($0); next }
{
    while (match($0, /!\[[^]]*\]\([^)]*\)|\[`[^`]*:[a-z_0-9]*`\]\([^)]*\)/)) {
        link = substr($0, RSTART, RLENGTH)
        $0 = substr($0, RSTART + RLENGTH)
        sub(/^!\[[^]]*\]/, "![]", link)
        keep(link)
    }
}

END {
    if (!wrong && at < n)
        print FILENAME ": ends before '" kept[at + 1] "' of " place[at + 1]
}
