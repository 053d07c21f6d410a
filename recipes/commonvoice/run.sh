#!/usr/bin/env bash
# Common Voice: recipes/commonvoice/run.sh FOLDER WORK [PROCESSES [OPTION...]]
# FOLDER: an unpacked release, with train.tsv, dev.tsv, test.tsv and clips/. Mozilla gives releases out to people who have
# agreed to its terms, so no script can fetch one: https://commonvoice.mozilla.org/datasets. Goes on where it was stopped.
# OPTION: of asr train.
set -euo pipefail
folder=$1 work=$2 processes=${3:-1}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
launch=(python)
[ "$processes" = 1 ] || launch=(torchrun --nproc-per-node "$processes")

mkdir -p "$work"
python -m asr.cli data check "$folder/train.tsv" --test "$folder/test.tsv"
"${launch[@]}" -m asr.cli train "$folder/train.tsv" --dev "$folder/dev.tsv" --out "$work/run" \
    "${@:4}"
# the clips of the test set only, one name a line
cut -f "$(head -1 "$folder/test.tsv" | tr '\t' '\n' | grep -nx path | cut -d: -f1)" "$folder/test.tsv" | tail -n +2 |
    sed "s|^|$folder/clips/|" | tr '\n' '\0' |
    xargs -0 python -m asr.cli transcribe --quiet --model "$work/run/model.safetensors" --format json > "$work/test.jsonl"
python -m asr.cli score "$folder/test.tsv" "$work/test.jsonl"
