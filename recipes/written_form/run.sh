#!/bin/sh
# The packaged writer of numbers, anew: recipes/written_form/run.sh WORK LEARN.txt... -- FOUND.tsv PLAIN.txt
# LEARN: text with case and figures; FOUND: pairs, written TAB spoken; PLAIN: any text. About half an hour of one core.
set -e
work=$1
shift
learn=
while [ "$1" != "--" ]; do learn="$learn $1"; shift; done
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
[ -f "$work/pairs.tsv" ] || python -m recipes.written_form.prepare "$work" $learn
python -m recipes.written_form.train "$work" "$work/run"
cp "$work/run/model.safetensors" asr/models/english-numbers.safetensors
python -m recipes.written_form.evaluate asr/models/english-numbers.safetensors made "$2" "plain:$3"
