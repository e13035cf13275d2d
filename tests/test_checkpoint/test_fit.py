from __future__ import annotations

import pytest
import torch
from torch import nn

from htcl.checkpoint.fit import list_misfits, load_weights
from htcl.errors import InvalidValueError, MissingFileError


def network(parts: dict[str, int], width: int = 3) -> nn.Module:
    """Parts of some layers each."""
    layers = {
        name: nn.ModuleList(nn.Linear(2, width) for _ in range(count))
        for name, count in parts.items()
    }
    return nn.ModuleDict(layers)


def saved(model: nn.Module, path, **entries):
    torch.save({"state_dict": {**model.state_dict(), **entries}}, path)
    return path


def test_what_fits_is_loaded(tmp_path):
    ours, theirs = network({"neck": 2}), network({"neck": 2})
    load_weights(ours, saved(theirs, tmp_path / "a.pth"), "c.py")
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, rtol=0, atol=0)


def test_differences_are_summed_up_by_part():
    ours, theirs = network({"neck": 3, "head": 1, "same": 1}), network({"stereo": 2, "same": 1})
    theirs["head"] = network({"head": 1}, width=5)["head"]
    lines = list_misfits(theirs.state_dict(), ours.state_dict())
    assert lines == [
        "neck: 6 entries missing in the file, such as neck.0.weight",
        "head: 2 entries of another shape, such as head.0.weight: (5, 2) in the file, "
        "(3, 2) expected",
        "stereo: 4 entries unknown to the network, such as stereo.0.weight",
    ]


def test_the_message_is_short(tmp_path):
    """Whatever the number of entries and parts."""
    ours = network({f"part_{n}": 30 for n in range(40)})
    path = saved(network({f"other_{n}": 30 for n in range(40)}), tmp_path / "a.pth")
    with pytest.raises(InvalidValueError, match=r"does not fit config 'c\.py'") as caught:
        load_weights(ours, path, "c.py")
    assert len(str(caught.value)) < 5000
    assert "part_0: 60 entries missing" in str(caught.value) and "60 more" in str(caught.value)


def test_no_such_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.pth' does not exist"):
        load_weights(network({}), tmp_path / "none.pth", "c.py")
