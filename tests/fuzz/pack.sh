#!/bin/sh
# pack.sh FIXTURES OUT: writes each folder of models, encoders, seq2seq, quantised, tokenizers and quantise as one file
# for fuzz_folder (fuzz.h).
for folder in "$1"/models/* "$1"/encoders/* "$1"/seq2seq/* "$1"/quantised/* "$1"/tokenizer/*/ "$1"/quantise/*/; do
    [ -d "$folder" ] || continue
    out=$2/$(echo "${folder#"$1"/}" | tr / -)
    find "$folder" -type f \( -name '*.json' -o -name '*.txt' -o -name '*.safetensors' \) \
        ! -name 'reference*' ! -name 'config.*.json' | LC_ALL=C sort |
        while read -r file; do
            printf '%s\n' "${file#"${folder%/}"/}"
            case $file in
            *.safetensors) tail -c +9 "$file" | head -c "$(od -An -tu4 --endian=little -N4 "$file" | tr -d ' ')" ;;
            *) cat "$file" ;;
            esac
            printf '\377'
        done >"$out"
done
