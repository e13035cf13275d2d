from __future__ import annotations

import pytest
import torch

from htcl.losses.class_sums import _SumByClass, class_sums

pytestmark = pytest.mark.usefixtures("operators")


def _data(batch=2, classes=5):
    torch.manual_seed(0)
    logits = torch.randn(batch, classes, 3, 2, 2)
    target = torch.randint(0, classes, (batch, 3, 2, 2), dtype=torch.uint8)
    target[0, 0] = 255
    return logits, target


def _plain(logits, target):
    """The sums by one-hot multiplication, as plain autograd would have them."""
    probs = logits.softmax(dim=1)
    valid = (target != 255).unsqueeze(1)
    one_hot = torch.stack([target == c for c in range(logits.shape[1])], dim=1)
    axes = (0, 2, 3, 4)
    return (
        (probs * valid).sum(axes),
        (probs * one_hot).sum(axes),
        (logits.log_softmax(dim=1) * one_hot).sum(axes),
        one_hot.sum(axes),
    )


def _in_order(sums):
    return sums if isinstance(sums, tuple) else tuple(vars(sums).values())


def test_equals_the_plain_sums_and_gradients():
    logits, target = _data()
    weights = torch.randn(3, 5)
    gradients = []
    for sums in (class_sums, _plain):
        x = logits.clone().requires_grad_()
        result = _in_order(sums(x, target))
        gradients.append(
            torch.autograd.grad(
                sum((w * s).sum() for w, s in zip(weights, result[:3], strict=True)), x
            )[0]
        )
    mine_sums = _in_order(class_sums(logits, target))
    for mine, plain in zip(mine_sums, _plain(logits, target), strict=True):
        torch.testing.assert_close(mine, plain.double(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_any_number_may_mean_not_scored():
    logits, target = _data()
    results = []
    for ignore_index in (255, -100, 7):
        x = logits.clone().requires_grad_()
        labels = torch.where(target == 255, ignore_index, target.long())
        sums = _in_order(class_sums(x, labels, ignore_index))
        gradient = torch.autograd.grad(sum(s.square().sum() for s in sums[:3]), x)[0]
        results.append((*(s.detach() for s in sums), gradient))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0])


def test_gradient_by_finite_differences():
    logits, target = _data(batch=1, classes=3)
    target = torch.where(target == 255, 255, target % 3)
    log_probs = logits.double().log_softmax(dim=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: _SumByClass.apply(x, target, 255)[:3], log_probs)


def test_two_voxels_by_hand():
    """Uniform over 4 classes: every probability is 1/4."""
    sums = class_sums(torch.zeros(1, 4, 2, 1, 1), torch.tensor([1, 3]).view(1, 2, 1, 1))
    assert sums.predicted.tolist() == [0.5] * 4
    assert sums.matched.tolist() == [0, 0.25, 0, 0.25]
    assert sums.count.tolist() == [0, 1, 0, 1]


def test_inputs_stay_as_they_are():
    logits, target = _data()
    copies = logits.clone(), target.clone()
    class_sums(logits, target)
    assert torch.equal(logits, copies[0])
    assert torch.equal(target, copies[1])


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="resize the logits"):
        class_sums(torch.zeros(1, 4, 2, 2, 2), torch.zeros(1, 4, 4, 4))


def test_a_class_masked_by_infinity_costs_nothing():
    logits = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [-torch.inf, -torch.inf]]])
    sums = class_sums(logits, torch.tensor([[0, 1]]))
    assert sums.predicted.tolist() == [1, 1, 0]
    assert sums.log_matched[2] == 0 and sums.log_matched.isfinite().all()
