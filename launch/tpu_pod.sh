#!/usr/bin/env bash
# Trains on a Cloud TPU slice of any number of hosts, and goes on after a preemption.
#
#   export TPU_ZONE=us-central2-b TPU_TYPE=v4-32 TPU_BUCKET=my-bucket
#   launch/tpu_pod.sh train  NAME -- --config=configs/jem_eurosat.py   all of what follows
#   launch/tpu_pod.sh create NAME        asks for the slice in the queue and waits for it
#   launch/tpu_pod.sh copy   NAME        this checkout and its environment, to all workers
#   launch/tpu_pod.sh run    NAME -- ARGUMENTS OF eojax.main   starts it on all workers
#   launch/tpu_pod.sh wait   NAME        until it has ended; its exit code
#   launch/tpu_pod.sh logs   NAME        what worker 0 writes, as it comes
#   launch/tpu_pod.sh status NAME        of the slice, and the exit codes of what has ended
#   launch/tpu_pod.sh stop   NAME        saves and stops; `run` resumes
#   launch/tpu_pod.sh delete NAME        gives the slice back
#
# --dry-run before the command prints what it would do. Training is detached from this terminal.
# `train` may be interrupted and called again: it takes up the slice and the training that it finds.
#
# TPU_BUCKET is mounted on all workers and holds runs/ and the compiled programs, so that they
# outlive the slice: leave --workdir alone, or keep it below runs/. It wants a bucket with a
# hierarchical namespace, whose folders are renamed atomically, as saving a checkpoint does.
# TPU_SPOT=0 asks for a slice that is not preempted, TPU_VERSION names another image, TPU_POLL the
# seconds between looks, and CLOUDSDK_CORE_PROJECT the project. It needs gcloud, logged in.
set -euo pipefail

fail() {
  echo "tpu_pod.sh: $1" >&2
  exit 2
}

dry_run=
if [[ ${1-} == --dry-run ]]; then
  dry_run=1
  shift
fi
command=${1-} name=${2-}
case $command in
  train | create | copy | run | wait | logs | status | stop | delete) ;;
  *) fail "usage: ${BASH_SOURCE[0]} [--dry-run] train|create|copy|run|wait|logs|status|stop|delete NAME [-- ARGUMENTS]" ;;
esac
[[ -n $name && $name != -* ]] || fail "$command needs the slice's name"
shift 2
if [[ $command == train || $command == run ]]; then
  [[ ${1-} == -- && $# -gt 1 ]] || fail "$command NAME -- --config=configs/NAME.py [flags of eojax.main]"
  shift
fi
[[ -n ${TPU_ZONE-} ]] || fail 'set TPU_ZONE, such as us-central2-b'
[[ -n $dry_run ]] || command -v gcloud >/dev/null || fail 'gcloud is not installed'
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
poll=${TPU_POLL:-30}

say() { echo "tpu_pod.sh: $1" >&2; }

# gcloud for this slice: `on queued-resources|tpu-vm VERB ...`.
on() {
  local words=(gcloud compute tpus "$1" "$2" "$name" "--zone=$TPU_ZONE" "${@:3}")
  if [[ -n $dry_run ]]; then
    printf '%q ' "${words[@]}"
    echo
  else
    "${words[@]}"
  fi
}

everywhere() { on tpu-vm ssh --worker=all --command="$1"; }
first() { on tpu-vm ssh --worker=0 --command="$1"; }

# READY, or what else the slice is; ABSENT if there is none.
slice_state() {
  if [[ -n $dry_run ]]; then
    echo READY
  else
    on tpu-vm describe '--format=value(state)' 2>/dev/null || echo ABSENT
  fi
}

create() {
  local spot=(--spot) state
  [[ ${TPU_SPOT:-1} != 0 ]] || spot=()
  [[ -n ${TPU_TYPE-} ]] || fail 'set TPU_TYPE, such as v4-32 or v5litepod-16'
  on queued-resources create "--node-id=$name" "--accelerator-type=$TPU_TYPE" \
    "--runtime-version=${TPU_VERSION:-tpu-ubuntu2204-base}" "${spot[@]}"
  while true; do
    if [[ -n $dry_run ]]; then
      on queued-resources describe '--format=value(state.state)'
      return
    fi
    state=$(on queued-resources describe '--format=value(state.state)')
    case $state in
      ACTIVE) return ;;
      FAILED | SUSPENDED) fail "the request for $name is $state: see gcloud, then delete it" ;;
    esac
    say "$name is $state"
    sleep "$poll"
  done
}

# What a fresh worker runs: an interpreter (the image's is too old), the package, the bucket.
setup() {
  cat <<'REMOTE'
set -eu
mkdir -p ~/eojax
tar -xzf ~/eojax.tar.gz -C ~/eojax
cd ~/eojax
python3 -m pip install --quiet --user uv
[ -x .venv/bin/python ] || ~/.local/bin/uv venv --quiet --python 3.12 .venv
~/.local/bin/uv pip install --quiet --python .venv -c constraints.txt -e '.[tpu]'
REMOTE
  [[ -n ${TPU_BUCKET-} ]] || return 0
  cat <<'REMOTE'
if ! command -v gcsfuse >/dev/null; then
  packages=https://packages.cloud.google.com/apt
  key=/usr/share/keyrings/cloud.google.asc
  curl -fsSL $packages/doc/apt-key.gpg | sudo tee $key >/dev/null
  echo "deb [signed-by=$key] $packages gcsfuse-$(lsb_release -cs) main" |
    sudo tee /etc/apt/sources.list.d/gcsfuse.list >/dev/null
  sudo apt-get -qq update
  sudo apt-get -qq install -y gcsfuse
fi
mkdir -p ~/bucket
REMOTE
  printf 'mountpoint -q ~/bucket || gcsfuse --implicit-dirs %q ~/bucket\n' "$TPU_BUCKET"
  cat <<'REMOTE'
mkdir -p ~/bucket/runs ~/bucket/compiled
ln -sfn ~/bucket/runs ~/eojax/runs
REMOTE
}

