"""Maps packages to folders and puts configs and the mini checkpoint into the package.

Everything else is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

PACKAGES = ("htcl", "mini_kitti")
# Copied below the package, where htcl.shipped looks for them.
SHIPPED = (
    "configs/**/*.py",
    "projects/configs/**/*.py",
    "pretrain/mini_htcl.*",
)


class BuildWithConfigs(build_py):
    """Adds the files of SHIPPED to a built package; a checkout has them already."""

    def run(self):
        """Builds."""
        super().run()
        if self.editable_mode:
            return
        for pattern in SHIPPED:
            for source in Path().glob(pattern):
                target = Path(self.build_lib, "htcl", source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


setup(
    cmdclass={"build_py": BuildWithConfigs},
    packages=[
        "htcl.tools",
        "htcl.tools.data_converter",
        *(
            name
            for package in PACKAGES
            for name in (
                package,
                *(f"{package}.{sub}" for sub in find_packages(f"projects/{package}")),
            )
        ),
    ],
    package_dir={
        "htcl.tools": "tools",
        **{package: f"projects/{package}" for package in PACKAGES},
    },
)
