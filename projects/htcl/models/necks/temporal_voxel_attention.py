"""Fuses the current voxels with those of the history: gated linear attention, and place by place.

Linear attention after Shen, Zhang, Zhao, Yi, Li, "Efficient Attention: Attention with Linear
Complexities", WACV 2021; its use after HTCL, ECCV 2024.

Shape letters: B batch, C channel, X Y Z voxel, N = X * Y * Z, h head, d e channel of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.errors import InvalidValueError


@MODELS.register_module()
class TemporalVoxelAttention(BaseModule):
    """Current voxels + gate * attention(current voxels, temporal voxels).

    Queries come from the current voxels, keys and values from the temporal ones. With q softmaxed
    over the channels of a head and scaled by d^-1/2, and k softmaxed over all N positions::

        context[d, e] = sum_n k[d, n] v[e, n],    out[e, n] = sum_d context[d, e] q[d, n]

    A 1x1x1 convolution brings ``out`` back to C channels; normalisation in one group follows.

    :meth:`forward` gets these numbers without any C-channel temporary: the mean and the variance of
    a linear map's output follow from the mean and the covariance of its few inputs, so
    normalisation, affine part and gate fold into the weight of the last convolution, whose product
    is added to the voxels in one operation.

    The history reaches ``out`` only through ``context``, a few numbers that are the same for the
    whole scene: what the history says about one place is lost. ``pointwise`` adds the temporal
    voxels themselves through a 1x1x1 convolution, which starts at zero.

    Args:
        channels: Channels C of both volumes.
        num_heads: Attention heads.
        head_channels: Channels of each head.
        gate_init: Initial value of the gate, a single learned number. At the released 0 the
            history has no influence until training opens the gate.
        pointwise: Also adds each temporal voxel to the current one of its place (released: False).
        init_cfg: mmengine weight initialisation.
    """

    def __init__(
        self,
        channels: int = 384,
        num_heads: int = 2,
        head_channels: int = 2,
        gate_init: float = 0.0,
        pointwise: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        inner = num_heads * head_channels
        self.num_heads = num_heads
        self.head_channels = head_channels
        self.to_q = nn.Conv3d(channels, inner, kernel_size=1, bias=False)
        # Three thirds: the first would be queries of the temporal voxels, which nothing reads. The
        # weight keeps its place so that released checkpoints fit, but is not computed with.
        self.to_qkv = nn.Conv3d(channels, 3 * inner, kernel_size=1, bias=False)
        self.to_out = nn.Conv3d(inner, channels, kernel_size=1)
        self.norm = nn.GroupNorm(1, channels)
        self.gate = nn.Parameter(torch.full((1,), float(gate_init)))
        self.pointwise = None
        if pointwise:
            self.pointwise = nn.Conv3d(channels, channels, kernel_size=1, bias=False)
            nn.init.zeros_(self.pointwise.weight)

    def forward(self, voxel: Tensor, temporal_voxel: Tensor) -> Tensor:
        """Current and temporal voxels (B, C, X, Y, Z) -> their fusion in the dtype of the first.

        Raises:
            InvalidValueError: If the two shapes differ.
        """
        out = self._heads(voxel, temporal_voxel)
        with torch.autocast(voxel.device.type, enabled=False):
            weight, bias = self._folded_output(out)
            # A common factor moves from the weight to `out`, so that neither leaves the range of
            # a 16-bit float; it cancels, so it needs no gradient.
            scale = out.detach().abs().amax(dim=(1, 2), keepdim=True).clamp_min(1e-20)
            factors = [x.to(voxel.dtype) for x in (weight * scale, out / scale)]
            fused = torch.baddbmm(voxel.flatten(2), *factors)
            # In place: the sum is fresh and its own backward pass does not read it.
            fused += bias.to(voxel.dtype).unsqueeze(2)
        fused = fused.view_as(voxel)
        return fused if self.pointwise is None else fused + self.pointwise(temporal_voxel)

    def _heads(self, voxel: Tensor, temporal_voxel: Tensor) -> Tensor:
        """Returns the attended values (B, num_heads * head_channels, N) in float32."""
        if voxel.shape != temporal_voxel.shape:
            raise InvalidValueError(
                f"current voxels {tuple(voxel.shape)} and temporal voxels "
                f"{tuple(temporal_voxel.shape)} must have one shape; use one grid and one width "
                "for both"
            )
        inner = self.num_heads * self.head_channels
        per_head = (self.num_heads, self.head_channels)
        q = self.to_q(voxel)
        k, v = F.conv3d(temporal_voxel, self.to_qkv.weight[inner:]).chunk(2, dim=1)
        # Softmax over N positions has values near 1 / N: 16-bit floats would lose them.
        with torch.autocast(voxel.device.type, enabled=False):
            q, k, v = (x.float().flatten(2).unflatten(1, per_head) for x in (q, k, v))
            q = q.softmax(dim=2) * self.head_channels**-0.5
            k = k.softmax(dim=3)
            context = torch.einsum("bhdn,bhen->bhde", k, v)
            return torch.einsum("bhde,bhdn->bhen", context, q).flatten(1, 2)

    def _folded_output(self, out: Tensor) -> tuple[Tensor, Tensor]:
        """Output convolution, normalisation and gate as one linear map of ``out``.

        With y[c, n] = W[c] out[n] + b[c], the mean of y is that of m[c] = W[c] mean(out) + b[c],
        and its variance is mean_c((m[c] - mean)^2) + mean_c(W[c] Cov(out) W[c]^T). From ``out``
        (B, I, N), float32, follow weight (B, C, I) and bias (B, C).
        """
        weight, bias = self.to_out.weight.flatten(1).float(), self.to_out.bias  # (C, I), (C,)
        assert bias is not None  # torch's type allows convolutions without
        out_mean = out.mean(dim=2, keepdim=True)
        centred = out - out_mean
        covariance = centred @ centred.transpose(1, 2) / out.shape[2]  # (B, I, I)
        channel_mean = (weight @ out_mean).squeeze(2) + bias.float()  # (B, C)
        offset = channel_mean - channel_mean.mean(dim=1, keepdim=True)
        within = ((weight @ covariance) * weight).sum(dim=2)  # (B, C)
        variance = (offset.square() + within).mean(dim=1, keepdim=True)
        gain = self.gate.float() * self.norm.weight.float() * torch.rsqrt(variance + self.norm.eps)
        folded_weight = gain.unsqueeze(2) * weight
        folded_bias = (
            gain * (offset - (weight @ out_mean).squeeze(2))
            + self.gate.float() * self.norm.bias.float()
        )
        return folded_weight, folded_bias
