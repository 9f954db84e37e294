#!/bin/sh
# run.sh SOURCE_DIR - links the library in every way README.md names, each from a project of its own: installed, static
# and shared, with find_package and with pkg-config; as a subproject, also of parents with flags, exports and folders of
# their own; with plain compiler lines; in a program, in C++, and in a shared object.
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
# with_pkg_config PREFIX NAME: the program, built with what the .pc file says, runs and has its version.
with_pkg_config() {
    pc=$(find "$1" -name inkling.pc)
    flags=$(PKG_CONFIG_PATH=${pc%/*} pkg-config --cflags --libs inkling)
    libdir=$(PKG_CONFIG_PATH=${pc%/*} pkg-config --variable=libdir inkling)
    # pkg-config writes a path with blanks as a shell reads it.
    eval "cc \"\$consumer/main.c\" $flags -Wl,-rpath,$libdir -o \"\$work/\$2\""
    "$work/$2" >"$work/log" || fail "pkg-config, $2"
    version=$(PKG_CONFIG_PATH=${pc%/*} pkg-config --modversion inkling)
    grep -q "^inkling $version," "$work/log" || fail "the .pc file says $version, $2"
}
# with_find_package PREFIX NAME
with_find_package() {
    quiet cmake -S "$consumer/installed" -B "$work/$2" -DCMAKE_PREFIX_PATH="$1"
    quiet cmake --build "$work/$2"
    quiet "$work/$2/consumer"
    quiet "$work/$2/consumer_cxx"
}

# ---- installed ----

for kind in static shared; do
    shared=OFF
    [ $kind = static ] || shared=ON
    quiet cmake -S "$source" -B "$work/$kind" -DINKLING_EXAMPLES=OFF -DBUILD_SHARED_LIBS=$shared \
        -DCMAKE_INSTALL_PREFIX=/nowhere
    quiet cmake --build "$work/$kind" -j2
    quiet cmake --install "$work/$kind" --prefix "$work/first"
    mv "$work/first" "$work/moved-$kind" # an installed tree does not depend on where it lay
    prefix=$work/moved-$kind
    find "$prefix" ! -type d |
        grep -vE '/(inkling[a-z-]*\.cmake|inkling\.pc|inkling\.h|inkling/[a-z_]+\.h|licenses/inkling/LICENSE)$' |
        grep -vE '/libinkling\.(a|so|so\.[0-9]+\.[0-9]+|so\.[0-9]+\.[0-9]+\.[0-9]+)$' &&
        fail "installed more than the library"
    cmp -s "$source/LICENSE" "$prefix/share/licenses/inkling/LICENSE" || fail "the licence is not installed"
    with_find_package "$prefix" "find_package-$kind"
    with_pkg_config "$prefix" "pkg-config-$kind"
done

# A shared library carries its interface in its name, and shows the functions of the headers, no more and no less.
shared=$(find "$work/moved-shared" -name libinkling.so)
version=$(sed -n 's/^#define INK_VERSION_M[A-Z]*OR \([0-9]*\)$/\1/p' "$source/include/inkling/context.h" | paste -sd.)
readelf -d "$shared" | grep -q "soname: \[libinkling\.so\.$version\]" || fail "the soname is not libinkling.so.$version"
nm -D --defined-only "$shared" | awk '{ print $NF }' | sort >"$work/shown"
echo '#include <inkling.h>' | cc -E -P -I"$source/include" - | tr '\n' ' ' |
    grep -oE '[a-z_0-9]+ [*]*ink_[a-z0-9_]+ ?\(' | grep -oE 'ink_[a-z0-9_]+ ?\($' | tr -d ' (' | sort -u >"$work/declared"
diff "$work/declared" "$work/shown" || fail "a shared library shows (>) other functions than the headers declare (<)"
[ "$(wc -l <"$work/shown")" -gt 100 ] || fail "a shared library shows too little"

# Folders outside of the prefix.
quiet cmake -S "$source" -B "$work/static" -DCMAKE_INSTALL_PREFIX="$work/prefix" \
    -DCMAKE_INSTALL_LIBDIR="$work/elsewhere/lib" -DCMAKE_INSTALL_INCLUDEDIR="$work/elsewhere/headers"
quiet cmake --install "$work/static"
[ -e "$work/elsewhere/lib/libinkling.a" ] || fail "an absolute CMAKE_INSTALL_LIBDIR is not where the library is"
with_pkg_config "$work/elsewhere" pkg-config-absolute
quiet cmake -S "$consumer/installed" -B "$work/found" -Dinkling_DIR="$work/elsewhere/lib/cmake/inkling"
quiet cmake --build "$work/found"
quiet "$work/found/consumer"

# ---- plain compiler lines ----

prefix=$work/moved-static
library=$(find "$prefix" -name libinkling.a)
cc -I"$prefix/include" "$consumer/main.c" "$library" -lm -o "$work/plain"
"$work/plain" || fail "a plain compiler line"
cc -static -I"$prefix/include" "$consumer/main.c" "$library" -lm -o "$work/static-program"
"$work/static-program" || fail "a static program"
cc -std=c11 -O2 -Wall -Wextra -Werror -fno-pic -fno-pie -no-pie -I"$source/include" "$source"/src/*/*.c \
    "$consumer/main.c" -lm -o "$work/bare"
"$work/bare" || fail "the sources beside the program, with warnings as errors and without position independent code"
cc -shared -fPIC -I"$prefix/include" "$consumer/main.c" "$library" -lm -Wl,-z,text -o "$work/plugin.so" ||
    fail "in a shared object"

# A C library that has its threads in a library of their own (glibc before 2.34), which this line does not link: what
# only that library has must be weak, and then there are no worker threads.
cc -std=c11 -O2 -fno-pie -DINK_WEAK_THREADS -I"$source/include" -c "$source/src/base/platform.c" -o "$work/platform.o"
nm -u "$work/platform.o" | grep -E ' pthread_' | grep -vE ' w pthread_(create|join|sigmask)$' |
    grep -vE ' U pthread_(mutex_(init|destroy|lock|unlock)|cond_(init|destroy|wait|broadcast))$' &&
    fail "not in the C library itself before glibc 2.34"
cat >"$work/threads.c" <<'C'
#include <inkling.h>
int main(void)
{
    ink_context *one = ink_context_create(NULL);
    ink_context_options options = {.n_threads = 2};
    ink_context *two = ink_context_create(&options);
    int wrong = one == NULL || two != NULL;
    ink_context_free(one);
    ink_context_free(two);
    return wrong;
}
C
cc -std=c11 -fno-pie -no-pie -I"$source/include" "$work/threads.c" "$work/platform.o" "$library" -lm \
    -Wl,--defsym=pthread_create=0,--defsym=pthread_join=0,--defsym=pthread_sigmask=0 -o "$work/threads"
"$work/threads" || fail "without the library of threads"

# Results are exact, so sums may not be reordered.
for flag in -ffast-math -Ofast -ffinite-math-only; do
    ! cc -std=c11 $flag -I"$source/include" -c "$source/src/tensor/kernel_portable.c" -o "$work/fast.o" 2>"$work/log" ||
        fail "$flag is taken"
    grep -q 'exact to the bit' "$work/log" || fail "$flag is refused without a word"
done

# ---- a subproject ----

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

# Parents with flags and settings of their own.
for setting in '-DCMAKE_C_FLAGS=-Ofast -ffast-math -Wall -Wextra -Wpedantic -Wconversion -Werror' \
    '-DCMAKE_C_FLAGS=-funsafe-math-optimizations -ffinite-math-only' -DBUILD_SHARED_LIBS=ON; do
    rm -rf "$work/parent"
    quiet cmake -S "$consumer/subproject" -B "$work/parent" "$setting"
    quiet cmake --build "$work/parent" -j2
    "$work/parent/consumer" >"$work/log" || fail "a parent with $setting"
done

# A parent that exports a static library over this one.
quiet cmake -S "$consumer/exported" -B "$work/exported" -DCMAKE_BUILD_TYPE=Release
quiet cmake --build "$work/exported" -j2
quiet cmake --install "$work/exported" --prefix "$work/over"
[ -z "$(find "$work/over" -name '*inkling*')" ] || fail "a parent installs inkling unasked"
quiet cmake --install "$work/exported" --prefix "$work/over" --component inkling
quiet cmake -S "$consumer/over" -B "$work/uses-over" -DCMAKE_PREFIX_PATH="$work/over"
quiet cmake --build "$work/uses-over"
quiet "$work/uses-over/consumer"
echo "consumer: static and shared, find_package, pkg-config, plain lines, the bare sources, a shared object," \
    "subprojects and exports: all link"
