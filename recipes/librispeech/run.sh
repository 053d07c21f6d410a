#!/usr/bin/env bash
# LibriSpeech: recipes/librispeech/run.sh FOLDER WORK [TRAIN-SUBSET [DEV-SUBSET [TEST-SUBSET [PROCESSES [OPTION...]]]]]
# FOLDER holds, or gets, LibriSpeech/SUBSET/READER/CHAPTER. What is there is not fetched. Goes on where it was stopped.
# OPTION: of asr train.
set -euo pipefail
folder=$1 work=$2 train=${3:-train-clean-5} dev=${4:-dev-clean-2} test=${5:-test-clean} processes=${6:-1}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
launch=(python)
[ "$processes" = 1 ] || launch=(torchrun --nproc-per-node "$processes")

declare -A md5=( # as https://www.openslr.org/resources/12/md5sum.txt and .../31/md5sum.txt have them
    [train-clean-5]=5df7d4e78065366204ca6845bb08f490
    [dev-clean-2]=6d7ab67ac6a1d2c993d050e16d61080d
    [dev-clean]=42e2234ba48799c1f50f24a7926300a1
    [dev-other]=c8d0bcc9cca99d4f8b62fcc847357931
    [test-clean]=32fa31d27d2e1cad72775fee3f4849a9
    [test-other]=fb5a50374b501bb3bac4815ee91d3135
    [train-clean-100]=2a93770f6d5c6c964bc36631d331a522
    [train-clean-360]=c0e676e450a7ff2f54aeade5171606fa
    [train-other-500]=d1a0fd59409feb2c614ce4d30c387708
)
for subset in "$train" "$dev" "$test"; do
    if [ ! -d "$folder/LibriSpeech/$subset" ]; then
        [ -n "${md5[$subset]:-}" ] || { echo "no LibriSpeech/$subset in $folder, and no such subset to fetch" >&2; exit 2; }
        resource=12
        [[ $subset =~ -[25]$ ]] && resource=31 # Mini LibriSpeech
        python -m recipes.fetch "$folder" "https://www.openslr.org/resources/$resource/$subset.tar.gz" "${md5[$subset]}"
    fi
done

corpus=$folder/LibriSpeech
mkdir -p "$work"
python -m asr.cli data check "$corpus/$train" --test "$corpus/$test"
"${launch[@]}" -m asr.cli train "$corpus/$train" --dev "$corpus/$dev" --out "$work/run" \
    "${@:7}"
python -m asr.cli transcribe --quiet --model "$work/run/model.safetensors" --format json "$corpus/$test" > "$work/$test.jsonl"
python -m asr.cli score "$corpus/$test" "$work/$test.jsonl"
