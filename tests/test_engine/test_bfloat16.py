from __future__ import annotations

import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

import htcl.engine  # noqa: F401  registers the wrapper


def _wrapper(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return OPTIM_WRAPPERS.build(
        {"type": "BFloat16OptimWrapper", "optimizer": optimizer},
    )


def test_forward_in_bfloat16_and_weights_in_float32():
    model = nn.Linear(3, 1)
    with _wrapper(model).optim_context(model):
        assert model(torch.ones(2, 3)).dtype == torch.bfloat16
    assert model(torch.ones(2, 3)).dtype == torch.float32


def test_one_step_by_hand():
    """y = w x with w = 1, x = 2: dy/dw = 2, and 1 - 0.5 * 2 = 0; all exact in bfloat16."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    wrapper = _wrapper(model)
    with wrapper.optim_context(model):
        loss = model(torch.full((1, 1), 2.0)).sum()
    wrapper.update_params(loss.float())
    assert model.weight.dtype == torch.float32
    assert model.weight.item() == 0.0
