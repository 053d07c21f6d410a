#!/usr/bin/env bash
# Speech Commands, version 2: recipes/speech_commands/run.sh FOLDER WORK [CLASSES [OPTION...]]
# FOLDER holds, or gets (2.4 GB), the unpacked corpus. CLASSES: 12 (default) or 35. OPTION: of recipes.speech_commands.train.
# Goes on where it was stopped.
set -euo pipefail
folder=$1 work=$2 classes=${3:-12}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

if [ ! -f "$folder/testing_list.txt" ]; then # the archive has no folder of its own
    python -m recipes.fetch "$folder" http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz \
        af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58
fi
python -m recipes.speech_commands.train "$folder" "$work" --classes "$classes" "${@:4}"
