#!/usr/bin/env bash
# Speech Commands, version 2: recipes/speech_commands/run.sh FOLDER WORK [CLASSES [OPTION...]]
# FOLDER holds, or gets (2.4 GB), the unpacked corpus. CLASSES: 12 (default) or 35. OPTION: of recipes.speech_commands.train.
# Goes on where it was stopped.
set -euo pipefail
folder=$1 work=$2 classes=${3:-12}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

if [ ! -f "$folder/testing_list.txt" ]; then # it is not the unpacked corpus itself
    folder=$(python -m recipes.fetch speech_commands "$folder")
fi
python -m recipes.speech_commands.train "$folder" "$work" --classes "$classes" "${@:4}"
