#!/usr/bin/env bash
# Makes this folder's files with the code of another commit.
# Usage: record.sh CHECKOUT OUT, where CHECKOUT is of that commit, and OUT does not exist yet.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH=$1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
mkdir "$2"
cd "$2"
cp -r "$here/../model" model
s() { python -m sam2rl_tracker "$@"; }

# A workspace with an agent (seed 1), a training that was killed after its first iteration (seed 0), a search and results.
s workspace generate workspace --count 1 --seed 930001 --frames 20 --size 64
train=(train workspace --model model --set hidden=16 --set beam=4 --samples 220 --iterations 2)
s "${train[@]}" --seed 1
python -m sam2rl_tracker "${train[@]}" --seed 0 &
checkpoint=workspace/training/scene-930001_1_seed0/checkpoint.pt
until [ -e "$checkpoint" ]; do sleep 0.01; done
kill -9 $!
s search workspace --model model --budget 300
(cd workspace && SAM2RL_MODEL=$OLDPWD/model vot evaluate --workspace . SAM2 SAM2RL)
s report workspace --json > report.json

s track workspace/sequences/scene-930001/color --box 20,20,20,20 --model model --out masks

s benchmark benchmark --model model --count 1 --searched 1 --seeds 1 --frames 6 --jobs 1 \
  --set iterations=1 --set hidden=16 --set samples=60 --set beam=1 --control-steps 60

# The training that was killed, whole.
cp -r workspace whole
rm -r whole/training whole/agents
s train whole --model model --set hidden=16 --set beam=4 --samples 220 --iterations 2 --seed 0
mkdir uninterrupted
mv whole/training/*/checkpoint.pt whole/training/*/progress.csv uninterrupted

# Out goes what is large, or no input of any command.
rm -r model whole benchmark/benchmark-*.p?? */analysis workspace/report workspace/training/*_seed1
find . \( -name .lock -o -name 'events.out.*' -o -name logs -o -name cache \) -exec rm -r {} +
