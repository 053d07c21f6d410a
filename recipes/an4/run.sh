#!/usr/bin/env bash
# AN4 from its train split alone: recipes/an4/run.sh TRAIN TEST WORK [PROCESSES]
# TRAIN and TEST: a manifest, a Kaldi data folder, or whatever else `asr data check` reads. Goes on where it was stopped.
set -euo pipefail
train=$1 test=$2 work=$3 processes=${4:-1}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
launch=(python)
[ "$processes" = 1 ] || launch=(torchrun --nproc-per-node "$processes")

mkdir -p "$work"
python -m asr.cli data check "$train" --test "$test"
"${launch[@]}" -m asr.cli train "$train" --out "$work/run" --config recipes/an4/config.toml
python -m recipes.an4.evaluate "$work/run/model.safetensors" "$train" "$test"
