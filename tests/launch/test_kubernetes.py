"""The manifest: its parts fit together, and its command starts eojax as `devices.processes`
wants."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.launch.commands import LAUNCH, environment, write_command

yaml = pytest.importorskip('yaml', reason='PyYAML is not installed')


@pytest.fixture(scope='module')
def parts() -> tuple[dict[str, Any], dict[str, Any]]:
    """The Service and the Job."""
    service, job = yaml.safe_load_all((LAUNCH / 'kubernetes.yaml').read_text())
    assert (service['kind'], service['apiVersion']) == ('Service', 'v1')
    assert (job['kind'], job['apiVersion']) == ('Job', 'batch/v1')
    return service, job


def _pod(job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    pod = job['spec']['template']['spec']
    (container,) = pod['containers']
    return pod, container


def test_the_coordinator_is_pod_0_by_the_name_that_the_service_gives_it(parts: Any) -> None:
    service, job = parts
    pod, container = _pod(job)
    variables = {v['name']: v['value'] for v in container['env']}
    host, port = variables['EOJAX_COORDINATOR'].split(':')
    assert host == f'{job["metadata"]["name"]}-0.{pod["subdomain"]}'
    assert pod['subdomain'] == service['metadata']['name']
    assert service['spec']['clusterIP'] == 'None'
    assert service['spec']['publishNotReadyAddresses'] is True
    assert service['spec']['selector'] == {'job-name': job['metadata']['name']}
    assert [p['port'] for p in service['spec']['ports']] == [int(port)]
    assert [p['containerPort'] for p in container['ports']] == [int(port)]


def test_all_pods_are_counted_and_run_at_once(parts: Any) -> None:
    spec = parts[1]['spec']
    _, container = _pod(parts[1])
    variables = {v['name']: v['value'] for v in container['env']}
    assert spec['completionMode'] == 'Indexed'
    assert spec['completions'] == spec['parallelism'] == int(variables['EOJAX_NUM_PROCESSES'])
    assert all(isinstance(value, str) for value in variables.values())  # else it is refused


def test_being_stopped_is_no_failure(parts: Any) -> None:
    spec = parts[1]['spec']
    pod, container = _pod(parts[1])
    rules = spec['podFailurePolicy']['rules']
    assert {rule['action'] for rule in rules} == {'Ignore'}
    (conditions,) = [r['onPodConditions'] for r in rules if 'onPodConditions' in r]
    assert conditions == [{'type': 'DisruptionTarget'}]
    (codes,) = [r['onExitCodes'] for r in rules if 'onExitCodes' in r]
    assert codes == {'containerName': container['name'], 'operator': 'In', 'values': [143]}
    assert pod['restartPolicy'] == 'Never'  # which a failure policy needs
    assert pod['terminationGracePeriodSeconds'] >= 60
    assert spec['backoffLimit'] >= spec['completions']


def test_runs_and_caches_lie_on_the_volume(parts: Any) -> None:
    pod, container = _pod(parts[1])
    mounts = {m['name']: m['mountPath'] for m in container['volumeMounts']}
    assert set(mounts) == {volume['name'] for volume in pod['volumes']}
    (workdir,) = [a for a in container['args'] if a.startswith('--workdir=')]
    assert workdir.startswith(f'--workdir={mounts["storage"]}/')
    (cache,) = [v['value'] for v in container['env'] if v['name'] == 'EOJAX_CACHE']
    assert cache.startswith(f'{mounts["storage"]}/')
    (config,) = [a.split('=')[1] for a in container['args'] if a.startswith('--config=')]
    assert (LAUNCH.parent / config).exists()


def test_the_command_says_who_each_pod_is_and_is_eojax_itself(parts: Any, tmp_path: Path) -> None:
    _, container = _pod(parts[1])
    write_command(
        tmp_path / 'bin' / 'python',
        'env | grep ^EOJAX_ | sort\necho "$$"\nprintf "%s\\n" "$@"',
    )
    given = {v['name']: v['value'] for v in container['env']} | {'JOB_COMPLETION_INDEX': '1'}
    process = subprocess.Popen(
        [*container['command'], *container['args'], '--config.a=b c'],
        env=environment(tmp_path, **given),
        stdout=subprocess.PIPE,
        text=True,
    )
    out, _ = process.communicate(timeout=60)
    assert process.returncode == os.EX_OK
    assert out.splitlines() == [
        'EOJAX_CACHE=/storage/cache',
        'EOJAX_COORDINATOR=eojax-0.eojax:8476',
        'EOJAX_NUM_PROCESSES=2',
        'EOJAX_PROCESS_ID=1',
        str(process.pid),  # no shell in between: signals reach it
        '-m',
        'eojax.main',
        *container['args'],
        '--config.a=b c',
    ]
