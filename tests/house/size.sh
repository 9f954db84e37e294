#!/bin/sh
# size.sh ROOT LIBRARY - prints and checks what the library costs, in bytes of code and constants (gcc or clang, x86-64):
# all of LIBRARY, a Release build with everything in it; the part of it that a program with one f32 MLP carries; and the
# same for a build with the portable kernel and f32 alone at -Os. The last two are linked with -Wl,--gc-sections.
set -u
root=$(cd "$1" && pwd)
library=$2
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# text FILE...: the code and constants in all of them.
text() { size -t "$@" | awk 'END { print $1 }'; }

# check WHAT BYTES LIMIT
check() {
    printf '%-55s %7d bytes, at most %d\n' "$1" "$2" "$3"
    [ "$2" -le "$3" ] || { echo "size: too large"; status=1; }
}

# carried LIBRARY: the size of the program with it, less that of a program with nothing.
carried() {
    $cc -O2 -I"$root/include" "$root/tests/house/one_mlp.c" "$1" -Wl,--gc-sections -lm -pthread -o "$work/program" ||
        exit 1
    "$work/program" || { echo "size: the program failed" >&2; exit 1; }
    echo $(($(text "$work/program") - $(text "$work/nothing")))
}

echo 'int main(void) { return 0; }' >"$work/nothing.c"
$cc -O2 "$work/nothing.c" -o "$work/nothing" || exit 1

mkdir "$work/small"
(cd "$work/small" &&
    $cc -std=c11 -Os -DNDEBUG -DINK_NO_SSE2 -DINK_NO_AVX2 -DINK_NO_AVX512 -DINK_NO_NEON -DINK_NO_BF16 -DINK_NO_F16 -DINK_NO_I8 \
        -DINK_NO_QUANTISED \
        -ffunction-sections -fdata-sections -I"$root/include" -c "$root"/src/*/*.c &&
    ar rcs libinkling.a ./*.o) || exit 1

# 917,000: 690,000 without quantised weights (kernels of their own), GGUF, and the interpreter of chat templates; each
# kernel is 40,000 to 80,000.
check "library, $(basename "$library")" "$(text "$library")" 930000
bytes=$(carried "$library") || exit 1
check "one f32 MLP" "$bytes" 340000
bytes=$(carried "$work/small/libinkling.a") || exit 1
check "one f32 MLP, portable kernel and f32 alone, -Os" "$bytes" 70000

# The small library refuses the types it lacks, and says which and why.
cat >"$work/bf16.c" <<'EOF'
#include <inkling.h>
#include <stdio.h>

int main(void)
{
    float w[4] = {0};
    ink_matrix *matrix;
    ink_context *ctx = ink_context_create(NULL);
    const ink_tensor tensor = ink_tensor_2d(w, 2, 2);
    ink_result result = ink_matrix_create(ctx, &tensor, INK_BF16, &matrix);
    puts(ink_context_error(ctx));
    ink_context_free(ctx);
    return result != INK_ERROR_UNSUPPORTED;
}
EOF
$cc -I"$root/include" "$work/bf16.c" "$work/small/libinkling.a" -lm -pthread -o "$work/bf16" || exit 1
sentence=$("$work/bf16") || status=1
echo "$sentence" | grep 'BF16.* with bf16 in INKLING_TYPES.*INK_NO_BF16' || { echo "size: no such refusal: $sentence"; status=1; }
exit $status
