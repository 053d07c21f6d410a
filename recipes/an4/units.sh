#!/usr/bin/env bash
# Letters, subwords and phonemes as units, each for as many updates: recipes/an4/units.sh TRAIN TEST WORK [UPDATES [CONFIG]]
# Goes on where it was stopped; UPDATES and CONFIG must then be the same.
set -euo pipefail
train=$1 test=$2 work=$3 updates=${4:-3600} config=${5:-recipes/an4/config.toml}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

mkdir -p "$work"
for units in letters subwords phonemes; do
    sed -e "s/^\[model\]/[model]\nunits = \"$units\"\npieces = 100/" -e "s/^updates = 2000/updates = $((updates * 5 / 9))/" \
        -e "s/^updates = 1600/updates = $((updates - updates * 5 / 9))/" "$config" > "$work/$units.toml"
    python -m asr.cli train "$train" --out "$work/$units" --config "$work/$units.toml"
    echo "units: $units"
    python -m recipes.an4.evaluate "$work/$units/model.safetensors" "$train" "$test"
done
