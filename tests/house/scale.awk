# scale.awk log.md scale.svg README.md - whether the picture shows the tables of the section "Parameters and data" (which
# train/curve.py draws), and the page quotes their last columns.
function x_of(n) { return 88 + 512 * (log(n) / log(10) - 4) / 8 }
function y_of(percent) { return top + 230 * (2 - log(percent) / log(10)) / 3 }
function list(from, to, text) {
    for (text = above[from]; ++from <= to;) text = text (from < to ? ", " : " and ") above[from]
    return text " %"
}
function expect(file, text, what) { if (index(text, what) == 0) { print file ": does not have: " what; wrong = 1 } }

FILENAME ~ /log\.md$/ {
    if (/^## /) here = /^## Parameters and data/
    n = split($0, cell, " *[|] *")
    if (here && cell[3] ~ /^[0-9]+$/) { parameters[++rows] = cell[3]; tokens[rows] = cell[5] * 1e6; above[rows] = sprintf("%.1f", cell[n - 1]) }
    else if (here && rows > 0 && first == 0 && !/^[|]/) first = rows
    next
}
FILENAME ~ /\.svg$/ { svg = svg $0; next }
{ page = page " " $0 }

END {
    for (i = 1; i <= rows; i++) {
        top = i <= first ? 56 : 376
        expect("scale.svg", svg, sprintf("cx=\"%.1f\" cy=\"%.1f\"", x_of(i <= first ? parameters[i] : tokens[i]), y_of(above[i])))
    }
    expect("scale.svg", svg, sprintf("M%.1f 56 V286", x_of(175e9)))
    expect("scale.svg", svg, sprintf("M%.1f 376 V606", x_of(300e9)))
    gsub(/ +/, " ", page)
    expect("README.md", page, list(1, first))
    expect("README.md", page, list(first + 1, rows))
    if (first < 4 || rows < first + 3) { print "log.md: expected two tables of curves, found " rows " rows"; wrong = 1 }
    exit wrong
}
