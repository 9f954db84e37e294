# Reads the output of code.awk for all of src and prints static functions of .c files whose name stands in another file
# too, with their places: a debugger's `break` should find a name once. Instruction sets define the same names on
# purpose, in headers, so headers are compared with .c files and not with each other.
{
    file = $0
    sub(/:.*/, "", file)
    code = $0
    sub(/^[^:]*:[0-9]*:/, "", code)
    if (head != "") {
        code = head " " code
        head = ""
    }
    if (code !~ /^static[ \t]/)
        next
    if (code !~ /[(;={]/) { # the name is on the next line
        head = code
        next
    }
    sub(/=.*/, "", code)
    gsub(/__attribute__[ ]*\(\([^)]*\)*\)/, "", code)
    if (!match(code, /[A-Za-z_][A-Za-z_0-9]*\(/))
        next
    name = substr(code, RSTART, RLENGTH - 1)
    if ((name, file) in seen)
        next
    seen[name, file] = 1
    places[name] = places[name] " " file
    if (file ~ /\.c$/)
        sources[name]++
    else
        headers[name]++
}
END {
    for (name in sources)
        if (sources[name] + headers[name] > 1)
            print name ":" places[name]
}
