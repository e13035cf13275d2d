"""Loads the stereo clip as network images.

Shape letters: T frame, H W network image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet3d.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@TRANSFORMS.register_module()
class LoadStereoImages(BaseTransform):
    """Reads the current stereo pair and the left history and brings them to the network size.

    Network images: the image is resized by s = W / original width and then cropped to the bottom H
    rows, where the road is. If the resized image is lower than H, black rows are added on top
    (``pixel_transform`` then has a positive offset); if rounding makes it narrower than W, black
    columns are added on the right.

    Pixel coordinates: the centre of the top-left pixel is (0, 0). An exact resize by s takes x to
    ``s * x + 0.5 * s - 0.5``, because what scales is the distance from the image *corner* at -0.5.
    The release scales x to ``s * x``.

    Required Keys: left_path, right_path (if ``right``), frame_paths (if ``frames``).

    Optional Keys:
        images: Decoded images by path, each (height, width, 3) uint8 RGB. They take the place of
            the files; the frames of a video have no file of their own.

    Added Keys:
        left: (H, W, 3) uint8 RGB.
        right: (H, W, 3) uint8 RGB, if ``right``.
        frames: (T, H, W, 3) uint8 RGB, oldest first, if ``frames``.
        image_size: (height, width) of the original image.
        pixel_transform: (3, 3) float32, network pixel = pixel_transform @ original pixel
            (homogeneous).
        frames_pixel_transform: The same for ``frames``, if ``frames``.
        pixel_convention: The argument of that name, for later steps.

    Args:
        input_size: (H, W) of the network image.
        resize: Filter of the network images: 'nearest', 'bilinear', 'bicubic' (released) or
            'lanczos'.
        right: Load the right image too.
        frames: Load the left history for the temporal module too.
        temporal_frames: 'resized': the whole original image is squeezed to (H, W), without a crop
            (released). 'network': the same pixels as the network images, so that one pixel means
            the same ray in both.
        temporal_resize: Filter of 'resized' temporal frames; released: 'lanczos'.
        pixel_convention: 'corner' (released): ``pixel_transform`` is diag(s, s) with minus the crop
            as its offset. 'centre': the exact map of pixel centres, with the true scale of each
            axis after rounding of the size.
        size_rounding: How the size after the resize is made whole: 'truncate' (released; a 1241
            pixel wide image becomes 1279 wide, because 1241 * (1280 / 1241) is below 1280 in
            floating point) or 'round'.

    Raises:
        FileNotFoundError: If an image is absent.
        ValueError: If an image cannot be decoded, or the sizes within a clip differ.
    """

    def __init__(
        self,
        input_size: tuple[int, int] = (384, 1280),
        resize: str = "bicubic",
        right: bool = True,
        frames: bool = True,
        temporal_frames: str = "resized",
        temporal_resize: str = "lanczos",
        pixel_convention: str = "corner",
        size_rounding: str = "truncate",
    ) -> None:
        for key, value, allowed in (
            ("resize", resize, _FILTERS),
            ("temporal_resize", temporal_resize, _FILTERS),
            ("temporal_frames", temporal_frames, ("resized", "network")),
            ("pixel_convention", pixel_convention, ("corner", "centre")),
            ("size_rounding", size_rounding, ("truncate", "round")),
        ):
            if value not in allowed:
                raise ValueError(f"{key}: unknown value {value!r}, expected one of {list(allowed)}")
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.resize = _FILTERS[resize]
        self.right = right
        self.frames = frames
        self.temporal_frames = temporal_frames
        self.temporal_resize = _FILTERS[temporal_resize]
        self.pixel_convention = pixel_convention
        self.size_rounding = size_rounding

    def required_files(self, results: dict) -> list[tuple[str | None, ...]]:
        """Names the files that a sample needs, each as a tuple of alternatives."""
        files = [results["left_path"]]
        if self.right:
            files.append(results["right_path"])
        if self.frames:
            files += results["frame_paths"]
        return [(path,) for path in files]

    def transform(self, results: dict) -> dict:
        """Adds the images and their pixel transforms."""
        left = _image(results, results["left_path"])
        results["image_size"] = (left.height, left.width)
        size, pixel_transform = self._geometry(left.width, left.height)
        results["left"] = self._network_image(left, size)
        results["pixel_transform"] = pixel_transform
        results["pixel_convention"] = self.pixel_convention
        if self.right:
            right = _image(results, results["right_path"])
            _check_size(right, left, results["right_path"], results["left_path"])
            results["right"] = self._network_image(right, size)
        if self.frames:
            self._add_frames(results, left, size)
        return results

    def _add_frames(self, results: dict, left: Image.Image, size: tuple[int, int]) -> None:
        height, width = self.input_size
        # Clamped history repeats frames: each file is read and resized once.
        done: dict[str, np.ndarray] = {}
        for path in results["frame_paths"]:
            if path in done:
                continue
            image = left if path == results["left_path"] else _image(results, path)
            _check_size(image, left, path, results["left_path"])
            if self.temporal_frames == "resized":
                done[path] = np.array(image.resize((width, height), self.temporal_resize))
            elif image is left:
                done[path] = results["left"]
            else:
                done[path] = self._network_image(image, size)
        results["frames"] = np.stack([done[path] for path in results["frame_paths"]])
        if self.temporal_frames == "resized":
            results["frames_pixel_transform"] = self._pixel_transform(
                width / left.width, height / left.height, 0
            )
        else:
            results["frames_pixel_transform"] = results["pixel_transform"].copy()

    def _geometry(self, width: int, height: int) -> tuple[tuple[int, int], np.ndarray]:
        """Size (width, height) after the resize, and the pixel transform of resize and crop."""
        scale = self.input_size[1] / width
        whole = int if self.size_rounding == "truncate" else round
        size = (max(whole(width * scale), 1), max(whole(height * scale), 1))
        crop = size[1] - self.input_size[0]
        if self.pixel_convention == "corner":
            return size, self._pixel_transform(scale, scale, crop)
        return size, self._pixel_transform(size[0] / width, size[1] / height, crop)

    def _pixel_transform(self, scale_x: float, scale_y: float, crop: int) -> np.ndarray:
        shift_x = shift_y = 0.0
        if self.pixel_convention == "centre":
            shift_x, shift_y = 0.5 * scale_x - 0.5, 0.5 * scale_y - 0.5
        return np.array(
            [[scale_x, 0.0, shift_x], [0.0, scale_y, shift_y - crop], [0.0, 0.0, 1.0]],
            dtype=np.float32,
        )

    def _network_image(self, image: Image.Image, size: tuple[int, int]) -> np.ndarray:
        height, width = self.input_size
        top = size[1] - height
        # PIL's crop fills what lies outside with black.
        return np.array(image.resize(size, self.resize).crop((0, top, width, top + height)))

    def __repr__(self) -> str:
        """Names the step and its main settings."""
        return (
            f"{type(self).__name__}(input_size={self.input_size}, right={self.right}, "
            f"frames={self.frames}, temporal_frames={self.temporal_frames!r}, "
            f"pixel_convention={self.pixel_convention!r})"
        )


def _image(results: dict, path: str | None) -> Image.Image:
    """The image that the sample brings along, else the file."""
    decoded = results.get("images", {})
    if path in decoded:
        return Image.fromarray(decoded[path])
    if path is None:
        raise FileNotFoundError("an image is needed, but the sequence has no folder for it")
    return read_image(path)


def read_image(path: str | Path) -> Image.Image:
    """Reads an image file as RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: image not found") from None
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path}: image cannot be decoded: {error}") from error


def _check_size(image: Image.Image, current: Image.Image, path: str, current_path: str) -> None:
    if image.size != current.size:
        raise ValueError(
            f"{path}: image is {image.width} x {image.height}, but {current_path} is "
            f"{current.width} x {current.height}; all images of a clip must have one size"
        )
