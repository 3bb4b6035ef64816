#!/usr/bin/env bash
# Trains until the last step, and tells a scheduler whether that was reached.
#
#     whole.sh RUN STEPS WORDS...
#
# RUN is the run's folder, STEPS its train.steps, WORDS are further settings of apps.train. A run
# that was asked to stop has saved and ends well, so its exit code cannot say that work is left.
# Here it can: 0 once the last step is saved, 75 ("try again") after a stop, else the run's own.
set -u
run=$1
steps=$2
shift 2

python -m apps.train "run=$run" "train.steps=$steps" "$@" &
child=$!
# A shell passes no signal on by itself.
trap 'kill -TERM "$child"' TERM
trap 'kill -INT "$child"' INT
trap 'kill -USR1 "$child"' USR1

code=0
while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break # else a signal came, and the run is saving
done

if [ "$code" -ne 0 ]; then
    exit "$code"
fi
[ -d "$run/checkpoints/$steps" ] || exit 75
