#!/usr/bin/env bash
# The bench of the method: recipes/mini_librispeech/run.sh TRAIN DEV TEST WORK [PROCESSES]
# TRAIN: LibriSpeech's train-clean-5, nothing else is learnt from. DEV: other readers of LibriSpeech's train parts, for
# every choice. TEST: test-clean, for the last figure alone. Each a folder of LibriSpeech or a manifest; where the
# folders are not there, recipes.fetch says how to get them. Goes on where it was stopped.
set -euo pipefail
train=$1 dev=$2 test=$3 work=$4 processes=${5:-2}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
here=recipes/mini_librispeech

launch=(python)
[ "$processes" = 1 ] || launch=(torchrun --nproc-per-node "$processes")

train() { # RUN CONFIG [OPTION...]
    "${launch[@]}" -m asr.cli train "$train" --dev "$dev" --out "$work/$1" --config "$here/$2" "${@:3}"
}
evaluate() { # RUN SET
    python -m recipes.english.evaluate "$2" --model "$work/$1/model.safetensors" --full-only
}

mkdir -p "$work"
python -m asr.cli data check "$train" --test "$test"
train ctc config.toml
evaluate ctc "$dev"
train crf crf.toml --start-from "$work/ctc/model.safetensors"
python -m recipes.english.tune "$dev" --model "$work/crf/model.safetensors" # sequence training wants other weights
evaluate crf "$dev"
evaluate crf "$test"
