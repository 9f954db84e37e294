#!/bin/sh
# symbols.sh LIBRARY - what the linker sees: every name begins with ink_, nothing is writable, and nothing is asked of
# the C library but what stands here. A sanitizer adds names and data of its own, so such a library is not looked at
# (exit 77, skipped).
set -u
library=$1
report=$(mktemp)
trap 'rm -f "$report"' EXIT

if nm "$library" 2>/dev/null | grep -qE ' (__asan_|__ubsan_|__tsan_|__sanitizer_|__gcov_|__llvm_)'; then
    echo "symbols: $library is instrumented, not looked at"
    exit 77
fi

offences() {
    found=$(cat)
    [ -z "$found" ] || printf '%s:\n%s\n' "$1" "$found" >>"$report"
}

# What the library may ask of the system. Text and arrays; memory, files and threads (the platform file);
# what compilers put in by themselves.
arrays='memcpy memmove memset memcmp bcmp memchr strlen strcmp strncmp strchr strpbrk strstr'
platform='malloc posix_memalign madvise free open64 close fstat64 pread64 __errno_location
    getpid clock_gettime pthread_create pthread_join pthread_sigmask sigfillset sigdelset
    pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock pthread_mutex_unlock
    pthread_cond_init pthread_cond_destroy pthread_cond_wait pthread_cond_broadcast'
compiler='_GLOBAL_OFFSET_TABLE_ __stack_chk_fail __memcpy_chk __memset_chk __memmove_chk'
allowed=$(echo $arrays $platform $compiler | tr ' ' '\n' | sort)

defined=$(nm -g --defined-only "$library" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u)
[ -n "$defined" ] || { echo "no symbols in $library"; exit 1; }
echo "$defined" | grep -v '^ink_' | offences "names without the prefix"

# Compilers for aarch64 also call their own atomic operations, __aarch64_ldadd8_acq_rel and the like.
asked=$(nm -u "$library" 2>/dev/null | awk 'NF == 2 && $2 !~ /^__aarch64_/ { print $2 }' | sort -u)
echo "$asked" | while read -r name; do
    echo "$defined" | grep -qxF -- "$name" || echo "$allowed" | grep -qxF -- "$name" || echo "$name"
done | offences "asked of the system and not on the list"

# Sections that are writable after loading; .data.rel.ro holds constant tables of addresses.
objdump -t "$library" | grep -E '[[:space:]](\.t?data|\.t?bss|\*COM\*)' | grep -vE '\.data\.rel\.ro' |
    awk '$NF !~ /^\./ && $(NF - 1) !~ /^0+$/' | offences "writable globals"

if [ -s "$report" ]; then
    cat "$report"
    exit 1
fi
echo "symbols: $(echo "$defined" | wc -l) names, all ink_; no writable global; asks for:" \
    $(echo "$asked" | grep -v '^ink_')
