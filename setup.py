"""Maps each package to its folder under ``projects``; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

PACKAGES = ("htcl", "mini_kitti")

setup(
    packages=[
        name
        for package in PACKAGES
        for name in (package, *(f"{package}.{sub}" for sub in find_packages(f"projects/{package}")))
    ],
    package_dir={package: f"projects/{package}" for package in PACKAGES},
)
