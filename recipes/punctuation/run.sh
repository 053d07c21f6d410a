#!/usr/bin/env bash
# The packaged model of marks and capitals, from texts: recipes/punctuation/run.sh TEXTS COUNTS OLDER SPEECH WORK
# TEXTS, COUNTS, OLDER: see README.md. SPEECH holds train.jsonl and dev.jsonl, whose texts are left out.
set -euo pipefail
texts=$1 counts=$2 older=$3 speech=$4 work=$5
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
model=asr/models/punctuation.safetensors

[ -e "$work/words.txt" ] || python -m recipes.punctuation.prepare "$texts" "$older" --counts "$counts" \
    --without "$speech/dev.jsonl" "$speech/train.jsonl" --work "$work"
python -m recipes.punctuation.train "$work" --run "$work/run" --output "$model"
python -m recipes.punctuation.evaluate "$work"
python -m recipes.punctuation.heard "$speech/dev.jsonl"
