# Prints functions of more than 120 lines, from the line of their name to the closing brace; a function's braces stand
# in the first column.
FNR == 1 {
    name = ""
}
/^[A-Za-z_].*\(/ && !/;[ \t]*$/ && !/}$/ {
    name = $0
    start = FNR
}
/^}/ {
    if (name != "" && FNR - start + 1 > 120)
        printf "%s:%d: %d lines: %s\n", FILENAME, start, FNR - start + 1, name
    name = ""
}
