"""Maps the package name ``htcl`` to ``projects/htcl``; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

SOURCE = "projects/htcl"

setup(
    packages=["htcl", *(f"htcl.{name}" for name in find_packages(SOURCE))],
    package_dir={"htcl": SOURCE},
)
