#!/usr/bin/env bash
# LibriSpeech: recipes/librispeech/run.sh FOLDER WORK [TRAIN-SUBSET [DEV-SUBSET [TEST-SUBSET [PROCESSES [OPTION...]]]]]
# FOLDER holds, or gets, LibriSpeech/SUBSET/READER/CHAPTER. What is there is not fetched. Goes on where it was stopped.
# OPTION: of asr train.
set -euo pipefail
folder=$1 work=$2 train=${3:-train-clean-5} dev=${4:-dev-clean-2} test=${5:-test-clean} processes=${6:-1}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
launch=(python)
[ "$processes" = 1 ] || launch=(torchrun --nproc-per-node "$processes")

declare -A mini=( # Mini LibriSpeech, with checksums as https://www.openslr.org/resources/31/md5sum.txt has them
    [train-clean-5]=5df7d4e78065366204ca6845bb08f490
    [dev-clean-2]=6d7ab67ac6a1d2c993d050e16d61080d
)
for subset in "$train" "$dev" "$test"; do
    if [ -z "${mini[$subset]:-}" ]; then
        python -m recipes.fetch librispeech "$folder" "$subset"
    elif [ ! -d "$folder/LibriSpeech/$subset" ]; then
        python -m recipes.fetch "$folder" "https://www.openslr.org/resources/31/$subset.tar.gz" "${mini[$subset]}"
    fi
done

corpus=$folder/LibriSpeech
mkdir -p "$work"
python -m asr.cli data check "$corpus/$train" --test "$corpus/$test"
"${launch[@]}" -m asr.cli train "$corpus/$train" --dev "$corpus/$dev" --out "$work/run" \
    "${@:7}"
python -m asr.cli transcribe --quiet --model "$work/run/model.safetensors" --format json "$corpus/$test" > "$work/$test.jsonl"
python -m asr.cli score "$corpus/$test" "$work/$test.jsonl"
