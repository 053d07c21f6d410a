#!/bin/sh
# The packaged writer of numbers, anew: recipes/written_form/run.sh [small] WORK LEARN.txt... -- PLAIN.txt
# LEARN: text with case and figures; PLAIN: any text. About half an hour of one core. small: a try in half a minute,
# whose model stays in WORK.
set -e
model=asr/models/english-numbers.safetensors
lines=15000 pairs=500000 updates=6000 items=2000
if [ "$1" = "small" ]; then
    shift
    model=$1/small.safetensors lines=300 pairs=4000 updates=60 items=100
fi
work=$1
shift
learn=
while [ "$1" != "--" ]; do learn="$learn $1"; shift; done
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
[ -f "$work/pairs.tsv" ] || python -m recipes.written_form.prepare "$work" $learn --lines "$lines" --pairs "$pairs"
python -m recipes.written_form.train "$work" "$work/run" --updates "$updates"
cp "$work/run/model.safetensors" "$model"
python -m recipes.written_form.evaluate "$model" made found "plain:$2" --most "$items"
