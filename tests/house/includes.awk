# includes.awk FILE... - follows the includes between the files of src and include, given as paths from the top of the
# source tree, and prints what breaks a rule. -v rule= chooses the rule:
#
#   order      a folder includes only the folders below it
#   circles    no file includes itself through others
#   names      no private header has the name of a public one
#
# An include counts however it is written: "x.h", "../y/x.h", <inkling/x.h>, <../src/y/x.h>. A public header belongs to
# the folder of src that holds a .c file of its name.
BEGIN {
    below["base"] = " base "
    below["tensor"] = " base tensor "
    below["layers"] = " base tensor layers "
    below["models"] = " base tensor layers models "
    below["text"] = " base text "
    below["formats"] = " base tensor formats "
    below["tasks"] = " base tensor layers models text tasks "
    below["import"] = " base tensor layers models text tasks formats import "

    # Public headers without a .c file of their name.
    place["types"] = "base"
    place["arena"] = "base"

    for (i = 1; i < ARGC; i++) {
        file = ARGV[i]
        known[file] = 1
        name = base_name(file)
        if (file ~ /^include\/.*\.h$/)
            public[name] = file
        if (file ~ /^src\/[^\/]+\/.*\.c$/) {
            split(file, part, "/")
            sub(/\.c$/, "", name)
            place[name] = part[2]
        }
    }
    if (rule == "names") {
        for (file in known) {
            name = base_name(file)
            if (file ~ /^src\/.*\.h$/ && name in public)
                print file " has the name of " public[name]
        }
        exit
    }
}

function base_name(path) {
    sub(/.*\//, "", path)
    return path
}

# a/./b/../c is a/c.
function normal(path,   part, n, i, out, depth) {
    n = split(path, part, "/")
    depth = 0
    for (i = 1; i <= n; i++) {
        if (part[i] == ".." && depth > 0)
            depth--
        else if (part[i] != "." && part[i] != "")
            out[++depth] = part[i]
    }
    path = out[1]
    for (i = 2; i <= depth; i++)
        path = path "/" out[i]
    return path
}

# The folder of src to which a file belongs; "" if no folder is known. inkling.h includes all, so it stands on top.
function folder(file,   part, name) {
    if (file == "include/inkling.h")
        return "import"
    split(file, part, "/")
    if (part[1] == "src")
        return part[2]
    name = base_name(file)
    sub(/\.h$/, "", name)
    return name in place ? place[name] : ""
}

/^[ \t]*#/ {
    gsub(/\/\*[^*]*\*\//, " ")
    if ($0 !~ /^[ \t]*#[ \t]*(include|import|include_next)([^A-Za-z_0-9]|$)/)
        next
    at = FILENAME ":" FNR ": "
    if (!match($0, /["<][^">]+[">]/)) {
        if (rule == "order")
            print at "an include names its file"
        next
    }
    quoted = substr($0, RSTART, 1) == "\""
    name = substr($0, RSTART + 1, RLENGTH - 2)
    beside = FILENAME
    sub(/[^\/]*$/, "", beside)
    target = normal(beside name)
    if (!quoted || !(target in known))
        target = normal("include/" name)
    if (!(target in known)) {
        if (rule == "order" && (quoted || name ~ /^inkling/))
            print at "there is no file " name
        next
    }
    edges[FILENAME] = edges[FILENAME] " " target
    from = folder(FILENAME)
    to = folder(target)
    if (rule != "order")
        next
    if (from == "" || to == "")
        print at (from == "" ? FILENAME : target) " has no .c file of its name: give it a row in includes.awk"
    else if (!(from in below))
        print at "folder " from " has no row in includes.awk"
    else if (index(below[from], " " to " ") == 0)
        print at from " includes " name ", which belongs to " to
}

# A file that includes none of the files left is in no circle. From one of those that remain in the end, following
# includes leads back to a file already met: that is a circle. It is printed, taken away, and the search goes on.
END {
    if (rule != "circles")
        exit
    for (file in known)
        left[file] = 1
    for (;;) {
        do {
            changed = 0
            for (file in left)
                if (next_left(file) == "") {
                    delete left[file]
                    changed = 1
                    break
                }
        } while (changed)
        start = ""
        for (file in left)
            if (start == "" || file < start)
                start = file
        if (start == "")
            exit
        split("", met)
        for (file = start; !(file in met); file = next_left(file))
            met[file] = 1
        start = file
        circle = start
        do {
            file = next_left(file)
            circle = circle " -> " file
        } while (file != start)
        print circle
        n = split(circle, part, " -> ")
        for (i = 1; i <= n; i++)
            delete left[part[i]]
    }
}

function next_left(file,   part, n, i) {
    n = split(edges[file], part, " ")
    for (i = 1; i <= n; i++)
        if (part[i] in left)
            return part[i]
    return ""
}
