"""Loads network images with their cameras: N camera, T frame, H W network image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.registry import TRANSFORMS
from PIL import Image

from htcl.datasets.image_files import read_image
from htcl.datasets.resampling import resize
from htcl.datasets.sample_info import CameraInfo, wanted_inputs
from htcl.datasets.transforms.step import Step
from htcl.errors import InvalidValueError, check_choice
from htcl.geometry import PIXEL_RULES, Camera, ImageTransform, PixelRule

_NAMES = ("nearest", "bilinear", "bicubic", "lanczos")
_FILTERS = {name: Image.Resampling[name.upper()] for name in _NAMES}


@TRANSFORMS.register_module()
class LoadImages(Step):
    """Reads the current images and the history of all cameras, and the right partners of both.

    A network image is the original resized to the network's width and cropped to its bottom rows
    (:meth:`htcl.geometry.ImageTransform.fit`). Right images and history are loaded if ``inputs`` of
    the sample wants them.

    Required Keys: cameras (see :class:`~htcl.datasets.sample_info.CameraInfo`).

    Optional Keys: inputs; decoded, images by path, which take the place of the files (the frames of
    a video have no file of their own).

    Added Keys:
        images, right: (N, H, W, 3) uint8 RGB.
        history, history_right: (T-1, N, H, W, 3) uint8 RGB, oldest first.
        current: The current images, prepared as ``history`` is, if that is not as ``images`` are.
        cameras: :class:`htcl.geometry.Camera` (N,), in the place of the infos.
        history_cameras: The same for ``history`` and ``current``, if they differ.
        camera_infos: The infos.
        focal_baseline: (N,) float32, original pixels times metres; with ``right`` and
            ``history_right``.
        current_from_history: (T-1, N, 4, 4) float32, camera frame at each earlier time -> current
            camera frame, if wanted.
        image_paths, right_paths, history_paths, image_sizes: Lists over the cameras (of
            ``history_paths`` one for each earlier time); sizes are original (height, width).

    Args:
        input_size: (H, W) of the network image.
        resize: Filter of the network images: 'nearest', 'bilinear', 'bicubic' (released) or
            'lanczos'.
        history_resize: Filter of the released history; released: 'lanczos'.
        pixels: Rule of pixel coordinates, see :mod:`htcl.geometry.pixels`.
        history_images: 'network': the same pixels as the network images, so that one pixel means
            the same ray in both. 'released': the whole original image is squeezed to (H, W).

    Raises:
        MissingFileError: If an image is absent.
        InvalidValueError: If an image cannot be decoded, the sizes of a camera's images differ, the
            calibration is of images of another size, or an input is wanted that the data set has
            not.
    """

    def __init__(
        self,
        input_size: Sequence[int] = (384, 1280),
        resize: str = "bicubic",
        history_resize: str = "lanczos",
        pixels: PixelRule = "centres",
        history_images: str = "network",
    ) -> None:
        check_choice("resize", resize, tuple(_FILTERS))
        check_choice("history_resize", history_resize, tuple(_FILTERS))
        check_choice("pixels", pixels, PIXEL_RULES)
        check_choice("history_images", history_images, ("network", "released"))
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.resize = _FILTERS[resize]
        self.history_resize = _FILTERS[history_resize]
        self.pixels = pixels
        self.history_images = history_images

    def required_files(self, results: dict[str, Any]) -> list[tuple[str, ...]]:
        """Names the files that a sample needs, each as a tuple of alternatives."""
        wanted = _wanted(results)
        files = []
        for camera in results["cameras"]:
            files.append(camera["image"])
            if "right" in wanted:
                files.append(camera["right"])
            if "history" in wanted:
                files += camera["history"]
            if "history_right" in wanted:
                files += camera["history_right"]
        return [(path,) for path in files]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds images and cameras."""
        wanted = _wanted(results)
        infos: list[CameraInfo] = results["cameras"]
        clips = [_Clip(info["image"], results.get("decoded", {})) for info in infos]
        for info, clip in zip(infos, clips, strict=True):
            _check_size(info, clip.size)
        fits = [ImageTransform.fit(clip.size, self.input_size, self.pixels) for clip in clips]
        squeezes, history_filter = fits, self.resize
        if self.history_images == "released":
            squeeze = ImageTransform.squeeze
            squeezes = [squeeze(clip.size, self.input_size, self.pixels) for clip in clips]
            history_filter = self.history_resize

        results["image_paths"] = [info["image"] for info in infos]
        results["image_sizes"] = [clip.size for clip in clips]
        results["camera_infos"] = infos
        results["images"] = _images(clips, results["image_paths"], fits, self.resize)
        results["cameras"] = self._cameras(infos, fits)
        if "right" in wanted:
            results["right_paths"] = [info["right"] for info in infos]
            results["right"] = _images(clips, results["right_paths"], fits, self.resize)
        if not wanted.isdisjoint({"right", "history_right"}):
            baselines = [info["focal_baseline"] for info in infos]
            results["focal_baseline"] = np.array(baselines, dtype=np.float32)
        if "history" in wanted:
            results["history_paths"] = _by_time([info["history"] for info in infos])
            frames = [_images(clips, p, squeezes, history_filter) for p in results["history_paths"]]
            results["history"] = np.stack(frames)
            if squeezes is not fits:
                paths = results["image_paths"]
                results["current"] = _images(clips, paths, squeezes, history_filter)
                results["history_cameras"] = self._cameras(infos, squeezes)
        if "history_right" in wanted:
            times = _by_time([info["history_right"] for info in infos])
            frames = [_images(clips, paths, squeezes, history_filter) for paths in times]
            results["history_right"] = np.stack(frames)
        if "current_from_history" in wanted:
            motions = [np.asarray(info["current_from_history"]) for info in infos]
            results["current_from_history"] = np.stack(motions, axis=1).astype(np.float32)
        return results

    def _cameras(self, infos: Sequence[CameraInfo], transforms: Sequence[ImageTransform]) -> Camera:
        def stack(matrices: list[np.ndarray]) -> torch.Tensor:
            return torch.from_numpy(np.stack(matrices).astype(np.float32))

        return Camera(
            intrinsics=stack([info["intrinsics"] for info in infos]),
            reference_from_camera=stack([info["reference_from_camera"] for info in infos]),
            image_transform=stack([transform.matrix for transform in transforms]),
            augmentation=torch.eye(4).repeat(len(infos), 1, 1),
            size=self.input_size,
            pixels=self.pixels,
        )


