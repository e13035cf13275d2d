"""Frames from an image, a list of images, a folder or a video, one after another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import imageio.v3 as imageio
import numpy as np
from PIL import Image

from htcl.datasets.image_files import read_image
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
        self._video: Path | None = None
        if isinstance(source, str | Path):
            self.title = _title(Path(source))
            self._files = self._open(Path(source))
        else:
            self._files = [Path(path) for path in source]
            self.title = _title(self._files[0].parent) if self._files else "clip"
            for path in self._files:
                if not path.is_file():
                    raise MissingFileError(f"{path}: image not found")
        self.names = None if self._video else [path.stem for path in self._files]
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise InvalidValueError(
                f"{source}: two frames are called {twice[0]!r}; give each its own name"
            )

    def _open(self, source: Path) -> list[Path]:
        suffix, images = source.suffix.lower(), ", ".join(IMAGE_SUFFIXES)
        if source.is_dir():
            files = [p for p in source.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
            if not files:
                raise MissingFileError(f"{source}: no image in this folder ({images})")
            return sorted(files, key=_natural)
        if not source.is_file():
            raise MissingFileError(f"{source}: no such image, folder or video")
        if suffix in VIDEO_SUFFIXES:
            self._video = source
            return []
        if suffix not in IMAGE_SUFFIXES:
            videos = ", ".join(VIDEO_SUFFIXES)
            raise InvalidValueError(f"{source}: neither an image ({images}) nor a video ({videos})")
        return [source]

    def __iter__(self) -> Iterator[Frame]:
        """Reads the frames."""
        if self._video is None:
            for path in self._files:
                yield Frame(path.stem, str(path), np.asarray(read_image(path)))
            return
        try:
            for index, image in enumerate(imageio.imiter(self._video)):
                name = f"{index:06d}"
                rgb = np.asarray(Image.fromarray(image).convert("RGB"))
                yield Frame(name, f"{self._video} frame {name}", rgb)
        except (OSError, RuntimeError) as error:
            raise InvalidValueError(f"{self._video}: video cannot be decoded: {error}") from error


def check_pair(left: FrameSource, right: FrameSource) -> None:
    """Makes sure that two sources can be left and right of each other.

    Raises:
        InvalidValueError: If they have different numbers of frames, or frames of different numbers.
    """
    if left.names is None or right.names is None:
        return
    numbers = frame_numbers(left.names), frame_numbers(right.names)
    if len(left.names) != len(right.names):
        wrong = f"{len(left.names)} left images but {len(right.names)} right ones"
    elif len(left.names) > 1 and None not in numbers and numbers[0] != numbers[1]:
        wrong = "left and right images have different numbers"
    else:
        return
    only = [f"left {name}" for name in sorted(set(left.names) - set(right.names))]
    only += [f"right {name}" for name in sorted(set(right.names) - set(left.names))]
    partners = f"{', '.join(only[:5])}{', ...' if len(only) > 5 else ''}"
    raise InvalidValueError(
        f"{wrong} (without partner: {partners}): each left image needs its right one"
    )


def frame_numbers(names: Sequence[str]) -> list[int] | None:
    """Numbers at the end of the frames' names; None if not all names are one word and a number."""
    matches = (re.fullmatch(r"(.*?)(\d+)", name) for name in names)
    found = [match for match in matches if match is not None]
    if len(found) < len(names) or len({match[1] for match in found}) > 1:
        return None
    return [int(match[2]) for match in found]


def frame_step(names: Sequence[str]) -> int | None:
    """Distance of the numbers of consecutive frames; None without numbers or for one frame.

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


def _natural(path: Path) -> list[int | str]:
    # Digits and other text take turns, so that like is compared with like.
    return [int(x) if x.isdecimal() else x for x in re.split(r"(\d+)", path.stem)]


def _title(source: Path) -> str:
    # KITTI's folders are called alike in every sequence; their parent tells them apart.
    place = source.resolve()
    if place.is_file():
        place = place.parent if place.suffix.lower() in IMAGE_SUFFIXES else place.with_suffix("")
    if re.fullmatch(r"image_\d+|left|right|images", place.name) and place.parent.name:
        place = place.parent
    return place.name or "clip"
