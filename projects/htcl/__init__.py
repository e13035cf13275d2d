"""HTCL: hierarchical temporal context learning for camera-based 3D semantic scene completion.

``htcl.plugin`` registers everything with mmdetection3d; configs name it in ``custom_imports``. This
package itself imports nothing, so that a tool which needs one part does not wait for all.
"""

import os
from importlib import import_module
from typing import Any

# PyTorch asks Linux for huge pages then. The network's volumes have hundreds of megabytes, which
# otherwise come, and are wiped, in pages of 4 KiB: on a CPU that may take longer than the work.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """``htcl.HTCLInferencer``, imported when it is first asked for."""
    if name == "HTCLInferencer":
        return import_module("htcl.apis").HTCLInferencer
    raise AttributeError(f"module 'htcl' has no attribute {name!r}")
