"""Image files, read as they are stored: h w pixel.

Grey images are repeated to three channels, a palette is looked up, an opacity channel (RGBA) is
left away, and marks that an image be shown turned are not followed, since calibrations are of
stored pixels. 16-bit grey and floating-point images are refused: their white is not known.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from htcl.errors import InvalidValueError
from htcl.files import read_bytes

# Pixels of an image; an 8K picture has 33 million. More is a file that was made to fill memory.
LARGEST_IMAGE = 100_000_000
# Those of Pillow's formats that decode in this process and need no other program.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM", "GIF")
# Pillow's decoders are modules; loaded now, a failure to read is one of the image's own file.
Image.preinit()
# Modes whose values do not end at 255.
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
# How a PNG file begins, and what its header says 24 bytes on if it holds 8-bit RGB.
_PNG, _RGB8 = b"\x89PNG\r\n\x1a\n", b"\x08\x02"
_AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def read_image(path: str | Path) -> np.ndarray:
    """Reads (h, w, 3) uint8 RGB.

    Raises:
        MissingFileError: If the file is absent.
        InvalidValueError: If it cannot be decoded, is too large or has more than 8 bits.
    """
    content = read_bytes(path, "image")
    # Before anything is decoded.
    _check_header(path, content)
    # OpenCV is faster, but makes other pixels of other files, and no message of a damaged one.
    if content.startswith(_PNG) and content[24:26] == _RGB8:
        rgb = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), _AS_STORED)
        if rgb is not None:
            return rgb
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            return np.array(image.convert("RGB"))
    # Damaged files make Pillow's decoders raise a dozen unrelated types.
    except Exception as error:
        raise _undecodable(path, error) from error


def image_size(path: str | Path) -> tuple[int, int]:
    """(h, w) of an image by its header; raises what :func:`read_image` raises."""
    return _check_header(path, read_bytes(path, "image"))


def _check_header(path: str | Path, content: bytes) -> tuple[int, int]:
    try:
        with warnings.catch_warnings():
            # Pillow's own bound is another one.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                (width, height), mode = image.size, image.mode
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from None
    except Exception as error:
        raise _undecodable(path, error) from error
    if width * height > LARGEST_IMAGE:
        raise _too_large(path, f"{width} x {height}")
    if mode in _DEEP:
        raise InvalidValueError(
            f"{path}: image has pixels of mode {mode} (16 bits or more), expected 8 bits a colour; "
            "convert it, with its own white as 255"
        )
    return height, width


def _undecodable(path: str | Path, error: Exception) -> InvalidValueError:
    reason = str(error) or type(error).__name__
    # Pillow names the buffer by its address.
    reason = "no known image format" if "cannot identify" in reason else reason
    return InvalidValueError(
        f"{path}: image cannot be decoded: {reason}; expected one of {', '.join(_FORMATS)}, "
        "whole: copy it anew"
    )


def _too_large(path: str | Path, found: str) -> InvalidValueError:
    return InvalidValueError(
        f"{path}: image has too many pixels ({found}), expected at most {LARGEST_IMAGE}; it is "
        "damaged or no picture of a camera"
    )
