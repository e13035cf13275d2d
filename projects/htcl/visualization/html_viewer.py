"""A self-contained HTML page to turn, compare and step through results.

k3d draws the voxels (its standalone snapshot carries all of its JavaScript, so the page needs no
network); ``html_viewer.js`` adds a panel with class switches, the choice of what is shown, and a
frame slider. Shape letters: X Y Z voxel.
"""

from __future__ import annotations

import base64
import html
import io
import json
import zlib
from collections.abc import Iterable
from pathlib import Path

import k3d
import numpy as np
from PIL import Image

from htcl.errors import InvalidValueError
from htcl.files import atomic_write
from htcl.geometry import VoxelGrid
from htcl.visualization.error_map import ERROR_NAMES, ERROR_PALETTE, error_map
from htcl.visualization.page import tile
from htcl.visualization.result_file import FrameResult

_PANEL_SCRIPT = Path(__file__).with_name("html_viewer.js")
_THUMBNAIL = (120, 300)
# The page counts the drawn classes from 1, because k3d leaves 0 out; its grids have this for what
# is not scored.
_NOT_SCORED = 255


def write_html(results: Iterable[FrameResult], path: str | Path) -> Path:
    """Writes one HTML file with all given frames, in the order of the slider; returns its path.

    A full-size frame takes about 0.2 MB, k3d itself about 1.2 MB.

    Raises:
        InvalidValueError: If there is no frame, or the frames differ in grid or classes.
    """
    frames, first = [], None
    for result in results:
        first = first or result
        if (result.grid, result.class_names) != (first.grid, first.class_names):
            raise InvalidValueError(
                f"frame {result.name} has another grid or other classes than {first.name}: "
                f"{result.prediction.shape} against {first.prediction.shape}; write separate pages"
            )
        frames.append(_frame_entry(result))
    if first is None:
        raise InvalidValueError("no frame to write into the page")

    drawn, grid = first.drawn_classes, first.grid
    classes = _entries([first.class_names[k] for k in drawn], first.palette[drawn])
    plot, ids = _plot(grid, classes)
    data = {
        "ids": ids,
        "size": list(grid.shape[::-1]),
        "classes": classes,
        "errors": _entries(ERROR_NAMES[1:], ERROR_PALETTE[1:]),
        "cameras": {"one": _camera(grid, 0.0), "both": _camera(grid, _beside(grid))},
        "widths": {"one": _width(grid, 0.0), "both": _width(grid, _beside(grid))},
        # Front and height of the upper near edge, which is the nearest to the eye.
        "near": [grid.origin[0], grid.upper[2]],
        "fieldOfView": plot.camera_fov,
        "ignore": _NOT_SCORED,
        "frames": frames,
    }
    # "</" and "<!--" would end the script element whatever the quotes around them.
    payload = json.dumps(data).replace("<", "\\u003c")
    script = f"const HTCL = {payload};\n{_PANEL_SCRIPT.read_text(encoding='ascii')}"
    page = plot.get_snapshot(additional_js_code=script)
    more = f" and {len(frames) - 1} more" if len(frames) > 1 else ""
    title = f"Voxel viewer: {first.name}{more}"
    start, end = page.index("<title>"), page.index("</title>")
    page = f"{page[:start]}<title>{html.escape(title)}{page[end:]}"
    with atomic_write(path, "w") as file:
        file.write(page)
    return Path(path)


def _frame_entry(result: FrameResult) -> dict[str, str | None]:
    """Packs one frame: name, small JPEG of the image, and grids as base64 of zlib of bytes."""
    thumbnail = io.BytesIO()
    Image.fromarray(tile(result.images, _THUMBNAIL)).save(thumbnail, format="JPEG", quality=80)
    number = np.zeros(256, dtype=np.uint8)
    number[result.drawn_classes] = np.arange(1, len(result.class_names))
    number[result.ignore_index] = _NOT_SCORED
    truth = errors = None
    if result.ground_truth is not None:
        truth, empty = _pack(number[result.ground_truth]), (result.empty_class, result.ignore_index)
        errors = _pack(error_map(result.prediction, result.ground_truth, *empty))
    return {
        "name": result.name,
        "prediction": _pack(number[result.prediction]),
        "truth": truth,
        "errors": errors,
        "in_view": _pack(result.in_view.astype(np.uint8)),
        "image": "data:image/jpeg;base64," + base64.b64encode(thumbnail.getvalue()).decode(),
    }


def _pack(grid: np.ndarray) -> str:
    """Packs a grid in k3d's order, (Z, Y, X)."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(grid.T).tobytes(), 9)).decode()


def _entries(names: Iterable[str], palette: np.ndarray) -> list[dict[str, str]]:
    return [
        {"name": name, "colour": "#{:02x}{:02x}{:02x}".format(*colour)}
        for name, colour in zip(names, palette, strict=True)
    ]


def _plot(grid: VoxelGrid, classes: list[dict[str, str]]) -> tuple[k3d.plot.Plot, list[int]]:
    """Builds the k3d scene: two empty voxel objects side by side, which the script fills."""
    origin, upper = np.array(grid.origin), np.array(grid.upper)
    # To the right of the car.
    right = grid.reference_from_car @ [0.0, -_beside(grid), 0.0]
    plot = k3d.plot(
        background_color=0xF3F5F8,
        camera_auto_fit=False,
        camera_up_axis="z",
        grid_visible=False,
        # k3d derives its near and far planes from the grid, also where it is not drawn.
        grid_auto_fit=False,
        grid=(*np.minimum(origin, origin + right), *np.maximum(upper, upper + right)),
        menu_visibility=False,
        axes_helper=0.8,
        axes=["front", "left", "up"] if grid.front == "x" else ["right", "front", "up"],
        lighting=1.6,
    )
    plot.camera = _camera(grid, 0.0)
    colours = [int(entry["colour"][1:], 16) for entry in classes]
    ids = []
    # Two places: the left one shows the chosen grid, the right one the ground truth when both are
    # shown.
    for place, name in enumerate(("shown", "beside")):
        shift = place * right
        voxels = k3d.voxels(
            np.zeros((1, 1, 1), dtype=np.uint8),
            color_map=colours,
            bounds=np.stack([origin + shift, upper + shift], axis=1).ravel().tolist(),
            outlines=True,
            outlines_color=0x303030,
            name=name,
        )
        plot += voxels
        ids.append(voxels.id)
    return plot, ids


def _beside(grid: VoxelGrid) -> float:
    """Returns how far to the right the second grid stands, in metres."""
    grid = grid.along_car()
    extent = np.subtract(grid.upper, grid.origin)
    return float(extent[1] + 0.08 * max(extent[0], extent[1]))


def _width(grid: VoxelGrid, beside: float) -> float:
    """Metres from left to right of one grid, or of two, with a little room."""
    return 1.04 * (grid.upper[1] - grid.origin[1] + beside)


def _camera(grid: VoxelGrid, beside: float) -> list[float]:
    """Returns k3d's camera (eye, target, up) on one grid, or two ``beside`` metres apart."""
    rotation, grid = grid.reference_from_car, grid.along_car()
    origin, extent = grid.origin, np.subtract(grid.upper, grid.origin)
    reach = float(max(extent[0], extent[1])) + 0.95 * beside
    middle = float(origin[1] + extent[1] / 2) - beside / 2
    eye = (float(origin[0]) - 0.30 * reach, middle, float(origin[2]) + 0.52 * reach)
    target = (float(origin[0] + 0.38 * extent[0]), middle, float(origin[2]))
    return [*(rotation @ eye), *(rotation @ target), 0.0, 0.0, 1.0]
