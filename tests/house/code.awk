# Prints "file:line:code" for C files, with comments gone and string and character literals emptied, so that a rule
# about code is not tripped by prose. A comment may span lines; a literal may not. -v literals=1 keeps the literals.
FNR == 1 {
    in_comment = 0
}
{
    code = ""
    text = $0
    while (text != "") {
        if (in_comment) {
            end = index(text, "*/")
            if (end == 0)
                break
            in_comment = 0
            text = " " substr(text, end + 2)
        } else if (match(text, /^[^"'\/]+/)) {
            code = code substr(text, 1, RLENGTH)
            text = substr(text, RLENGTH + 1)
        } else if (text ~ /^\/\*/) {
            in_comment = 1
            text = substr(text, 3)
        } else if (text ~ /^\/\//) {
            break
        } else if (match(text, /^"([^"\\]|\\.)*"/) || match(text, /^'([^'\\]|\\.)*'/)) {
            code = code (literals ? substr(text, 1, RLENGTH) : substr(text, 1, 1) substr(text, 1, 1))
            text = substr(text, RLENGTH + 1)
        } else {
            code = code substr(text, 1, 1)
            text = substr(text, 2)
        }
    }
    if (code ~ /[^ \t]/)
        printf "%s:%d:%s\n", FILENAME, FNR, code
}
