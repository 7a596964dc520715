"""Configs by name or file, and training, from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.config import command_line
from eojax.config.base import set_keys
from eojax.config.phases import keep_proportions
from eojax.config.swap import config_of, swapped
from eojax.errors import UserError
from eojax.home import expanded
from eojax.library.opened import OpenedRun, open_run
from eojax.messages import say


def load_config(
    name: str | Path = '',
    changes: Mapping[str, Any] | None = None,
    *,
    method: str = '',
    model: str = '',
    data: str = '',
    source: str = '',
    **more: Any,
) -> ConfigDict:
    """A config with what is to be changed, as `eojax.train` takes it.

    Where `steps` is changed, the phases keep their shares of it; a line on stderr says so.

    Args:
      name: of a config that comes with eojax, such as `jem_eurosat_small`; or a Python file with a
        function `get_config`, which is run. Without one, the parts alone make a config.
      changes: values by dotted key, `{'optimizer.learning_rate': 1e-3}`.
      method, model, data, source: other parts, by name, with their own defaults.
      more: values of keys at the top, `steps=300`.

    Raises:
      UserError: no such config; an unknown key, with the nearest; a value of another type.
    """
    named = {'method': method, 'model': model, 'data': data, 'source': source}
    parts, note = {part: value for part, value in named.items() if value}, ''
    if name:
        config, note = swapped(command_line.load_config(str(name)), parts)
    elif parts:
        config = config_of(parts)
    else:
        raise UserError('say which config: its name, a file, or a method, a model and a data set')
    values, steps = {**(changes or {}), **more}, config.steps
    set_keys(config, values)
    for line in filter(None, (note, keep_proportions(config, steps, values))):
        say(line)
    return config


def train(config: ConfigDict | str | Path, workdir: str | Path | None = None) -> OpenedRun:
    """Trains, evaluates and opens a run; goes on where the folder's last checkpoint is.

    Ctrl-C, or the notebook's stop button, ends it after the running steps with all of it saved:
    the same call goes on from there.

    Args:
      config: what `load_config` or `eojax.config.base_config` makes; or as for `load_config`.
      workdir: folder of the run; `runs/` and the config's name where a name or file is given.

    Raises:
      UserError: a config that cannot work, data that are not there, a folder of another run.
      KeyboardInterrupt: it was stopped, and is saved.
    """
    from eojax.devices import compilation_cache
    from eojax.runs.run import default_folder
    from eojax.training.loop import Stopped
    from eojax.training.loop import train as run_loop

    if isinstance(config, ConfigDict):
        if workdir is None:
            raise UserError('say where the run is to be kept: eojax.train(config, workdir)')
        folder = expanded(workdir)
    else:
        folder = default_folder(str(config)) if workdir is None else expanded(workdir)
        config = load_config(config)
    compilation_cache.enable()
    try:
        run_loop(config, folder)
    except Stopped as stopped:
        raise KeyboardInterrupt(f'{folder} is saved; the same call goes on') from stopped
    return open_run(folder)
