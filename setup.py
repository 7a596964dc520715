"""What pyproject.toml cannot say: `configs/` is `eojax.configs` in what is installed."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=['eojax', 'eojax.*']), 'eojax.configs'],
    package_dir={'eojax.configs': 'configs'},
)
