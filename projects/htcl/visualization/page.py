"""A white page of captioned pictures (H, W, 3), laid out in rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN, GAP, CAPTION = 24, 12, 30
# Sizes of type, and height of a line of notes.
CAPTION_SIZE, NOTE_SIZE, NOTE_STEP = 18, 14, 22
# What the pictures of voxels mean.
NOTES = ("Darker, beyond the white line: out of view. Grey lines: every 10 m.",)
INK, FAINT_INK = (34, 34, 40), (105, 105, 115)


class Page:
    """Collects rows of pictures from top to bottom and draws them on a sheet ``width`` wide."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._height = MARGIN
        self._pictures: list[tuple[int, int, np.ndarray]] = []
        self._texts: list[tuple[int, int, str, int, bool, tuple[int, int, int]]] = []

    def add_title(self, title: str, note: str = "") -> None:
        """Adds a line of large type with a smaller note at its right end."""
        left = self.width - MARGIN - int(font(22).getlength(note))
        title = shortened(title, font(28, True), left - GAP - MARGIN)
        self._texts.append((MARGIN, self._height, title, 28, True, INK))
        self._texts.append((left, self._height + 5, note, 22, False, INK))
        self._height += 50

    def add_row(
        self, pictures: Sequence[tuple[str, np.ndarray]], columns: Sequence[int], height: int
    ) -> None:
        """Adds pictures side by side, each with its caption above it.

        Args:
            pictures: Caption and uint8 (H, W, 3) picture. Further lines of a caption are smaller.
            columns: Width of every column in pixels; a picture is centred in its column.
            height: Height of the row below its captions.
        """
        left = MARGIN
        lines = [caption.split("\n") for caption, _ in pictures]
        above = CAPTION + NOTE_STEP * (max(map(len, lines)) - 1)
        for (caption, *notes), (_, picture), width in zip(lines, pictures, columns, strict=False):
            title = shortened(caption, font(CAPTION_SIZE), width)
            self._texts.append((left, self._height, title, CAPTION_SIZE, False, FAINT_INK))
            for i, note in enumerate(notes):
                note_top = self._height + CAPTION - 5 + NOTE_STEP * i
                self._texts.append((left, note_top, note, NOTE_SIZE, False, INK))
            top = self._height + above + (height - picture.shape[0]) // 2
            self._pictures.append((left + (width - picture.shape[1]) // 2, top, picture))
            left += width + GAP
        self._height += above + height + GAP

    def draw(self) -> np.ndarray:
        """Returns the sheet, uint8 (H, W, 3)."""
        sheet = Image.new("RGB", (self.width, self._height + MARGIN - GAP), (255, 255, 255))
        for left, top, picture in self._pictures:
            sheet.paste(Image.fromarray(picture), (left, top))
        pen = ImageDraw.Draw(sheet)
        for left, top, text, size, bold, colour in self._texts:
            pen.text((left, top), text, fill=colour, font=font(size, bold))
        return np.asarray(sheet)


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Returns DejaVu Sans, which matplotlib carries: the machine's own fonts differ."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def shortened(text: str, type_face: ImageFont.FreeTypeFont, width: float) -> str:
    """Returns as much of a text as ``width`` pixels hold, with an ellipsis if that is not all."""
    if type_face.getlength(text) <= width:
        return text
    while text and type_face.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def draw_legend(
    names: Sequence[str],
    palette: np.ndarray,
    size: tuple[int, int],
    columns: int = 1,
    notes: Sequence[str] = (),
) -> np.ndarray:
    """Draws colour patches with names, column by column, and notes below them, uint8 (H, W, 3).

    ``palette`` is the RGB colour of each of the K names, uint8 (K, 3); ``size`` is (H, W).
    """
    height, width = size
    picture = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    rows = -(-len(names) // columns)
    note_height = NOTE_STEP * len(notes)
    step = min(36.0, (height - note_height - 6) / max(rows, 1))
    patch = int(min(22, 0.68 * step))
    for i, (name, colour) in enumerate(zip(names, palette, strict=True)):
        left, top = (i // rows) * (width // columns), int((i % rows) * step)
        box = (left, top, left + patch, top + patch)
        pen.rectangle(box, fill=tuple(int(c) for c in colour), outline=(90, 90, 90))
        place = (left + patch + 10, top + patch / 2 + 1)
        pen.text(place, name, fill=INK, font=font(int(0.86 * patch)), anchor="lm")
    for i, note in enumerate(notes):
        place = (0, height - note_height + NOTE_STEP * i)
        pen.text(place, note, fill=FAINT_INK, font=font(NOTE_SIZE))
    return np.asarray(picture)


def resize(picture: np.ndarray, size: tuple[int, int], smooth: bool = True) -> np.ndarray:
    """Scales a picture, uint8 (H, W, 3) or bool (H, W), to the height and width ``size``.

    Unless it is ``smooth``, the pixels stay visible as squares.
    """
    sampling = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize(size[::-1], sampling))


def fitted_size(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Returns the largest height and width of that shape that fit into ``size``."""
    scale = min(size[0] / shape[0], size[1] / shape[1])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def tile_size(count: int, shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of each of ``count`` pictures of one shape that :func:`tile` arranges."""

    def cell(columns: int) -> tuple[int, int]:
        room = [
            max((side - (n - 1) * GAP) // n, 1)
            for side, n in zip(size, (-(-count // columns), columns), strict=True)
        ]
        return fitted_size(shape, (room[0], room[1]))

    return max(map(cell, range(1, count + 1)))


def tile(pictures: Sequence[np.ndarray] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Arranges uint8 (H, W, 3) of one shape in rows, as large as a sheet of ``size`` allows."""
    height, width = tile_size(len(pictures), pictures[0].shape[:2], size)
    columns = min((size[1] + GAP) // (width + GAP), len(pictures))
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    sheet = np.full(shape, 255, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = resize(picture, (height, width))
    return sheet
