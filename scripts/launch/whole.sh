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

# A shell passes no signal on by itself. Before there is anything to stop, all of it is left to do.
pass_on() {
    [ -n "${!-}" ] || exit 75
    asked=yes
    kill -"$1" "$!"
}
trap 'pass_on TERM' TERM
trap 'pass_on INT' INT
trap 'pass_on USR1' USR1

python -m apps.train "run=$run" "train.steps=$steps" "$@" &
child=$!

asked=yes
while [ -n "$asked" ]; do # a signal ends the waiting, with a code of its own
    asked=
    wait "$child"
    code=$?
done

if [ "$code" -ne 0 ]; then
    exit "$code"
fi
[ -d "$run/checkpoints/$steps" ] || exit 75