# This checkout as one archive: neither .git, .venv and caches, nor runs.
pack() {
  local code=0
  tar -czf "$1" -C "$root" --exclude='./.*' --exclude=./runs --exclude=__pycache__ . || code=$?
  # GNU tar ends with 1, and packs on, where a file changed while it was read: somebody works in the
  # checkout. Other tars end with 1 for any error.
  if ((code == 1)) && [[ $(tar --version) == *'GNU tar'* ]]; then
    say 'files changed while they were packed: the workers get them as they were read'
    code=0
  fi
  return "$code"
}

copy() {
  local folder words code=0
  folder=$(mktemp -d)
  # The slice's name stands with the target here: scp FILE NAME:FILE.
  words=(gcloud compute tpus tpu-vm scp "$folder/eojax.tar.gz" "$name:eojax.tar.gz"
    "--zone=$TPU_ZONE" --worker=all)
  if [[ -n $dry_run ]]; then
    printf '%q ' "${words[@]}"
    echo
    everywhere "$(setup)"
  else
    pack "$folder/eojax.tar.gz" && "${words[@]}" && everywhere "$(setup)" || code=$?
  fi
  rm -rf "$folder"
  return "$code"
}

# Detached on every worker, with process ids, exit code and output in files. Nothing new where it
# still runs.
run() {
  everywhere "cd ~/eojax || exit 1
if [ -f runner ] && [ ! -f exit_code ] && kill -0 \"\$(cat runner)\" 2>/dev/null; then exit 0; fi
rm -f runner pid exit_code stopped
${TPU_BUCKET:+export JAX_COMPILATION_CACHE_DIR=\$HOME/bucket/compiled}
nohup setsid sh -c '\"\$@\" & echo \$! >pid; wait \$!; echo \$? >exit_code' eojax\
$(printf ' %q' .venv/bin/python -m eojax.main "$@") >>eojax.log 2>&1 </dev/null &
echo \$! >runner"
}

# What worker 0 knows: nothing while it runs, or the exit code and whether `stop` was called.
# shellcheck disable=SC2016  # the worker expands it
outcome='cd ~/eojax || exit 1
alive=$(kill -0 "$(cat runner)" 2>/dev/null && echo yes)
if [ -f exit_code ]; then cat exit_code; if [ -f stopped ]; then echo stopped; fi
elif [ -z "$alive" ]; then echo gone; fi'

# Looks until the training has ended; its exit code. 75 if the slice went, or the worker restarted,
# or somebody else than `stop` sent SIGTERM (143): the slice is then about to go.
wait_for_end() {
  local found state
  if [[ -n $dry_run ]]; then
    first "$outcome"
    return
  fi
  while true; do
    found=$(first "$outcome" 2>/dev/null || true)
    state=$(slice_state)
    if [[ $state != READY || $found == 143 || $found == gone ]]; then
      say "$name is $state, the training ${found:-out of reach}"
      return 75
    fi
    if [[ $found =~ ^([0-9]+) ]]; then
      return "${BASH_REMATCH[1]}"
    fi
    sleep "$poll"
  done
}

delete() { on queued-resources delete --force --quiet; }

# A step of `train`: what fails on a slice that is there fails for good.
try() {
  local code=0
  "$@" || code=$?
  if ((code != 0 && code != 75)) && [[ $(slice_state) == READY ]]; then
    say "$1 ended with code $code; give the slice back with: tpu_pod.sh delete $name"
    exit "$code"
  fi
  return "$code"
}

train() {
  local fresh= # whether the slice is new, or was lost
  while true; do
    if [[ -n $dry_run || $(slice_state) != READY ]]; then
      [[ -z $dry_run ]] || say 'if there is no slice, and after a preemption:'
      # What is left of a slice that was preempted, if there was one.
      delete 2>/dev/null || true
      create
      fresh=1
    fi
    if { [[ -z $fresh ]] || try copy; } && try run "$@" && try wait_for_end; then
      say "training is done; give the slice back with: tpu_pod.sh delete $name"
      return
    fi
    say 'once more from the last checkpoint'
    fresh=1
    sleep "$poll"
  done
}

case $command in
  wait) wait_for_end ;;
  logs) first 'tail -n 50 -F ~/eojax/eojax.log' ;;
  status)
    on queued-resources describe '--format=value(state.state)'
    everywhere "$outcome"
    ;;
  stop)
    # shellcheck disable=SC2016
    everywhere 'cd ~/eojax && touch stopped && kill -TERM "$(cat pid)"'
    ;;
  *) "$command" "$@" ;;
esac
