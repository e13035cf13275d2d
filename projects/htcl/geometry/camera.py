"""Cameras: from space to pixels and back, for one camera, a rig, or a batch of rigs.

Shape letters: S any leading axes (none for one camera, N for a rig, B N for a batch), D depth,
H W network image, h w feature map, P point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from htcl.geometry.pixels import PixelRule, cell_pixels, resize_shift
from htcl.ops.inverse import affine_inverse

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
        fingerprint: Stands for all numbers, so that what was computed from them can be found again
            without reading them back from a GPU; None if nobody computed it.
    """

    intrinsics: Tensor
    reference_from_camera: Tensor
    image_transform: Tensor
    augmentation: Tensor
    size: tuple[int, int]
    pixels: PixelRule = "centres"
    fingerprint: bytes | None = None

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
        moved = self._map(lambda value: value.to(device, non_blocking=non_blocking))
        return replace(moved, fingerprint=self.fingerprint)

    def pin_memory(self) -> Camera:
        """The same in memory that a GPU reads directly; a data loader asks for it."""
        return self._map(Tensor.pin_memory)

    def with_fingerprint(self) -> Camera:
        """The same, its numbers hashed; to be called while they are on the host."""
        content = [str((*self.shape, self.size, self.pixels)).encode()]
        content += [getattr(self, name).double().numpy().tobytes() for name in _TENSORS]
        return replace(self, fingerprint=hashlib.blake2b(b"".join(content)).digest())

    def flatten(self, first: int = 0) -> Camera:
        """Makes one leading axis of all from the ``first`` one on."""
        return self._map(lambda value: value.flatten(first, -3))

    def repeat(self, times: int) -> Camera:
        """All cameras so many times, one round after the other, along the first axis."""
        return self._map(lambda value: torch.cat([value] * times))

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
        return replace(cameras[0], **stacked, fingerprint=None)

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Projects points (*S, P, 3) or (P, 3), reference frame (not augmented), metres.

        Returns network pixels (*S, P, 2) (x, y), meaningless where the depth is not positive, and
        depth (*S, P), metres, both float64.
        """
        camera_from_reference = affine_inverse(self.reference_from_camera)
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
        cells = self.frustum(map_size, depths)
        rays = torch.cat((cells[..., :2] * cells[..., 2:], cells[..., 2:]), dim=-1)
        linear, offset = self._augmented_from_ray()
        points = torch.einsum("...ij,dhwj->...dhwi", linear, rays)
        return points + offset[..., None, None, None, :]

    def unproject_map(self, depth: Tensor) -> Tensor:
        """Cells of maps of depth (*S, h, w), metres, in space: (*S, h, w, 3), as :meth:`unproject`.

        Each cell is at the depth that its map says along the optical axis.
        """
        height, width = depth.shape[-2:]
        unit = self.frustum((height, width), torch.ones(1, device=depth.device))[0]
        linear, offset = self._augmented_from_ray()
        points = torch.einsum("...ij,hwj->...hwi", linear, unit) * depth.double()[..., None]
        return points + offset[..., None, None, :]

    def _augmented_from_ray(self) -> tuple[Tensor, Tensor]:
        """The affine map (*S, 3, 3), (*S, 3) of (column * depth, row * depth, depth) to space."""
        intrinsics = self.intrinsics.double()
        augmented_from_camera = self.augmented_from_camera
        camera_from_ray = affine_inverse(intrinsics[..., :3, :3])
        augmented_from_ray = augmented_from_camera[..., :3, :3] @ camera_from_ray
        offset = augmented_from_camera[..., :3, 3] - (
            augmented_from_ray @ intrinsics[..., :3, 3:4]
        ).squeeze(-1)
        return augmented_from_ray @ affine_inverse(self.image_transform), offset

    def moved(self, current_from_camera: Tensor) -> Camera:
        """The cameras where they stood before a motion.

        The motion (*S', 4, 4) takes a point in the camera frame then to the camera frame now; its
        leading axes may extend those of the cameras by the rules of broadcasting.
        """
        motion = current_from_camera.double()
        expanded = self._map(lambda value: value.expand(*motion.shape[:-2], *value.shape[-2:]))
        return replace(
            expanded, reference_from_camera=expanded.reference_from_camera.double() @ motion
        )

    def map_intrinsics(self, map_size: tuple[int, int]) -> Tensor:
        """Camera matrix (*S, 4, 4) float64 of a map (h, w) whose cells cover blocks of pixels.

        It takes a camera point in metres to ``(f d, g d, d, 1)`` with cell coordinates f (right), g
        (down) and depth d.
        """
        scale_y, scale_x = (n / pixels for n, pixels in zip(map_size, self.size, strict=True))
        # Cells are the middles of their blocks whatever the rule of the image's own pixels.
        transform = self.image_transform.double().clone()
        for row, scale in enumerate((scale_x, scale_y)):
            transform[..., row, :] *= scale
            transform[..., row, :] += resize_shift(scale, "centres") * transform[..., 2, :]
        matrix = self.intrinsics.double().clone()
        matrix[..., :3, :] = transform @ matrix[..., :3, :]
        return matrix

    def _map(self, function: Any) -> Camera:
        changed: Any = {name: function(getattr(self, name)) for name in _TENSORS}
        return replace(self, **changed, fingerprint=None)
