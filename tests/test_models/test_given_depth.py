"""Depth from files in the place of the stereo branch."""

from __future__ import annotations

import pytest
import torch
from sweep_cameras import kitti_matrix, make_cameras

from htcl.errors import InvalidValueError
from htcl.models.depth import GivenDepth
from htcl.models.interfaces import FrameInputs, required_inputs

BINS = {"start": 2.0, "stop": 5.0, "step": 1.0}


def frame(prior):
    camera = make_cameras(kitti_matrix()[None], torch.eye(3)[None], (32, 64))
    return FrameInputs(torch.zeros(1, 3, 32, 64), camera, depth_prior=prior)


def test_passes_on_what_fits():
    prior = torch.rand(1, 3, 4, 8).softmax(dim=1)
    assert GivenDepth(BINS)(frame(prior), (4, 8)) is prior


def test_resizes_to_the_maps():
    """Twice as wide: a cell between 0.2 and 0.6 is a quarter or three quarters of the way."""
    prior = torch.tensor([[0.2, 0.6], [0.5, 0.2], [0.3, 0.2]]).view(1, 3, 1, 2)
    wide = GivenDepth(BINS)(frame(prior), (1, 4))
    torch.testing.assert_close(wide[0, 0, 0], torch.tensor([0.2, 0.3, 0.5, 0.6]))
    torch.testing.assert_close(wide.sum(dim=1), torch.ones(1, 1, 4))


@pytest.mark.parametrize(("prior", "found"), [(None, "none"), (torch.ones(1, 4, 4, 8), "4 bins")])
def test_what_is_missing_is_said(prior, found):
    with pytest.raises(InvalidValueError, match=f"over 3 bins, found {found}: .*LoadDepthPrior"):
        GivenDepth(BINS)(frame(prior), (4, 8))


def test_asks_for_the_prior_of_every_moment_that_is_looked_at():
    assert required_inputs({"type": "GivenDepth"}) == {"images", "depth_prior"}
    network = {"stereo": {"type": "GivenDepth"}, "point_history": {"type": "PointHistory"}}
    assert required_inputs(network) == {
        "images",
        "depth_prior",
        "history_depth_prior",
        "history",
        "current_from_history",
    }
