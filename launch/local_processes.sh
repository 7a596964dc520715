#!/usr/bin/env bash
# Trains with several processes on this machine, joined over loopback: a try of everything that a
# cluster does.
#
#   launch/local_processes.sh N [DEVICES PER PROCESS] -- ARGUMENTS OF eojax.main
#   launch/local_processes.sh 2 2 -- --config=configs/quickstart.py --workdir=runs/two
#
# The devices are CPU devices, 1 for each process if not given, whatever the number of cores. With
# JAX_PLATFORMS=cuda they are GPUs: process i takes the i-th share of CUDA_VISIBLE_DEVICES.
#
# Process 0 writes here, the others to files in EOJAX_LOGS (default: a new temporary folder). Ctrl-C
# and SIGTERM reach all of them, which save and stop; the same command resumes, and so does another
# number of processes. The exit code is the first that is not 0: from then on the others have
# EOJAX_GRACE seconds (default 120) to end by themselves. PYTHON names another interpreter than that
# of .venv.
set -euo pipefail

fail() {
  echo "local_processes.sh: $1" >&2
  exit 2
}

usage="usage: ${BASH_SOURCE[0]} N [devices per process] -- --config=configs/NAME.py [flags of eojax.main]"
positive='^[1-9][0-9]*$'
[[ ${1-} =~ $positive ]] || fail "$usage"
processes=$1 devices=1
shift
if [[ ${1-} != -- ]]; then
  [[ ${1-} =~ $positive ]] || fail "$usage"
  devices=$1
  shift
fi
[[ ${1-} == -- && $# -gt 1 ]] || fail "$usage"
shift
grace=${EOJAX_GRACE:-120}
[[ $grace =~ ^[0-9]+$ ]] || fail "EOJAX_GRACE is a number of seconds, not $grace"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
command -v "$python" >/dev/null || fail "no interpreter at $python: run make install, or set PYTHON"
logs=${EOJAX_LOGS:-$(mktemp -d "${TMPDIR:-/tmp}/eojax-processes.XXXXXX")}
mkdir -p "$logs"

# A port on which nobody answers, below those that the kernel gives to outgoing connections.
free_port() {
  local port
  for _ in {1..100}; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  fail 'no free port between 20000 and 32000'
}

export JAX_PLATFORMS=${JAX_PLATFORMS:-cpu}
EOJAX_COORDINATOR=127.0.0.1:$(free_port)
export EOJAX_COORDINATOR EOJAX_NUM_PROCESSES=$processes
export XLA_FLAGS="${XLA_FLAGS:+$XLA_FLAGS }--xla_force_host_platform_device_count=$devices"
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}

# The i-th share of the GPUs, as CUDA_VISIBLE_DEVICES wants them.
gpus_of() {
  local all=() first=$(($1 * devices)) share
  if [[ -n ${CUDA_VISIBLE_DEVICES-} ]]; then
    IFS=, read -ra all <<<"$CUDA_VISIBLE_DEVICES"
  else
    mapfile -t all < <(seq 0 $((processes * devices - 1)))
  fi
  ((first + devices <= ${#all[@]})) || fail "$processes x $devices GPUs asked for, ${#all[@]} given"
  share=$(printf ',%s' "${all[@]:first:devices}")
  echo "${share:1}"
}

# Where it exists, the kernel ends a child whose script was killed outright.
tied=()
if command -v setpriv >/dev/null && setpriv --pdeathsig KILL true 2>/dev/null; then
  tied=(setpriv --pdeathsig KILL)
fi

running=() # of process i: its id, or nothing once it has ended
# shellcheck disable=SC2329  # called by traps
pass_on() {
  local pid
  for pid in "${running[@]}"; do
    [[ -z $pid ]] || kill "-$1" "$pid" 2>/dev/null || true
  done
}

# Whole groups: a process may have started workers.
# shellcheck disable=SC2329
kill_all() {
  local pid
  for pid in "${groups[@]}"; do
    kill -KILL -- "-$pid" 2>/dev/null || true
  done
}

# A group for each process: Ctrl-C comes here alone, and is passed on once.
set -m
groups=()
trap kill_all EXIT
for ((i = 0; i < processes; i++)); do
  export EOJAX_PROCESS_ID=$i
  if [[ $JAX_PLATFORMS == cuda* ]]; then
    share=$(gpus_of "$i")
    run=(env "CUDA_VISIBLE_DEVICES=$share" "${tied[@]}" "$python" -m eojax.main "$@")
  else
    run=("${tied[@]}" "$python" -m eojax.main "$@")
  fi
  if ((i == 0)); then
    "${run[@]}" </dev/null &
  else
    "${run[@]}" </dev/null >"$logs/process_$i.log" 2>&1 &
  fi
  running[i]=$!
  groups[i]=$!
done
# From here on; before, a signal ends this script, and with it those that have started.
trap 'pass_on TERM' TERM HUP
trap 'pass_on INT' INT
if ((processes > 1)); then
  echo "local_processes.sh: the output of processes 1 to $((processes - 1)) is in $logs" >&2
fi

code=0 deadline=
left=$processes
while ((left > 0)); do
  for ((i = 0; i < processes; i++)); do
    pid=${running[i]}
    if [[ -z $pid ]] || kill -0 "$pid" 2>/dev/null; then
      continue
    fi
    ended=0
    wait "$pid" 2>/dev/null || ended=$?
    running[i]=
    left=$((left - 1))
    if ((ended != 0 && code == 0)); then
      code=$ended
      deadline=$((SECONDS + grace))
      echo "local_processes.sh: process $i ended with code $ended" >&2
      # What it said last, where it did not say it here.
      if ((i > 0)); then
        tail -n 5 "$logs/process_$i.log" | sed "s/^/  [$i] /" >&2
      fi
    fi
  done
  if [[ -n $deadline ]] && ((left > 0 && SECONDS >= deadline)); then
    echo "local_processes.sh: $left process(es) did not end within $grace s: killed" >&2
    break
  fi
  ((left == 0)) || sleep 0.1
done
exit "$code"
