#!/bin/sh
# The packaged encoder's attention decoder, anew: recipes/attention/run.sh DATA WORK [MANIFEST_OF_SYNTHETIC_SPEECH...]
# 20 minutes of training on one core, then the comparison.
set -e
data=$1 work=$2
shift 2
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
python -m recipes.attention.train --out "$work" --minutes 20 --dev "$data/speech/dev.jsonl" --noise "$data/noise.jsonl" \
  "$data/speech/train.jsonl" "$data/speech/an4-train.jsonl" "$data/synthetic/kokoro.jsonl" "$@"
cp "$work/english-attention.safetensors" asr/models/
python -m recipes.attention.evaluate "$data/speech/dev.jsonl"
