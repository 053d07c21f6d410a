#!/usr/bin/env bash
# Letters, subwords and phonemes as units, each for as many updates: recipes/an4/units.sh TRAIN TEST WORK [UPDATES [CONFIG]]
# Goes on where it was stopped; UPDATES and CONFIG must then be the same.
set -euo pipefail
train=$1 test=$2 work=$3 updates=${4:-2200} config=${5:-recipes/an4/config.toml}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

mkdir -p "$work"
for units in letters subwords phonemes; do
    awk -v units="$units" -v first=$((updates * 3 / 5)) -v second=$((updates - updates * 3 / 5)) '
        /^updates = / { $0 = "updates = " (++stage == 1 ? first : second) }
        { print }
        /^\[model\]/ { print "units = \"" units "\"\npieces = 100" }' "$config" > "$work/$units.toml"
    python -m asr.cli train "$train" --out "$work/$units" --config "$work/$units.toml"
    echo "units: $units"
    python -m recipes.an4.evaluate "$work/$units/model.safetensors" "$train" "$test"
done
