#!/bin/sh
# headers.sh SOURCE_DIR COMPILER... - every public header compiles alone, as C11 and, by a compiler whose name ends in
# ++, as C++.
set -u
include=$1/include
shift
for compiler in "$@"; do
    case $compiler in
    *++*) language='-x c++ -std=c++11' ;;
    *) language='-x c -std=c11 -Wstrict-prototypes' ;;
    esac
    for header in "$include"/inkling.h "$include"/inkling/*.h; do
        name=${header#"$include"/}
        printf '#include <%s>\nint alone;\n' "$name" |
            "$compiler" $language -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$include" - ||
            { echo "$name does not compile alone with $compiler"; exit 1; }
    done
    echo "headers: each compiles alone with $compiler"
done
