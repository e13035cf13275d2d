"""mmengine's files, written so that none is ever half there."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from htcl.files import atomic_write

# The backend's name in ``backend_args``.
ATOMIC = "htcl_atomic"


class AtomicBackend(LocalBackend):
    """Local files that appear under their names only when complete.

    ``backend_args=dict(backend=ATOMIC)`` chooses it wherever mmengine writes files.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes."""
        with atomic_write(filepath) as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Writes text."""
        self.put(obj.encode(encoding), filepath)


register_backend(ATOMIC, AtomicBackend, force=True)
