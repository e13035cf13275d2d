"""How far points of one frame can be believed, by what other frames see in their place.

The idea that a surface seen behind a point refutes it is that of space carving (Kutulakos, Seitz,
"A Theory of Shape by Space Carving", IJCV 2000).

Shape letters: M image, T frame (the present last), h w feature map.
"""

from __future__ import annotations

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from htcl.errors import InvalidValueError
from htcl.geometry import Camera
from htcl.ops import affine_inverse


@MODELS.register_module()
class DepthAgreement(nn.Module):
    """Trust in each point of the history, from the depth maps of all frames.

    A point that lies at depth z in another frame t, where the cells around it see surfaces from
    depth a to depth b (3 x 3 cells, so that edges do not count), is

    * refuted as far as everything there lies behind it: the ray went through the point, so it has
      moved, or its depth is wrong. With the tolerance s = ``absolute + relative * z``::

          free_t = 1 - exp(-max(0, a - z)^2 / (2 s^2))

    * confirmed as far as it lies among the surfaces::

          seen_t = exp(-max(0, a - z, z - b)^2 / (2 s^2))

    * neither, if it is out of view or hidden behind them: 0 for both.

    The trust is ``prod_t (1 - free_t) * (u + (1 - u) * max_t seen_t)`` with u = ``unconfirmed``,
    over all other frames, the present included. It is computed without gradient.

    Args:
        relative: Error of the depth, as a share of it.
        absolute: What does not grow with the depth, metres.
        unconfirmed: Weight of points that no other frame confirms.

    Raises:
        InvalidValueError: If a number is out of range.
    """

    def __init__(
        self, relative: float = 0.05, absolute: float = 0.5, unconfirmed: float = 1.0
    ) -> None:
        super().__init__()
        if relative < 0 or absolute <= 0 or not 0 <= unconfirmed <= 1:
            raise InvalidValueError(
                "DepthAgreement needs relative >= 0, absolute > 0 and unconfirmed in 0..1, found "
                f"{relative}, {absolute} and {unconfirmed}"
            )
        self.relative = relative
        self.absolute = absolute
        self.unconfirmed = unconfirmed

    @torch.no_grad()
    def forward(self, depth: Tensor, current_from_frame: Tensor, camera: Camera) -> Tensor:
        """Trust (M, T-1, h, w) in the points of all frames but the last.

        Args:
            depth: Depth of the cells of every frame (M, T, h, w), metres.
            current_from_frame: Motion of every frame to the last (M, T, 4, 4), the last being I.
            camera: Cameras (M,), the same in every frame.
        """
        # In 16 bits a place would be some cells off.
        with torch.autocast(depth.device.type, enabled=False):
            return self._trust(depth.float(), current_from_frame, camera)

    def _trust(self, depth: Tensor, current_from_frame: Tensor, camera: Camera) -> Tensor:
        frames, size = depth.shape[1], (depth.shape[-2], depth.shape[-1])
        intrinsics = camera.map_intrinsics(size)[:, None]
        motion = current_from_frame.double()
        cell_from_current = intrinsics @ affine_inverse(motion)
        current_from_cell = motion @ affine_inverse(intrinsics)
        nearest = -F.max_pool2d(-depth, 3, stride=1, padding=1)
        farthest = F.max_pool2d(depth, 3, stride=1, padding=1)
        same = same_place(current_from_frame)
        cells = _cells(depth)
        trust = []
        for frame in range(frames - 1):
            # To all T frames at once: (M, T, 4, 4) @ (M, 1, 4, h * w).
            projection = (cell_from_current @ current_from_cell[:, frame, None]).float()
            places = projection @ cells[:, frame, None]
            z = places[:, :, 2]
            inside, index = _nearest_cell(places, size)
            low, high = (m.flatten(2).gather(2, index) for m in (nearest, farthest))
            # A frame from the same place, itself too, says nothing new.
            inside = inside & ~same[:, frame, :, None]
            scale = 1 / (self.absolute + self.relative * z.clamp(min=0))
            before = (low - z).clamp(min=0)
            behind = (z - high).clamp(min=0)
            free = torch.where(inside, 1 - _bell(before * scale), 0.0)
            seen = torch.where(inside, _bell((before + behind) * scale), 0.0)
            confirmed = self.unconfirmed + (1 - self.unconfirmed) * seen.amax(dim=1)
            trust.append(((1 - free).prod(dim=1) * confirmed).unflatten(1, size))
        return torch.stack(trust, dim=1)


def same_place(current_from_frame: Tensor) -> Tensor:
    """Whether frames of motions (M, T, 4, 4) were taken from one place, (M, T, T), to 0.1 mm."""
    difference = current_from_frame[:, :, None] - current_from_frame[:, None]
    return difference.abs().amax(dim=(-2, -1)) < 1e-4


def _cells(depth: Tensor) -> Tensor:
    """Homogeneous cells ``(f d, g d, d, 1)`` of maps of depth (M, T, h, w): (M, T, 4, h * w)."""
    height, width = depth.shape[-2:]
    rows = torch.arange(height, device=depth.device, dtype=depth.dtype)[:, None]
    columns = torch.arange(width, device=depth.device, dtype=depth.dtype)
    cells = [columns * depth, rows * depth, depth, torch.ones_like(depth)]
    return torch.stack(cells, dim=2).flatten(3)


def _nearest_cell(places: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Whether places (..., 4, P) are in view, and the flat number of their cells, (..., P)."""
    height, width = size
    z = places[..., 2, :]
    column, row = (places[..., axis, :] / z.clamp(min=1e-3) for axis in (0, 1))
    # Large numbers overflow integers; a cell reaches half a cell to all sides.
    column, row = column.clamp(-1, width).round(), row.clamp(-1, height).round()
    inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    return inside, index.long()


def _bell(distance: Tensor) -> Tensor:
    return (-0.5 * distance.square()).exp()
