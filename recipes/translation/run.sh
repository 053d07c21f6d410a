#!/bin/sh
# Three models from French to English, and what they are worth: recipes/translation/run.sh DATA WORK
# Forty minutes of training on one core, then the tables.
set -e
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
python -m recipes.translation.train "$1/text/fra-eng.txt.xz" "$2" --attention additive
python -m recipes.translation.train "$1/text/fra-eng.txt.xz" "$2" --attention none
python -m recipes.translation.train "$1/text/fra-eng.txt.xz" "$2" --attention dot
python -m recipes.translation.evaluate "$1/text/fra-eng.txt.xz" "$2"
