from __future__ import annotations

import pytest
import torch

from htcl.checkpoint.publishing import halve, publish


def test_weights_shrink_and_counters_stay():
    state = {"w": torch.tensor([1.0, 0.1]), "bn.num_batches_tracked": torch.tensor(70000)}
    small = halve(state)
    assert small["w"].dtype == torch.float16
    # float16 has 11 significant bits: an error of at most 2^-11 of the value.
    assert abs(small["w"][1].item() - 0.1) <= 0.1 * 2**-11
    assert small["bn.num_batches_tracked"].item() == 70000


@pytest.mark.parametrize("value", [7e4, float("nan")])
def test_weights_that_do_not_fit_are_named(value):
    with pytest.raises(ValueError, match=r"float16.*layer\.weight"):
        halve({"fine": torch.ones(1), "layer.weight": torch.tensor([value])})


def test_file_has_weights_and_origin_only(tmp_path):
    source, target = tmp_path / "iter_3.pth", tmp_path / "new" / "small.pth"
    meta = {"iter": 3, "seed": 5, "cfg": "long text"}
    torch.save({"state_dict": {"w": torch.ones(2)}, "optimizer": {}, "meta": meta}, source)
    assert publish(source, target) == {"iter": 3, "seed": 5}
    content = torch.load(target, weights_only=True)
    assert set(content) == {"state_dict", "meta"}
    assert content["meta"] == {"iter": 3, "seed": 5}
