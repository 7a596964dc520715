#!/usr/bin/env bash
# Trains on this machine: one process on all of its devices, be they CPU cores, GPUs or TPU cores.
#
#   launch/local.sh configs/jem_eurosat.py [--workdir=DIR] [--config.key=value ...]
#   JAX_PLATFORMS=cpu launch/local.sh configs/jem_eurosat_small.py
#   CUDA_VISIBLE_DEVICES=0 launch/local.sh configs/jem_eurosat.py --config.data.root=EuroSAT_RGB.zip
#
# Ctrl-C or SIGTERM saves and stops; the same command resumes. PYTHON names another interpreter than
# that of .venv (`make install`).
set -euo pipefail

if [[ $# -lt 1 || $1 == -* ]]; then
  echo "usage: ${BASH_SOURCE[0]} configs/NAME.py [flags of eojax.main]" >&2
  exit 2
fi
config=$1
shift

# Paths in the flags are relative to where the user stands; only eojax itself is found from here.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
if ! command -v "$python" >/dev/null; then
  echo "no interpreter at $python: run make install, or set PYTHON" >&2
  exit 1
fi

# exec: signals reach the training process itself.
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m eojax.main --config="$config" "$@"
