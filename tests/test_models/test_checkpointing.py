"""Activation checkpointing from outside: same numbers, same names, ordinary copies."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from mmdet.models.backbones import EfficientNet
from torch import nn

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.models.backbones import VoxelResNet3D
from htcl.models.checkpointing import checkpoint_modules
from htcl.models.heads import OccupancyHead
from htcl.models.layers import HourglassEncoder
from htcl.models.necks import VoxelFPN


class Network(nn.Module):
    """A few parts, with batch norms, dropout and a keyword argument."""

    def __init__(self):
        super().__init__()
        self.hourglass = HourglassEncoder(3, 4, 6, 8)
        self.dropout = nn.Dropout3d(0.5)
        self.encoder = VoxelResNet3D(8, widths=(8, 16), strides=(1, 2), num_groups=4)
        self.neck = VoxelFPN((8, 16), 8, upsample_strides=(1, 2), num_groups=4)
        self.head = OccupancyHead(16, 8, SEMANTICKITTI, num_groups=4)

    def forward(self, volume):
        volume = self.dropout(self.hourglass(volume=volume))
        return self.head(self.neck(self.encoder(volume)))


PATTERNS = ["hourglass", "dropout", "encoder.stages.*.*", "neck.levels.[01]", "head"]


@pytest.fixture
def pair():
    """The same network twice, with and without."""
    torch.manual_seed(0)
    plain = Network()
    checkpointed = copy.deepcopy(plain)
    checkpoint_modules(checkpointed, PATTERNS)
    return plain, checkpointed


def step(model, x):
    torch.manual_seed(1)
    loss = model(x).square().mean()
    loss.backward()
    return loss


def saved_bytes(model, x):
    """What a forward pass keeps for the backward pass."""
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(x)
    return sum(kept.values())


def assert_same_training(plain, checkpointed, x):
    torch.testing.assert_close(step(plain, x), step(checkpointed, x), rtol=0, atol=0)
    for (name, one), other in zip(plain.named_parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
    for (name, one), other in zip(plain.named_buffers(), checkpointed.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, msg=name)


def test_same_losses_gradients_and_statistics(pair):
    plain, checkpointed = pair
    assert_same_training(plain, checkpointed, torch.randn(2, 3, 4, 4, 4))
    norm = checkpointed.hourglass.hourglass.up1.bn
    assert norm.num_batches_tracked == 1
    assert norm.momentum == 0.1


def test_keeps_less(pair):
    x = torch.randn(2, 3, 4, 4, 4)
    plain, checkpointed = (saved_bytes(model, x) for model in pair)
    assert checkpointed < plain / 2


class Last(nn.Module):
    """The last map of a backbone."""

    def __init__(self, backbone):
        super().__init__()
        self.img_backbone = backbone

    def forward(self, x):
        return self.img_backbone(x)[-1]


def test_works_on_the_librarys_own_backbone():
    """With stochastic depth and batch norms in every block."""
    torch.manual_seed(0)
    plain = Last(EfficientNet("b0", drop_path_rate=0.5))
    checkpointed = copy.deepcopy(plain)
    checkpoint_modules(checkpointed, ["img_backbone.layers.*.*"])
    x = torch.randn(2, 3, 64, 64)
    assert_same_training(plain, checkpointed, x)
    assert saved_bytes(checkpointed, x) < saved_bytes(plain, x) / 2


def test_only_a_training_with_gradients_recomputes(pair, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "htcl.models.checkpointing.checkpoint",
        lambda function, *args, **kwargs: calls.append(1) or function(*args),
    )
    _, model = pair
    model.head(torch.randn(1, 16, 2, 2, 2))
    assert len(calls) == 1
    with torch.no_grad():
        model.head(torch.randn(1, 16, 2, 2, 2))
    model.eval()
    model.head(torch.randn(1, 16, 2, 2, 2))
    assert len(calls) == 1


def test_names_and_classes_stay(pair):
    plain, checkpointed = pair
    assert list(plain.state_dict()) == list(checkpointed.state_dict())
    assert [n for n, _ in plain.named_modules()] == [n for n, _ in checkpointed.named_modules()]
    assert isinstance(checkpointed.head, OccupancyHead)
    assert isinstance(checkpointed.dropout, nn.Dropout3d)
    assert type(checkpointed.head).__name__ == "OccupancyHead"
    assert repr(plain) == repr(checkpointed)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent_and_checkpointed_too(pair, way):
    _, model = pair
    twin = way(model)
    assert isinstance(twin.head, OccupancyHead)
    assert type(twin.head) is not OccupancyHead
    x = torch.randn(1, 3, 4, 4, 4)
    step(twin, x)
    assert all(p.grad is None for p in model.parameters())
    assert model.hourglass.hourglass.up1.bn.num_batches_tracked == 0
    assert_same_training(pair[0], model, x)


def test_naming_a_module_twice_wraps_it_once(pair):
    _, model = pair
    before = type(model.head)
    checkpoint_modules(model, ["head", "h*"])
    assert type(model.head) is before


@pytest.mark.parametrize("pattern", ["encoder.blocks.*", "neck.levels", "stages.*.*", "*.*.x"])
def test_a_pattern_without_a_module_is_named(pair, pattern):
    """Lists of modules count as none: they are never called."""
    with pytest.raises(ValueError, match="checkpointing") as error:
        checkpoint_modules(pair[0], [pattern])
    assert repr(pattern) in str(error.value)
