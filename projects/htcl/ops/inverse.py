"""Inverses of small matrices that need no answer from the device.

Shape letters: S any leading axes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from htcl.ops.device import standard_only


def affine_inverse(matrix: Tensor) -> Tensor:
    """Inverse, in float64, of matrices (*S, 3, 3), or (*S, 4, 4) with the last row (0, 0, 0, 1).

    Unlike :func:`torch.linalg.inv` it does not wait for a GPU to report a singular matrix: that
    gives infinities or any numbers. ONNX has no inverse; there Cramer's rule gives it.
    """
    matrix = matrix.double()
    if not standard_only():
        return torch.linalg.inv_ex(matrix).inverse
    linear = _adjugate_inverse(matrix[..., :3, :3])
    if matrix.shape[-1] == 3:
        return linear
    offset = -(linear @ matrix[..., :3, 3:])
    return torch.cat([torch.cat([linear, offset], dim=-1), matrix[..., 3:, :]], dim=-2)


def _adjugate_inverse(matrix: Tensor) -> Tensor:
    """Inverse of (*S, 3, 3): its columns are the cross products of the rows over the volume."""
    one, two, three = matrix.unbind(-2)
    columns = [_cross(two, three), _cross(three, one), _cross(one, two)]
    volume = (one * columns[0]).sum(dim=-1)[..., None, None]
    return torch.stack(columns, dim=-1) / volume


def _cross(one: Tensor, two: Tensor) -> Tensor:
    """Cross product of vectors (*S, 3)."""
    a, b, c = one.unbind(-1)
    x, y, z = two.unbind(-1)
    return torch.stack([b * z - c * y, c * x - a * z, a * y - b * x], dim=-1)
