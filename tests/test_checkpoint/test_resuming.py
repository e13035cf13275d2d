"""Which checkpoint a training goes on from."""

from __future__ import annotations

import os

import pytest
import torch

from htcl.checkpoint.resuming import checkpoints_of, newest_checkpoint, point_to
from htcl.errors import InvalidValueError

STATE = {"meta": {"iter": 1, "epoch": 0}, "state_dict": {}, "message_hub": {}, "optimizer": {}}


@pytest.fixture
def work_dir(tmp_path):
    """Whole checkpoints of the steps 9 and 10, one minute apart, and the best."""
    folder = tmp_path / "work"
    folder.mkdir()
    for minute, name in enumerate(("iter_9.pth", "iter_10.pth", "best_mIoU_iter_9.pth")):
        torch.save(STATE, folder / name)
        os.utime(folder / name, (60 * minute, 60 * minute))
    point_to(folder, folder / "iter_10.pth")
    return folder


@pytest.fixture
def said(monkeypatch):
    """Warnings."""
    lines = []
    monkeypatch.setattr(
        "htcl.checkpoint.resuming.print_log", lambda text, *args, **kwargs: lines.append(text)
    )
    return lines


def tear(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_newest(work_dir, said):
    """10 comes after 9, although not in the alphabet."""
    assert newest_checkpoint(work_dir) == work_dir / "iter_10.pth"
    assert not said


@pytest.mark.parametrize(
    "pointer",
    ["", None, "/gone/iter_10.pth", "/gone/iter_77.pth", "iter_9.pth", "\\xff"],
    ids=["empty", "absent", "moved", "unknown", "older", "no text"],
)
def test_pointer_is_not_trusted(work_dir, pointer):
    file = work_dir / "last_checkpoint"
    if pointer is None:
        file.unlink()
    else:
        file.write_bytes(pointer.encode("latin1"))
    assert newest_checkpoint(work_dir) == work_dir / "iter_10.pth"


def test_pointer_of_a_copied_folder(work_dir, tmp_path):
    """The original's files, which exist, are another run's now."""
    other = tmp_path / "other"
    other.mkdir()
    torch.save(STATE, other / "iter_10.pth")
    point_to(work_dir, other / "iter_10.pth")
    assert newest_checkpoint(work_dir) == work_dir / "iter_10.pth"
    for path in work_dir.glob("iter_*"):
        path.unlink()
    assert newest_checkpoint(work_dir) == other / "iter_10.pth"


def test_a_run_that_began_anew_in_the_folder(work_dir):
    """Its step 9 is newer than step 10 of the run before it, as the pointer's file tells."""
    os.utime(work_dir / "iter_9.pth", (600, 600))
    point_to(work_dir, work_dir / "iter_9.pth")
    assert [path.name for path in checkpoints_of(work_dir)] == ["iter_9.pth", "iter_10.pth"]


def test_torn_newest(work_dir, said):
    tear(work_dir / "iter_10.pth")
    assert newest_checkpoint(work_dir) == work_dir / "iter_9.pth"
    (line,) = said
    assert str(work_dir / "iter_10.pth") in line
    assert "not a readable checkpoint" in line


def test_weights_alone_are_passed_over(work_dir, said):
    torch.save({"state_dict": {}}, work_dir / "iter_10.pth")
    assert newest_checkpoint(work_dir) == work_dir / "iter_9.pth"
    assert "iter_10.pth' holds no state of a training" in said[0]


def test_none_is_whole(work_dir, said):
    for path in work_dir.glob("iter_*"):
        tear(path)
    with pytest.raises(InvalidValueError, match=r"no checkpoint in .*work' can be gone on from"):
        newest_checkpoint(work_dir)


def test_none_at_all(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "absent") is None
    point_to(tmp_path, tmp_path / "iter_3.pth")
    assert newest_checkpoint(tmp_path) is None
