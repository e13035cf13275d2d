"""Frames from an image, a list of images, a folder or a video, one after another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import imageio.v3 as imageio
import numpy as np
from PIL import Image

from htcl.datasets.transforms.load_images import read_image
from htcl.errors import InvalidValueError, MissingFileError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".gif")


class Frame(NamedTuple):
    """One decoded frame.

    Attributes:
        name: Stem of the file, or the frame's number in the video, such as "000005".
        place: Where it came from, for messages.
        image: RGB uint8 (height, width, 3).
    """

    name: str
    place: str
    image: np.ndarray


class FrameSource:
    """Frames in their order; iterating reads them.

    Args:
        source: An image file, a video file, a folder of images, or a list of image files. A folder
            is read in natural order (2 before 10), a list in its own.

    Attributes:
        names: Names of the frames; None for a video, whose length shows at its end.
        title: A name for the whole sequence.

    Raises:
        MissingFileError: If there is nothing at that place.
        InvalidValueError: If it is neither image nor video, or two frames have one name.
    """

    def __init__(self, source: str | Path | Sequence[str | Path]) -> None:
        self.video: Path | None = None
        if isinstance(source, str | Path):
            source = Path(source)
            self.title = _title(source)
            self.files = self._open(source)
        else:
            self.files = [Path(path) for path in source]
            self.title = _title(self.files[0].parent) if self.files else "clip"
            for path in self.files:
                if not path.is_file():
                    raise MissingFileError(f"{path}: image not found")
        self.names = None if self.video else [path.stem for path in self.files]
        if self.names is not None and len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise InvalidValueError(
                f"{source}: two frames are called {twice!r}; give each its own name"
            )

    def _open(self, source: Path) -> list[Path]:
        if source.is_dir():
            files = [p for p in source.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
            if not files:
                raise MissingFileError(
                    f"{source}: no image in this folder ({', '.join(IMAGE_SUFFIXES)})"
                )
            return sorted(files, key=lambda path: _natural(path.stem))
        if not source.is_file():
            raise MissingFileError(f"{source}: no such image, folder or video")
        if source.suffix.lower() in VIDEO_SUFFIXES:
            self.video = source
            return []
        if source.suffix.lower() not in IMAGE_SUFFIXES:
            raise InvalidValueError(
                f"{source}: neither an image ({', '.join(IMAGE_SUFFIXES)}) nor a video "
                f"({', '.join(VIDEO_SUFFIXES)})"
            )
        return [source]

    def __iter__(self) -> Iterator[Frame]:
        """Reads the frames."""
        if self.video is None:
            for path in self.files:
                yield Frame(path.stem, str(path), np.asarray(read_image(path)))
            return
        try:
            for index, image in enumerate(imageio.imiter(self.video)):
                name = f"{index:06d}"
                rgb = np.asarray(Image.fromarray(image).convert("RGB"))
                yield Frame(name, f"{self.video} frame {name}", rgb)
        except (OSError, RuntimeError) as error:
            raise InvalidValueError(f"{self.video}: video cannot be decoded: {error}") from error


def check_pair(left: FrameSource, right: FrameSource) -> None:
    """Makes sure that two sources can be left and right of each other.

    Raises:
        InvalidValueError: If they have different numbers of frames, or frames of different numbers.
    """
    if left.names is None or right.names is None:
        return
    if len(left.names) != len(right.names):
        raise InvalidValueError(
            f"{len(left.names)} left images but {len(right.names)} right ones"
            f"{_unpaired(left, right)}: each left image needs its right one"
        )
    numbers = frame_numbers(left.names), frame_numbers(right.names)
    if len(left.names) > 1 and None not in numbers and numbers[0] != numbers[1]:
        raise InvalidValueError(
            f"left and right images have different numbers{_unpaired(left, right)}: "
            "each left image needs its right one"
        )


def _unpaired(left: FrameSource, right: FrameSource) -> str:
    only = [f"left {name}" for name in sorted(set(left.names) - set(right.names))]
    only += [f"right {name}" for name in sorted(set(right.names) - set(left.names))]
    return f" (without partner: {', '.join(only[:5])}{', ...' if len(only) > 5 else ''})"


def frame_numbers(names: Sequence[str]) -> list[int] | None:
    """Numbers at the end of the frames' names; None if not all names are one word and a number."""
    matches = (re.fullmatch(r"(.*?)(\d+)", name) for name in names)
    found = [match for match in matches if match is not None]
    if len(found) < len(names) or len({match[1] for match in found}) > 1:
        return None
    return [int(match[2]) for match in found]


def frame_step(names: Sequence[str]) -> int | None:
    """Distance of the numbers of consecutive frames.

    Returns:
        The distance; None if the names carry no numbers, or there is one frame.

    Raises:
        InvalidValueError: If the distance is not always the same: there is a gap in the history.
    """
    numbers = frame_numbers(names)
    if numbers is None or len(numbers) < 2:
        return None
    steps = np.diff(numbers)
    step = int(np.abs(steps).min())
    wrong = np.flatnonzero(steps != step)
    if len(wrong):
        k = int(wrong[0])
        raise InvalidValueError(
            f"a gap in the history: after frame {names[k]} comes {names[k + 1]}, expected number "
            f"{numbers[k] + step}. Add the missing frames, or predict the parts before and after "
            "the gap one by one"
        )
    return step


def _natural(name: str) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def _title(source: Path) -> str:
    # KITTI's folders are called alike in every sequence; their parent tells them apart.
    place = source.resolve()
    if place.is_file():
        place = place.parent if place.suffix.lower() in IMAGE_SUFFIXES else place.with_suffix("")
    if re.fullmatch(r"image_\d+|left|right|images", place.name) and place.parent.name:
        place = place.parent
    return place.name or "clip"
