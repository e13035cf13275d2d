from __future__ import annotations

import pytest
import torch

from htcl.errors import InvalidValueError
from htcl.geometry import DepthBins


def test_depth_bins():
    bins = DepthBins(2.0, 58.0, 0.5)
    assert bins.num == 112
    assert bins.last == 57.5
    torch.testing.assert_close(bins.values(), torch.arange(2, 58, 0.5), rtol=0, atol=0)
    assert DepthBins.build({"start": 2.0, "stop": 50.0, "step": 1.0}).num == 48
    # (1.1 - 0.8) / 0.1 is 3.0000000000000004 in binary.
    assert DepthBins(0.8, 1.1, 0.1).num == 3


@pytest.mark.parametrize("numbers", [(0.0, 5.0, 1.0), (2.0, 2.0, 1.0), (2.0, 5.0, -1.0)])
def test_depth_bins_refuse_nonsense(numbers):
    with pytest.raises(InvalidValueError, match="0 < start < stop"):
        DepthBins(*numbers)
