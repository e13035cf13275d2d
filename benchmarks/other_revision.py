"""Another revision of the repository, laid out to be measured beside this one."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from htcl.errors import InvalidValueError

ROOT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def other_tree(revision: str) -> Iterator[tuple[Path, str]]:
    """Lays another revision out in a temporary folder.

    Args:
        revision: A name that git knows.

    Yields:
        The folder, and the abbreviated commit.

    Raises:
        InvalidValueError: If there is no such revision, or no repository.
    """

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(ROOT), "-c", "core.hooksPath=/dev/null", *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise InvalidValueError("--against needs git, which is not installed") from error

    known = git("rev-parse", "--short", "--verify", "--quiet", f"{revision}^{{commit}}")
    if known.returncode:
        raise InvalidValueError(f"--against {revision}: git knows no such revision in {ROOT}")
    with tempfile.TemporaryDirectory(prefix="htcl_against_") as folder:
        tree = Path(folder) / "tree"
        made = git("worktree", "add", "--detach", str(tree), revision)
        if made.returncode:
            raise InvalidValueError(f"--against {revision}: {made.stderr.strip()}")
        try:
            yield tree, known.stdout.strip()
        finally:
            git("worktree", "remove", "--force", str(tree))
