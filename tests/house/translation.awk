# translation.awk PAGE TRANSLATION - a translated page has, in the same order, every line of the page's fences, every
# indented line, the paths of its pictures and its links to functions, and in each section all numbers that the page has
# there (sentences may be in another order). Names the first line that differs, and the numbers that are missing.
function keep(what) {
    if (FNR == NR) {
        kept[++n] = what
        place[n] = FILENAME ":" FNR
    } else if (what != kept[++at] && !wrong) {
        wrong = 1
        print FILENAME ":" FNR ": has '" what "', but " (at > n ? "the page ends" : place[at] " has '" kept[at] "'")
    }
}
# The numbers of a text, each with a blank before and behind it, without commas.
function numbers(text,   list) {
    list = " "
    gsub(/`[^`]*`|[]][(][^)]*[)]/, "", text)
    while (match(text, /[0-9]+(,[0-9][0-9][0-9])*([.][0-9]+)?/)) {
        list = list substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        list = list (text ~ /^만/ ? "e4 " : text ~ /^억/ ? "e8 " : " ")
    }
    gsub(/,/, "", list)
    return list
}

# Korean counts in units of ten thousand, and of a hundred million: 7400e4 are 74 million, and 2e4 4000 24 thousand.
# Their word for ten thousand is also one for "only".
function translated(number, list) {
    return index(list, " " number " ") || index(list, " " number "e4 ") || index(list, " " 100 * number "e4 ") ||
           index(list, " " 10 * number "e8 ") || index(list, " " int(number / 10) "e4 " number % 10 * 1000 " ")
}

BEGIN { spelt["30"] = "서른"; spelt["0.722"] = "LSTM" } # a numeral, and what only the page explains
FNR == 1 { fence = section = 0 }
/^```/ { fence = !fence }
fence || /^```/ || /^    / { keep($0); next }
/^##/ { section++ }
{ prose[FNR == NR, section] = prose[FNR == NR, section] " " $0 }
{
    while (match($0, /!\[[^]]*\]\([^)]*\)|\[`[^`]*:[a-z_0-9]*`\]\([^)]*\)/)) {
        link = substr($0, RSTART, RLENGTH)
        $0 = substr($0, RSTART + RLENGTH)
        sub(/^!\[[^]]*\]/, "![]", link)
        keep(link)
    }
}

END {
    for (i = 0; i <= section; i++) {
        list = numbers(prose[0, i])
        m = split(numbers(prose[1, i]), number, " ")
        for (k = 1; k <= m; k++)
            if (!translated(number[k], list) && !(number[k] in spelt && index(prose[0, i], spelt[number[k]])))
                print FILENAME ": section " i " (counted from the top) does not have " number[k]
    }
    if (!wrong && at < n)
        print FILENAME ": ends before '" kept[at + 1] "' of " place[at + 1]
}
