#!/bin/sh
# windows.sh SOURCE_DIR NATIVE_BUILD [CMOCKA.tar.xz] - builds everything for Windows with the gcc of mingw-w64, looks at
# the machine code, and runs it under Wine, without a screen: the golden test with every kernel and several threads; programs,
# whose output must be that of the same programs in NATIVE_BUILD; and, with the sources of cmocka, the quick set of the
# tests but for those that need POSIX.
set -eu
export LC_ALL=C.UTF-8
source=$(cd "$1" && pwd)
native=$(cd "$2" && pwd)
cmocka=${3:+$(realpath "$3")}
work=$(mktemp -d)
export WINEPREFIX="$work/prefix" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml='
trap '/usr/lib/wine/wineserver64 -k -w || true; rm -rf "$work"' EXIT
wine=/usr/lib/wine/wine64
gcc=x86_64-w64-mingw32-gcc
models=$source/examples/models
fail() {
    echo "windows: $*"
    exit 1
}
quiet() {
    "$@" >"$work/log" 2>&1 || { tail -n 50 "$work/log"; fail "$*"; }
}

# configure SOURCE BUILD [ARGUMENT...]
configure() {
    from=$1 to=$2
    shift 2
    quiet cmake -S "$from" -B "$to" -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_C_COMPILER=$gcc "$@"
}

# The server of Wine stays until the end: one that a test starts would keep that test's output open for minutes.
mkdir "$WINEPREFIX"
/usr/lib/wine/wineserver64 -p
quiet $wine wineboot

# cmocka's own configuration names a DLL; the static library takes its place.
if [ -n "$cmocka" ]; then
    mkdir "$work/cmocka"
    tar -xf "$cmocka" -C "$work/cmocka" --strip-components=1
    configure "$work/cmocka" "$work/cmocka-build" -DWITH_STATIC_LIB=ON -DUNIT_TESTING=OFF -DWITH_EXAMPLES=OFF \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$work/installed"
    quiet cmake --build "$work/cmocka-build" -j2
    quiet cmake --install "$work/cmocka-build"
    rm "$work/installed/lib/libcmocka.dll.a"
    mv "$work/installed/lib/libcmocka-static.a" "$work/installed/lib/libcmocka.a"
    set -- -DINKLING_TESTS=ON -DCMAKE_PREFIX_PATH="$work/installed" -DCMAKE_CROSSCOMPILING_EMULATOR=$wine \
        -DCMAKE_C_FLAGS="-I'$work/installed/include'" -DCMAKE_EXE_LINKER_FLAGS="-L'$work/installed/lib'"
else
    set --
fi
configure "$source" "$work/build" -DINKLING_WARNINGS_AS_ERRORS=ON "$@"
quiet cmake --build "$work/build" -j2

# Moves of wide vectors to and from the stack, where nothing is aligned to 32 bytes, would fault. Debian's gcc writes none
# that need it, others do. So all moves in its assembly become such ones; the option that CMake sets makes them harmless.
unaligned=-muse-unaligned-vector-move
grep -q "kernel_avx512.*_OPTIONS.*$unaligned" "$work/build/CMakeFiles/inkling.dir/flags.make" || fail "no $unaligned"
mkdir "$work/aligned"
for kernel in "$source"/src/tensor/kernel_avx*.c; do
    as=$work/aligned/$(basename "$kernel" .c)
    quiet $gcc -std=c11 -O2 -DINK_UNALIGNED_MOVES -I"$source/include" -S "$kernel" -o "$as.s"
    sed -i -E '/%[yz]mm.*\(|\(.*%[yz]mm/{s/vmovup([sd])/vmovap\1/; s/vmovdqu\t/vmovdqa\t/; s/vmovdqu(32|64)/vmovdqa\1/}' "$as.s"
    quiet $gcc -Wa,$unaligned -c "$as.s" -o "$as.o"
