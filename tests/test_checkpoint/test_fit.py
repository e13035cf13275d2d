from __future__ import annotations

import re

import pytest
import torch
from mmengine.model import initialize
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from torch import nn

from htcl.checkpoint.fit import check_fit, list_misfits, load_weights, register_pretrained_check
from htcl.checkpoint.loading import register_checkpoint_loader
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


class TestCheckFit:
    """Twenty entries a part: ten layers with weight and bias."""

    @pytest.fixture(autouse=True)
    def loader(self):
        before = dict(CheckpointLoader._schemes)
        register_checkpoint_loader()
        yield
        CheckpointLoader._schemes = before

    @pytest.mark.parametrize(
        ("own", "file"),
        [
            ({"neck": 10}, {"neck": 10}),
            # A new part of the network, a part that it has no more.
            ({"neck": 10, "pose": 30}, {"neck": 10}),
            ({"neck": 10}, {"neck": 10, "pose": 30}),
        ],
        ids=["same", "grown", "shrunk"],
    )
    def test_fits(self, tmp_path, own, file):
        check_fit(network(own), str(saved(network(file), tmp_path / "a.pth")), 0.95, "load_from")

    def test_share(self, tmp_path):
        """Two of twenty entries have another shape: 90 %."""
        theirs = network({"neck": 10})
        theirs["neck"][3] = nn.Linear(7, 7)
        path = str(saved(theirs, tmp_path / "a.pth"))
        ours = network({"neck": 10})
        check_fit(ours, path, 0.9, "load_from")
        expected = (
            r"load_from='.*a\.pth': 18 entries fit, of 20 in the file and 20 of the network; "
            r"expected 95% of either:\n  neck: 2 entries of another shape.*load_from_min_fit=0\.9$"
        )
        with pytest.raises(InvalidValueError, match=re.compile(expected, re.S)):
            check_fit(ours, path, 0.95, "load_from")

    def test_names_that_mmengine_would_not_find(self, tmp_path):
        state = {f"net.{key}": value for key, value in network({"neck": 2}).state_dict().items()}
        torch.save({"model_state_dict": state}, tmp_path / "a.pth")
        with pytest.raises(InvalidValueError, match="0 entries fit"):
            check_fit(network({"neck": 2}), str(tmp_path / "a.pth"), 0.95, "load_from")

    def test_pretrained_part(self, tmp_path):
        """mmengine only warns; a part of a file counts alone."""
        path = str(saved(network({"neck": 2, "head": 9}), tmp_path / "a.pth"))
        before = WEIGHT_INITIALIZERS.get("Pretrained")
        register_pretrained_check()
        try:
            init = {"type": "Pretrained", "checkpoint": path, "prefix": "neck"}
            part = network({"neck": 2})["neck"]
            initialize(part, init)
            value = torch.load(path)["state_dict"]["neck.0.weight"]
            assert torch.equal(part.state_dict()["0.weight"], value)
            with pytest.raises(InvalidValueError, match="init_cfg=") as caught:
                initialize(network({"other": 2}), init)
            assert "0 entries fit" in str(caught.value)
            assert str(caught.value).endswith("init_cfg.min_fit=0.0")
            initialize(network({"other": 2}), {**init, "min_fit": 0.0})
        finally:
            WEIGHT_INITIALIZERS.register_module(name="Pretrained", module=before, force=True)
