#!/usr/bin/env bash
# The packaged detectors, from the data folder, recipes/english's synthetic speech and more real speech:
# recipes/wake_words/run.sh DATA WORK SPEECH
set -euo pipefail
data=$1 work=$2 speech=$3
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
here=$(dirname "$0")

python -m recipes.wake_words.negatives "$data" --output wakeword/data
python -m recipes.wake_words.heard
python -m recipes.wake_words.rest "$data" "$work" "$speech"

python -m recipes.wake_words.ear --out "$work/ear" --dev "$data/speech/dev.jsonl" --noise "$data/noise.jsonl" \
    --updates 3600 --evaluate-every 300 "$work/more.jsonl" "$data/speech/an4-train.jsonl" \
    "$data/synthetic/kokoro.jsonl" "$work"/{piper,flite,hibari}/manifest.jsonl
cp "$work/ear/ear.safetensors" wakeword/ear.safetensors

# goes on from the packaged weights; without --start-from and with three times the updates it begins anew
phonemes() { # RUN CONFIGURATION BEGINNING
    python -m asr.cli train --out "$work/$1" --config "$here/$2" --start-from "$3" --dev "$data/speech/dev.jsonl" \
        --noise "$data/noise.jsonl" "$work/taught.jsonl" "$data/speech/an4-train.jsonl" "$data/synthetic/kokoro.jsonl"
}
last() { ls "$work/$1"/update-*.safetensors | tail -1; }
phonemes phonemes phonemes.toml wakeword/phonemes.safetensors
phonemes phonemes-crf phonemes-crf.toml "$(last phonemes)"
python -m recipes.wake_words.phonemes "$(last phonemes-crf)"

for phrase in computer jarvis activate "hey computer" "okay house" "hello kitchen" "hey assistant" "hello robot" "open sesame"; do
    wakeword train "$phrase" --output "wakeword/models/${phrase// /-}.safetensors"
done
python -m recipes.wake_words.thresholds "$work/apart.jsonl" wakeword/models/*.safetensors
