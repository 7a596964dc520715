"""The beginning of a training: whether a folder may hold it, and the files that say what it is."""

from __future__ import annotations

from eojax.devices import processes, sharding
from eojax.runs import contents, domains
from eojax.runs import run as runs
from eojax.runs.known import FILE, read_known, verify_facts, write_known
from eojax.runs.run import Run


def check_data(run: Run) -> None:
    """Refuses other data than the run began with; a run that begins takes any. Nothing is written.

    Raises:
      UserError: other classes, rasters, labels, sizes or parts, by name.
    """
    assert run.domains is not None  # whoever trains has read them
    if (run.folder / FILE).exists():
        for group, one in read_known(run.folder).items():
            verify_facts(f'{run.folder}, {group}', one.facts, run.known[group].facts)
    domains.verify(run.domains, run.folder)
    for group, domain in run.domains.items():
        contents.verify(run.folder, group, domain)


def write_beginning(run: Run) -> None:
    """Writes all that says what a run is to its folder, once everything has been checked.

    Raises:
      UserError: the folder holds a run of another config.
    """
    assert run.domains is not None
    runs.open_folder(run.folder, run.config)
    domains.keep(run.domains, run.folder)
    contents.keep(run.domains, run.folder)
    processes.wait_for_first()
    if sharding.is_main_process():
        write_known(run.folder, run.known)
