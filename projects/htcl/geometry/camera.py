"""Cameras: from space to pixels and back, for one camera, a rig, or a batch of rigs.

Shape letters: S any leading axes (none for one camera, N for a rig, B N for a batch), D depth,
H W network image, h w feature map, P point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from htcl.geometry.pixels import PixelRule, cell_pixels, resize_shift

_TENSORS = ("intrinsics", "reference_from_camera", "image_transform", "augmentation")


@dataclass(frozen=True, eq=False)
class Camera:
    """Calibrated cameras and the network images made from theirs.

    A point X in the camera frame has the original pixel (u, v) and the depth d with
    ``(u d, v d, d) = K3 X + k4``, where ``intrinsics = [K3 | k4]``. KITTI's camera frame is that of
    the rectified grey camera 0, and the fourth column moves to the camera that took the image.

    Attributes:
        intrinsics: (*S, 4, 4), camera point -> original pixel; fourth row (0, 0, 0, 1).
        reference_from_camera: (*S, 4, 4) rigid.
        image_transform: (*S, 3, 3), homogeneous, original pixel -> network pixel.
        augmentation: (*S, 4, 4), reference frame -> reference frame of the augmented scene.
        size: (H, W) of the network image, pixels.
        pixels: Rule of pixel coordinates.
    """

    intrinsics: Tensor
    reference_from_camera: Tensor
    image_transform: Tensor
    augmentation: Tensor
    size: tuple[int, int]
    pixels: PixelRule = "centres"

    @property
    def shape(self) -> torch.Size:
        """The leading axes S."""
        return self.intrinsics.shape[:-2]

    @property
    def augmented_from_camera(self) -> Tensor:
        """(*S, 4, 4) float64, camera frame -> augmented reference frame."""
        return self.augmentation.double() @ self.reference_from_camera.double()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Camera:
        """The same on a device."""
        return self._map(lambda value: value.to(device, non_blocking=non_blocking))

    def flatten(self) -> Camera:
        """Makes one leading axis of all."""
        return self._map(lambda value: value.reshape(-1, *value.shape[-2:]))

    def __getitem__(self, index: Any) -> Camera:
        """Selects along the leading axes."""
        return self._map(lambda value: value[index])

    @classmethod
    def stack(cls, cameras: Sequence[Camera]) -> Camera:
        """Puts cameras of one size and rule along a new first axis.

        Raises:
            ValueError: If sizes, rules or shapes differ.
        """
        found = sorted({(c.size, c.pixels, tuple(c.shape)) for c in cameras})
        if len(found) > 1:
            raise ValueError(f"cameras of different image size, pixel rule or number: {found}")
        stacked: Any = {n: torch.stack([getattr(c, n) for c in cameras]) for n in _TENSORS}
        return replace(cameras[0], **stacked)

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Projects points (*S, P, 3) or (P, 3), reference frame (not augmented), metres.

        Returns network pixels (*S, P, 2) (x, y), meaningless where the depth is not positive, and
        depth (*S, P), metres, both float64.
        """
        camera_from_reference = torch.linalg.inv(self.reference_from_camera.double())
        matrix = self.intrinsics.double() @ camera_from_reference
        projected = points.double() @ matrix[..., :3, :3].mT + matrix[..., None, :3, 3]
        depth = projected[..., 2]
        original = projected[..., :2] / torch.where(depth > 0, depth, 1.0)[..., None]
        transform = self.image_transform.double()
        return original @ transform[..., :2, :2].mT + transform[..., None, :2, 2], depth

    def frustum(self, map_size: tuple[int, int], depths: Tensor) -> Tensor:
        """Column, row (network pixels) and depth (metres) of the frustum's cells, (D, h, w, 3).

        The cells are those of a map (h, w) at the depths (D,) along the optical axis; float64.
        """
        rows, columns = (
            cell_pixels(length, count, self.pixels, depths.device)
            for length, count in zip(self.size, map_size, strict=True)
        )
        depth, row, column = torch.meshgrid(depths.double(), rows, columns, indexing="ij")
        return torch.stack((column, row, depth), dim=-1)

    def unproject(self, map_size: tuple[int, int], depths: Tensor) -> Tensor:
        """Cells of the :meth:`frustum` in space: (*S, D, h, w, 3), metres, augmented frame.

        Everything runs in float64: a rounding error of a coordinate can change the voxel.
        """
        intrinsics = self.intrinsics.double()
        augmented_from_camera = self.augmented_from_camera
        camera_from_ray = torch.linalg.inv(intrinsics[..., :3, :3])
        augmented_from_ray = augmented_from_camera[..., :3, :3] @ camera_from_ray
        # One affine map of (column * depth, row * depth, depth) does the whole chain.
        linear = augmented_from_ray @ torch.linalg.inv(self.image_transform.double())
        offset = augmented_from_camera[..., :3, 3] - (
            augmented_from_ray @ intrinsics[..., :3, 3:4]
        ).squeeze(-1)
        cells = self.frustum(map_size, depths)
        rays = torch.cat((cells[..., :2] * cells[..., 2:], cells[..., 2:]), dim=-1)
        points = torch.einsum("...ij,dhwj->...dhwi", linear, rays)
        return points + offset[..., None, None, None, :]

    def map_intrinsics(self, map_size: tuple[int, int]) -> Tensor:
        """Camera matrix (*S, 4, 4) float64 of a map (h, w) whose cells cover blocks of pixels.

        It takes a camera point in metres to ``(f d, g d, d, 1)`` with cell coordinates f (right), g
        (down) and depth d.
        """
        scale_y, scale_x = (n / pixels for n, pixels in zip(map_size, self.size, strict=True))
        # Cells are the middles of their blocks whatever the rule of the image's own pixels.
        shifts = [resize_shift(scale, "centres") for scale in (scale_x, scale_y)]
        rows = [[scale_x, 0, shifts[0]], [0, scale_y, shifts[1]], [0, 0, 1]]
        cell_from_pixel = torch.tensor(rows, dtype=torch.float64, device=self.intrinsics.device)
        matrix = self.intrinsics.double().clone()
        matrix[..., :3, :] = cell_from_pixel @ self.image_transform.double() @ matrix[..., :3, :]
        return matrix

    def _map(self, function: Any) -> Camera:
        return replace(self, **{name: function(getattr(self, name)) for name in _TENSORS})