class _Clip:
    """The images of one camera. Clamped history repeats images: each is prepared once."""

    def __init__(self, current: str, decoded: Mapping[str, np.ndarray]) -> None:
        self._current = current
        self._decoded = decoded
        self._done: dict[tuple[str, ImageTransform, int], np.ndarray] = {}
        self._originals: dict[str, np.ndarray] = {}
        height, width, _ = self._original(current).shape
        self.size = (height, width)

    def image(self, path: str, transform: ImageTransform, resampling: int) -> np.ndarray:
        """The network image (H, W, 3) of a file."""
        key = (path, transform, resampling)
        if key not in self._done:
            resized = resize(self._original(path), transform.resized, resampling)
            (height, width), top, left = transform.size, transform.top, transform.left
            y, x = max(top, 0), max(left, 0)
            part = resized[y : top + height, x : left + width]
            image = self._done[key] = np.zeros((height, width, 3), dtype=np.uint8)
            image[y - top :, x - left :][: part.shape[0], : part.shape[1]] = part
        return self._done[key]

    def _original(self, path: str) -> np.ndarray:
        if path not in self._originals:
            decoded = self._decoded.get(path)
            image = read_image(path) if decoded is None else decoded
            first = self._originals.setdefault(self._current, image)
            if image.shape != first.shape:
                found, other = (f"{x.shape[1]} x {x.shape[0]}" for x in (image, first))
                raise InvalidValueError(
                    f"{path}: image is {found}, but {self._current} is {other}; all images of a "
                    "camera must have one size"
                )
            self._originals[path] = image
        return self._originals[path]


def _check_size(info: CameraInfo, size: tuple[int, int]) -> None:
    expected = info.get("image_size", size)
    if size != expected:
        raise InvalidValueError(
            f"{info['image']}: image is {size[1]} x {size[0]}, but the first one of its sequence "
            f"is {expected[1]} x {expected[0]}; all images of a camera must have the size that its "
            "calibration was made for"
        )


def _images(
    clips: list[_Clip], paths: list[str], transforms: list[ImageTransform], resampling: int
) -> np.ndarray:
    """Network images (N, H, W, 3) of all cameras at one time."""
    rows = zip(clips, paths, transforms, strict=True)
    return np.stack([clip.image(path, transform, resampling) for clip, path, transform in rows])


def _by_time(cameras: list[list[str]]) -> list[list[str]]:
    """From T - 1 paths of each camera to the paths of all cameras at each time."""
    return [list(paths) for paths in zip(*cameras, strict=True)]


def _wanted(results: dict[str, Any]) -> set[str]:
    """Names of the inputs to load besides the images."""
    cameras: list[CameraInfo] = results["cameras"]
    available = {
        "right": all(camera.get("right") for camera in cameras),
        "history": all(camera.get("history") for camera in cameras),
        "history_right": all(camera.get("history_right") for camera in cameras),
        "current_from_history": all(c.get("current_from_history") is not None for c in cameras),
    }
    return wanted_inputs(results, available)
