#!/bin/sh
# everywhere.sh SOURCE_DIR [TARGET...] - builds the library and the golden test by plain compiler lines and runs it: with
# gcc and clang at every level of optimisation, and for other processors under the distribution's emulators.
#
#   native                     -O0 to -O3; and -march=native, with which the portable kernel has an instruction for fused
#                              multiply-adds and does not make them itself
#   aarch64, riscv64, s390x    the same checksums again; s390x is big-endian
#   i386, armv7                within tolerances: x87 rounds otherwise, and armv7 may flush subnormal numbers
#
# Without a target: all of them.
set -u
root=$(cd "$1" && pwd) || exit 1
shift
[ $# -gt 0 ] || set -- native aarch64 riscv64 s390x i386 armv7
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

build() {
    find "$root/src" "$root/tests/golden" -name '*.c' -print0 |
        xargs -0 -P "$(nproc)" -n 4 "$@" -std=c11 -I"$root/include" -c && "$@" -o golden ./*.o -lm -pthread
}

# try OPTION EMULATOR COMPILER FLAGS...: builds and runs; one line says what came of it. EMULATOR "" is none.
try() {
    option=$1 emulator=$2
    shift 2
    if ! build "$@" >log 2>&1; then
        failed=1
        echo "$*: does not build"
        cat log
    elif ! $emulator ./golden "$root" "$option" >log 2>&1; then
        failed=1
        echo "$*: FAILED"
        tail -n 20 log
    else
        echo "$*: $(cat log)"
    fi
    rm -f ./*.o golden
}

for target in "$@"; do
    case $target in
    native)
        for compiler in gcc clang; do
            for level in -O0 -O2 -O3; do
                try --reduced "" $compiler $level
            done
            try --reduced "" $compiler -O3 -march=native
        done ;;
    aarch64 | riscv64 | s390x) try --reduced qemu-$target $target-linux-gnu-gcc -O2 -static ;;
    i386) try --close "" i686-linux-gnu-gcc -O2 -static ;;
    armv7) try --close qemu-arm arm-linux-gnueabihf-gcc -O2 -static ;;
    *) echo "$target: no such target"; failed=1 ;;
    esac
done
exit $failed
