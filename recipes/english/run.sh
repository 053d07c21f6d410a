#!/usr/bin/env bash
# From the data folder to the packaged model: recipes/english/run.sh DATA WORK [PROCESSES]
# DATA: speech/, synthetic/, noise.jsonl and text/ as in this folder's README. Each step goes on where it was stopped.
set -euo pipefail
data=$1 work=$2 processes=${3:-2}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
held_out="$data/speech/dev.jsonl $data/speech/an4-test.jsonl"

synthesize() { # VOICE HOURS SEED
    python -m recipes.english.synthesize "$work/$1" --text "$data/text" --voice "$1" --hours "$2" --seed "$3" \
        --held-out $held_out
}
synthesize hibari 45 1
synthesize flite 6 2
synthesize piper 2 3
synthesize kokoro 1 4

torchrun --nproc-per-node "$processes" -m asr.cli train --config recipes/english/config.toml \
    --out "$work/run" \
    --dev "$data/speech/dev.jsonl" --noise "$data/noise.jsonl" \
    "$data/speech/train.jsonl" "$data/speech/an4-train.jsonl" "$data/synthetic/kokoro.jsonl" \
    "$work"/{kokoro,piper,flite,hibari}/manifest.jsonl
# by CTC-CRF, with MORE: manifests of further speech, as docs/data.md names it
torchrun --nproc-per-node "$processes" -m asr.cli train --config recipes/english/crf.toml \
    --start-from "$work/run/model.safetensors" --out "$work/crf" \
    --dev "$data/speech/dev.jsonl" --noise "$data/noise.jsonl" \
    "$data/speech/train.jsonl" "$data/speech/an4-train.jsonl" "$data/synthetic/kokoro.jsonl" ${MORE:-}
# and on by consistency: two views of each utterance agree
torchrun --nproc-per-node "$processes" -m asr.cli train --config recipes/english/consistency.toml \
    --start-from "$work/crf/model.safetensors" --out "$work/consistency" \
    --dev "$data/speech/dev.jsonl" --noise "$data/noise.jsonl" \
    "$data/speech/train.jsonl" "$data/speech/an4-train.jsonl" "$data/synthetic/kokoro.jsonl" ${MORE:-}
# a larger model that begins with the mean of these two: four layers of 384 instead of three of 320
python -m recipes.english.package "$(ls "$work"/consistency/update-*.safetensors | tail -n 1)" \
    --mean "$work/crf/model.safetensors" "$data/speech/train.jsonl" "$work/small.safetensors"
python -m recipes.english.grow "$work/small.safetensors" "$work/begin.safetensors" --layers 4 --hidden 384
torchrun --nproc-per-node "$processes" -m asr.cli train --config recipes/english/grown.toml \
    --start-from "$work/begin.safetensors" --out "$work/grown" \
    --dev "$data/speech/dev.jsonl" --noise "$data/noise.jsonl" \
    "$data/speech/train.jsonl" "$data/speech/an4-train.jsonl" "$data/synthetic/kokoro.jsonl" ${MORE:-}
# and on with an answer every 30 ms instead of every 40
torchrun --nproc-per-node "$processes" -m asr.cli train --config recipes/english/thirty.toml \
    --start-from "$(ls "$work"/grown/update-*.safetensors | tail -n 1)" --out "$work/thirty" \
    --dev "$data/speech/dev.jsonl" --noise "$data/noise.jsonl" \
    "$data/speech/train.jsonl" "$data/speech/an4-train.jsonl" "$data/synthetic/kokoro.jsonl" ${MORE:-}
# and without dropout
torchrun --nproc-per-node "$processes" -m asr.cli train --config recipes/english/undropped.toml \
    --start-from "$(ls "$work"/thirty/update-*.safetensors | tail -n 1)" --out "$work/undropped" \
    --dev "$data/speech/dev.jsonl" --noise "$data/noise.jsonl" \
    "$data/speech/train.jsonl" "$data/speech/an4-train.jsonl" "$data/synthetic/kokoro.jsonl" ${MORE:-}
python -m recipes.english.package "$work/undropped/model.safetensors" \
    "$data/speech/train.jsonl" asr/models/english.safetensors --int8
python -m recipes.english.tune "$data/speech/dev.jsonl"
python -m recipes.english.confidence "$data/speech/dev.jsonl"
python -m recipes.wake_words.heard
python -m recipes.english.evaluate "$data/speech/dev.jsonl"
