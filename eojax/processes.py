"""Start-up of several processes, before any look at the devices."""

from __future__ import annotations

import os

import jax

from eojax.errors import UserError


def start() -> None:
    """Joins the other processes of the run, if there are any.

    On TPU pods and under SLURM with several tasks no arguments are needed. Elsewhere
    `EOJAX_COORDINATOR=host:port`, `EOJAX_NUM_PROCESSES` and `EOJAX_PROCESS_ID` say it. Without any
    of these the process is alone.

    Raises:
      UserError: the variables are incomplete, or the others do not answer.
    """
    names = ('EOJAX_COORDINATOR', 'EOJAX_NUM_PROCESSES', 'EOJAX_PROCESS_ID')
    values = [os.environ.get(name, '') for name in names]
    try:
        if all(values):
            jax.distributed.initialize(values[0], int(values[1]), int(values[2]))
        elif any(values):
            missing = ', '.join(n for n, v in zip(names, values, strict=True) if not v)
            raise UserError(f'several processes need {", ".join(names)}; missing: {missing}')
        elif int(os.environ.get('SLURM_NTASKS', '1')) > 1 or _on_pod():
            jax.distributed.initialize()
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f'the processes of this run did not find each other: {reason}') from error


def _on_pod() -> bool:
    return len(os.environ.get('TPU_WORKER_HOSTNAMES', '').split(',')) > 1
