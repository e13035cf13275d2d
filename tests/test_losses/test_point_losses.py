from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from htcl.losses import PointCrossEntropy, PointLovasz, VoxelLovasz, VoxelPrediction

point_cross_entropy, lovasz_softmax_loss = PointCrossEntropy(), PointLovasz()


def _jaccard_extension(errors, is_class):
    """Lovasz extension of the Jaccard loss as its definition has it: sum of sorted errors times
    the growth of the loss of the set of the k worst points."""
    order = np.argsort(-errors, kind="stable")
    value, before = 0.0, 0.0
    for k in range(1, len(order) + 1):
        wrong = np.zeros(len(order), dtype=bool)
        wrong[order[:k]] = True
        hits = (is_class & ~wrong).sum()
        union = (is_class | wrong).sum()
        after = 1 - hits / union
        value += errors[order[k - 1]] * (after - before)
        before = after
    return value


def test_lovasz_equals_its_definition():
    torch.manual_seed(0)
    logits, labels = torch.randn(12, 4), torch.randint(0, 3, (12,))  # class 3 absent
    keep = labels != 0
    probs = logits.softmax(dim=1)[keep].double().numpy()
    kept = labels[keep].numpy()
    expected = np.mean(
        [_jaccard_extension(np.abs((kept == c) - probs[:, c]), kept == c) for c in (1, 2)]
    )
    assert lovasz_softmax_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_lovasz_of_a_single_scored_point():
    """One point of class 1 with p = 1/2: the error is 1/2 and the set grows from loss 0 to 1."""
    loss = lovasz_softmax_loss(torch.zeros(2, 2), torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(0.5)


def test_lovasz_of_voxels_is_that_of_their_list():
    """With another label of what is not scored: class 0 counts, 255 does not."""
    torch.manual_seed(0)
    logits, target = torch.randn(2, 4, 2, 3, 1), torch.randint(0, 4, (2, 2, 3, 1))
    target[0, 0, 0] = 255
    rows, labels = logits.movedim(1, 4).reshape(-1, 4), target.flatten()
    expected = PointLovasz(empty_class=-1)(rows[labels != 255], labels[labels != 255])
    actual = VoxelLovasz()(VoxelPrediction(logits, target))
    torch.testing.assert_close(actual, expected)


def test_cross_entropy_skips_the_ignored_label():
    torch.manual_seed(0)
    logits, labels = torch.randn(9, 4), torch.randint(0, 4, (9,))
    expected = F.cross_entropy(logits[labels != 0], labels[labels != 0])
    torch.testing.assert_close(point_cross_entropy(logits, labels), expected)


@pytest.mark.parametrize("loss", [point_cross_entropy, lovasz_softmax_loss])
@pytest.mark.parametrize("labels", [[], [0, 0, 0]])
def test_no_scored_point_is_zero_on_the_graph(loss, labels):
    logits = torch.randn(len(labels), 4, requires_grad=True)
    value = loss(logits, torch.tensor(labels, dtype=torch.long))
    assert value == 0
    value.backward()
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("loss", [point_cross_entropy, lovasz_softmax_loss])
def test_half_precision_logits_give_float32(loss):
    logits, labels = torch.randn(9, 4), torch.arange(9) % 4
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(logits.bfloat16(), labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits, labels), rtol=0.02, atol=0.02)
