#!/bin/sh
# run.sh SOURCE_DIR - links the library in every way README.md names, each from a project of its own: installed with
# find_package and with pkg-config, as a subproject, and with a plain compiler line; in a program, in C++, and in a
# shared object.
set -eu
source=$(cd "$1" && pwd)
consumer=$source/tests/consumer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "consumer: $*"
    exit 1
}
quiet() {
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; fail "$*"; }
}

quiet cmake -S "$source" -B "$work/build" -DINKLING_EXAMPLES=OFF -DCMAKE_INSTALL_PREFIX=/nowhere
quiet cmake --build "$work/build" -j2
quiet cmake --install "$work/build" --prefix "$work/first"
mv "$work/first" "$work/moved" # an installed tree does not depend on where it lay
prefix=$work/moved
find "$prefix" -type f | grep -vE '/(inkling[a-z-]*\.cmake|inkling\.pc|libinkling\.a|inkling\.h|inkling/[a-z]+\.h)$' &&
    fail "installed more than the library"

quiet cmake -S "$consumer/installed" -B "$work/installed" -DCMAKE_PREFIX_PATH="$prefix"
quiet cmake --build "$work/installed"
"$work/installed/consumer" || fail "find_package, C"
"$work/installed/consumer_cxx" || fail "find_package, C++"

pc=$(find "$prefix" -name inkling.pc)
flags=$(PKG_CONFIG_PATH=${pc%/*} pkg-config --cflags --libs inkling)
cc "$consumer/main.c" $flags -o "$work/with_pkg_config"
"$work/with_pkg_config" || fail "pkg-config"
version=$(PKG_CONFIG_PATH=${pc%/*} pkg-config --modversion inkling)
"$work/with_pkg_config" | grep -q "^inkling $version," || fail "the .pc file says $version"

library=$(find "$prefix" -name libinkling.a)
cc -I"$prefix/include" "$consumer/main.c" "$library" -lm -o "$work/plain"
"$work/plain" || fail "a plain compiler line"
cc -std=c11 -O2 -I"$source/include" "$source"/src/*/*.c "$consumer/main.c" -lm -o "$work/bare"
"$work/bare" || fail "the sources beside the program"
cc -shared -fPIC -I"$prefix/include" "$consumer/main.c" "$library" -lm -Wl,-z,text -o "$work/plugin.so" ||
    fail "in a shared object"

for fetch in OFF ON; do
    quiet cmake -S "$consumer/subproject" -B "$work/sub$fetch" -DFETCH=$fetch
    (cd "$work/sub$fetch" && ctest -N) | grep -q 'Total Tests: 0' || fail "a subproject brings tests along"
    quiet cmake --install "$work/sub$fetch" --prefix "$work/none$fetch"
    [ -z "$(find "$work/none$fetch" -type f 2>/dev/null)" ] || fail "a subproject installs files"
    grep -E '^INKLING_[A-Z_]*|^[a-zA-Z_]*(EXAMPLES|TESTS|WARNINGS)[A-Z_]*:' "$work/sub$fetch/CMakeCache.txt" |
        grep -v '^INKLING_' && fail "a subproject makes options without its name"
done
quiet cmake --build "$work/subOFF" -j2
"$work/subOFF/consumer" || fail "add_subdirectory"
[ ! -e "$work/subOFF/inkling/examples/CMakeFiles" ] || fail "a subproject builds the examples"
echo "consumer: find_package, pkg-config, a plain line, the bare sources, a shared object, a subproject: all link"
