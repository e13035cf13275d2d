from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader

from htcl.checkpoint.loading import (
    load_checkpoint_file,
    load_from_local,
    register_checkpoint_loader,
)
from htcl.errors import InvalidValueError, MissingFileError


class RunsCode:
    """What a malicious file would hold: unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


class ReadsAttribute:
    def __reduce__(self):
        return getattr, (HistoryBuffer, "register_statistics")


def save(content, path, **kwargs):
    torch.save(content, path, **kwargs)
    return path


def test_plain_content(tmp_path):
    content = {"state_dict": {"a": torch.arange(3)}, "meta": {"epoch": 2, "cfg": "x = 1"}}
    loaded = load_checkpoint_file(save(content, tmp_path / "a.pth"))
    assert loaded["meta"] == content["meta"]
    assert loaded["state_dict"]["a"].tolist() == [0, 1, 2]


def test_logged_values_of_mmengine(tmp_path):
    hub = MessageHub("test_loading")
    for value in (1.0, 3.0):
        hub.update_scalar("loss", value)
    content = {"message_hub": hub.state_dict(), "best": np.float64(0.5), "n": np.arange(2)}
    loaded = load_checkpoint_file(save(content, tmp_path / "a.pth"))
    assert loaded["message_hub"]["log_scalars"]["loss"].mean() == 2
    assert loaded["best"] == 0.5
    assert loaded["n"].tolist() == [0, 1]


def test_numpy_1_names(tmp_path):
    """Released checkpoints are older than numpy 2, which moved its private modules."""
    path = save({"best": np.float64(0.5)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    old = path.read_bytes().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    path.write_bytes(old)
    assert b"numpy.core.multiarray" in old
    assert load_checkpoint_file(path)["best"] == 0.5


@pytest.mark.parametrize("new_format", [True, False], ids=["zip", "legacy"])
def test_code_is_refused_and_not_run(tmp_path, new_format):
    content = {"state_dict": {"a": torch.ones(1)}, "meta": RunsCode(tmp_path / "made")}
    path = save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=new_format)
    with pytest.raises(InvalidValueError, match=r"refused.*mkdir.*foreign code.*state dict alone"):
        load_checkpoint_file(path)
    assert not (tmp_path / "made").exists()


def test_getattr_is_limited_to_statistics(tmp_path):
    with pytest.raises(InvalidValueError, match=r"refused.*register_statistics.*not allowed"):
        load_checkpoint_file(save({"a": ReadsAttribute()}, tmp_path / "a.pth"))


def test_unreadable_files(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.pth"):
        load_checkpoint_file(tmp_path / "nowhere.pth")
    path = tmp_path / "a.pth"
    path.write_bytes(b"")
    with pytest.raises(InvalidValueError, match="not a readable checkpoint"):
        load_checkpoint_file(path)
    path.write_text("<html>Google Drive: quota exceeded</html>")
    with pytest.raises(InvalidValueError, match=r"a\.pth"):
        load_checkpoint_file(path)
    path.write_text("hello\n")
    with pytest.raises(InvalidValueError, match=r"a\.pth' is not a readable .*: its content"):
        load_checkpoint_file(path)
    save({"a": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InvalidValueError, match="not a readable checkpoint"):
        load_checkpoint_file(path)
    with pytest.raises(InvalidValueError, match="holds a list"):
        load_checkpoint_file(save([1], path))
    path.write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(InvalidValueError, match=r"a\.pth"):
        load_checkpoint_file(path)


def test_older_files_of_ours(tmp_path):
    """The point head once was a part of the voxel head."""
    old, new = "head.point_supervision.mixing.weight", "point_head.mixing.weight"
    state = {old: torch.ones(1), "head.stem.conv.weight": torch.ones(1)}
    content = {"state_dict": state, "ema_state_dict": {f"module.{old}": torch.zeros(1)}}
    loaded = load_checkpoint_file(save(content, tmp_path / "a.pth"))
    assert list(loaded["state_dict"]) == [new, "head.stem.conv.weight"]
    assert list(loaded["ema_state_dict"]) == [f"module.{new}"]
    assert list(load_checkpoint_file(save(state, tmp_path / "bare.pth"))) == [
        new,
        "head.stem.conv.weight",
    ]


def test_mmengine_reads_through_the_loader(tmp_path, capsys):
    """A released file is renamed on the fly and said to be; another one passes as it is."""
    key = "module.pts_bbox_head.occ_convs.0.3.weight"
    path = str(save({"state_dict": {key: torch.ones(1)}}, tmp_path / "released.pth"))
    ours = str(save({"state_dict": {"head.x": torch.ones(1)}, "optimizer": {}}, tmp_path / "o.pth"))
    before = dict(CheckpointLoader._schemes)
    try:
        register_checkpoint_loader()
        content = CheckpointLoader.load_checkpoint(path, map_location="cpu", logger=None)
        assert set(CheckpointLoader.load_checkpoint(ours, logger=None)) == {
            "state_dict",
            "optimizer",
        }
    finally:
        CheckpointLoader._schemes = before
    assert list(content["state_dict"]) == ["head.classifier.weight"]


def test_the_loader_says_so(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("htcl.checkpoint.loading.print_log", lambda text, **_: said.append(text))
    state = {
        "pts_bbox_head.img_feat_reduce.bias": torch.ones(1),
        "img_view_transformer.dx": torch.ones(3),
    }
    load_from_local(str(save(state, tmp_path / "a.pth")))
    assert "is a released HTCL checkpoint: 1 entries renamed, 1 constants dropped" in said[0]
