#!/bin/sh
# everywhere.sh SOURCE_DIR [TARGET...] - builds the library and the golden test by plain compiler lines and runs it: with
# gcc and clang at every level of optimisation, and for other processors under the distribution's emulators.
#
#   native                     -O0 and -O2 (-O3 is the test same_bits); and -march=native, with which the portable kernel has
#                              an instruction for fused multiply-adds and does not make them itself
#   aarch64, riscv64, s390x    the same checksums again; s390x is big-endian
#   wasm                       WebAssembly under node, with its vectors and without; without threads
#   i386, armv7                within tolerances: x87 rounds otherwise, and armv7 may flush subnormal numbers
#
# Without a target: all of them.
set -u
root=$(cd "$1" && pwd) || exit 1
shift
[ $# -gt 0 ] || set -- aarch64 riscv64 s390x wasm armv7 i386 native

# try OPTION EMULATOR COMPILER FLAGS...: builds and runs; one line says what came of it. EMULATOR env is none.
try() {
    option=$1 emulator=$2
    shift 2
    case $* in *-DINK_NO_THREADS*) threads= ;; *) threads=-pthread ;; esac
    if [ "$option" = --none ]; then
        echo "$*"
        exit 1
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work" || exit 1
    if ! { "$@" -std=c11 -I"$root/include" -c "$root"/src/*/*.c "$root"/tests/golden/*.c &&
        "$@" -o golden ./*.o -lm $threads; } >log 2>&1; then
        echo "$*: does not build"
        cat log
        exit 1
    fi
    if ! PATH=$root/tests/golden:$PATH "$emulator" ./golden "$root" "$option" >log 2>&1; then
        echo "$*: FAILED"
        tail -n 20 log
        exit 1
    fi
    echo "$*: $(cat log)"
}
if [ "$1" = try ]; then
    shift
    try "$@"
    exit
fi

# As many tries at a time as there are processors.
for target in "$@"; do
    case $target in
    native)
        for compiler in gcc clang; do
            for level in -O0 -O2 "-O3 -march=native"; do
                echo "--reduced env $compiler $level"
            done
        done ;;
    aarch64 | riscv64 | s390x) echo "--reduced qemu-$target $target-linux-gnu-gcc -O2 -static" ;;
    wasm)
        for vectors in -msimd128 -mno-simd128; do
            echo "--reduced wasi.mjs clang --target=wasm32-wasi -O2 $vectors -DINK_NO_THREADS"
        done ;;
    i386) echo "--close env i686-linux-gnu-gcc -O2 -static" ;;
    armv7) echo "--close qemu-arm arm-linux-gnueabihf-gcc -O2 -static" ;;
    *) echo "--none env there is no target $target" ;;
    esac
done | xargs -P "$(nproc)" -L 1 sh "$0" "$root" try