done
grep -q 'vmovaps.*%zmm' "$work/aligned/kernel_avx512.s" || fail "no moves to try"
quiet $gcc -std=c11 -O2 -I"$source/include" "$source"/tests/golden/*.c "$work"/aligned/*.o "$work/build/libinkling.a" \
    -o "$work/aligned.exe"
$wine "$work/aligned.exe" "$source" --reduced
x86_64-w64-mingw32-objdump -d "$work/build/libinkling.a" "$work/build/examples/bench.exe" "$work/aligned.exe" >"$work/code"
grep -qE 'vmovu.*%zmm.*\(%rsp' "$work/code" || fail "the kernels for AVX-512 are missing"
grep -m 5 -E 'vmov(a|dqa).*%[yz]mm.*\(|vmov(a|dqa).*\(.*%[yz]mm' "$work/code" && fail "moves that need aligned memory"
for program in "$work"/build/examples/*.exe; do
    x86_64-w64-mingw32-objdump -p "$program" | sed -n 's/.*DLL Name: //p'
done | sort -u | grep -vixE 'kernel32\.dll|shell32\.dll|msvcrt\.dll' && fail "DLLs that a program should not need"

# Without CMake there are no kernels for AVX, and the same bits.
mkdir "$work/bare"
(cd "$work/bare" && quiet $gcc -std=c11 -O2 -I"$source/include" -c "$source"/src/*/*.c)
quiet $gcc -std=c11 -O2 -I"$source/include" "$source"/tests/golden/*.c "$work"/bare/*.o -o "$work/bare.exe"
$wine "$work/bare.exe" "$source" --reduced
quiet $gcc -std=c11 -O2 -I"$source/include" "$source"/tests/golden/*.c "$work/build/libinkling.a" -o "$work/golden.exe"
$wine "$work/golden.exe" "$source"
$wine "$work/golden.exe" "$source" --hostile

# same PROGRAM ARGUMENT...: what it writes to stdout is what the native one writes.
same() {
    program=$1
    shift
    "$native/examples/$program" "$@" >"$work/expected" 2>"$work/log" || fail "$program $* (native)"
    $wine "$work/build/examples/$program.exe" "$@" >"$work/found" 2>"$work/log" || { cat "$work/log"; fail "$program $*"; }
    cmp "$work/expected" "$work/found" || fail "$program $*"
}
folder=$work/'Größe 漢字'
cp -r "$models/gpt" "$folder"
cd "$work"
same stories -n 3
same generate "$folder" "Tom lost the ball" --threads 2
same transformer 'Anna ★ ä "and" Tom'
same classify "$models/mood" "They had some bad news." 'Ein "Wort" für \\ dich'
same translate "$models/translate_transformer" "Anna hid the coin under the bench." --beams 4
same quantise "$folder" - --type q8_0
mv found "$work/expected.gguf"
for time in first second; do # the second replaces the file
    quiet $wine build/examples/quantise.exe "$folder" "kopié.gguf" --type q8_0
    cmp expected.gguf "kopié.gguf" || fail "quantise into a file, the $time time"
done
same generate "kopié.gguf" "Tom lost the ball" -n 20
for path in Nö "$models" "$(printf 'a\377')"; do
    $wine build/examples/score.exe "$folder" "$path" >found 2>&1 && fail "score reads '$path'"
    grep -q "cannot be read" found || { cat found; fail "score and '$path'"; }
done
printf 'Tom left the ball on the roof.\r\nWhere is the ball?\r\n' |
    $wine build/examples/chat.exe "$models/assistant" >found 2>log || { cat log; fail "chat"; }
printf 'Tom left the ball on the roof.\nWhere is the ball?\n' | "$native/examples/chat" "$models/assistant" 2>log >expected
cmp expected found || fail "chat"
quiet "$native/examples/amp" --demo in.wav --through nothing --seconds 2
same amp in.wav -
mkdir d.gguf
for path in d.gguf CON.gguf; do
    $wine build/examples/inspect.exe $path 2>&1 | grep -q "$path: cannot be read" || fail "a folder or device: $path"
done

if [ -n "$cmocka" ]; then # strtod(), the oracle of json, takes minutes for a million digits
    (cd build && ctest -L quick -E '^json$' -j2 --timeout 300)
fi
echo "windows: the same bits and the same words"
