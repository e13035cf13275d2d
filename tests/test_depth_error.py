"""benchmarks/depth_error.py: its errors, with numbers that can be worked out."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
import torch

from htcl.losses import DepthSupervision
from htcl.models.interfaces import DepthEstimate

BINS = {"start": 2.0, "stop": 12.0, "step": 1.0}


def test_errors_by_distance(repo_root, monkeypatch):
    """One cell at 4 m (bin 2), one at 10 m (bin 8), one without a return; all predicted as 5 m."""
    monkeypatch.syspath_prepend(str(repo_root / "benchmarks"))
    tool = importlib.import_module("depth_error")
    depth_maps = torch.zeros(1, 1, 8, 24)
    depth_maps[..., 3, 4], depth_maps[..., 3, 12] = 4.0, 10.0
    prob = torch.full((1, 10, 1, 3), 0.05)
    prob[:, 3] = 0.5
    prob[:, 2] = 0.1
    depth = DepthEstimate(prob, prob, {"mono": prob})
    model = SimpleNamespace(
        data_preprocessor=lambda data, training: {"inputs": {"depth_maps": depth_maps}},
        extract_feat=lambda batch: SimpleNamespace(depth=depth),
        losses=[DepthSupervision(BINS)],
    )
    found = tool.errors(model, {"inputs": torch.zeros(1)})
    assert {name for name, _ in found} == {"mono", "fused"}
    near, far = found["fused", (2.0, 8.0)], found["fused", (8.0, 16.0)]
    assert near[0].tolist() == [1.0]
    assert far[0].tolist() == [5.0]
    assert near[1].item() == pytest.approx(2.302585)  # -ln 0.1
    assert far[1].item() == pytest.approx(2.995732)  # -ln 0.05
    assert not len(found["fused", (16.0, 30.0)][0])
