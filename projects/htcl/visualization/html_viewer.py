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

from htcl.datasets.labels import IGNORE_INDEX, PALETTE
from htcl.visualization.error_map import ERROR_NAMES, ERROR_PALETTE, error_map
from htcl.visualization.page import fit
from htcl.visualization.result_file import FrameResult
from htcl.visualization.views import field_of_view

_PANEL_SCRIPT = Path(__file__).with_name("html_viewer.js")
_THUMBNAIL = (120, 300)


def write_html(
    results: Iterable[FrameResult],
    path: str | Path,
    palette: np.ndarray = PALETTE,
) -> Path:
    """Writes one HTML file with all given frames.

    A full-size frame takes about 0.2 MB, k3d itself about 1.2 MB.

    Args:
        results: The frames, in the order of the slider; all with the same grid and class names.
        path: File to write.
        palette: RGB colour of every label, uint8 (K, 3).

    Returns:
        The path.

    Raises:
        ValueError: If there is no frame, or the frames differ in grid or classes.
    """
    frames, first = [], None
    for result in results:
        first = first or result
        if (result.prediction.shape, result.class_names) != (
            first.prediction.shape,
            first.class_names,
        ):
            raise ValueError(
                f"frame {result.name} has another grid or other classes than {first.name}: "
                f"{result.prediction.shape} against {first.prediction.shape}; write separate pages"
            )
        frames.append(_frame_entry(result))
    if first is None:
        raise ValueError("no frame to write into the page")

    plot, ids = _plot(first, palette)
    box = (first.voxel_origin, np.array(first.prediction.shape) * first.voxel_size)
    data = {
        "ids": ids,
        "size": list(first.prediction.shape[::-1]),
        "classes": _entries(first.class_names[1:], palette[1:]),
        "errors": _entries(ERROR_NAMES[1:], ERROR_PALETTE[1:]),
        "cameras": {"one": _camera(*box, 0.0), "both": _camera(*box, _beside(box[1]))},
        "ignore": IGNORE_INDEX,
        "frames": frames,
    }
    # "</" would end the script element whatever the quotes around it.
    payload = json.dumps(data).replace("</", "<\\/")
    script = f"const HTCL = {payload};\n{_PANEL_SCRIPT.read_text(encoding='ascii')}"
    page = plot.get_snapshot(additional_js_code=script)
    title = f"Voxel viewer: {first.name}" + (
        f" and {len(frames) - 1} more" if len(frames) > 1 else ""
    )
    start, end = page.index("<title>"), page.index("</title>")
    page = f"{page[:start]}<title>{html.escape(title)}{page[end:]}"
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _frame_entry(result: FrameResult) -> dict[str, str | None]:
    """Packs one frame: name, small JPEG of the image, and grids as base64 of zlib of bytes."""
    thumbnail = io.BytesIO()
    Image.fromarray(fit(result.left, _THUMBNAIL)).save(thumbnail, format="JPEG", quality=80)
    in_view = field_of_view(
        result.prediction.shape,
        result.voxel_origin,
        result.voxel_size,
        result.left_projection,
        result.lidar_from_camera,
        result.left.shape[:2],
    )
    truth = result.ground_truth
    return {
        "name": result.name,
        "prediction": _pack(result.prediction),
        "truth": None if truth is None else _pack(truth),
        "errors": None
        if truth is None
        else _pack(error_map(result.prediction, truth, IGNORE_INDEX)),
        "in_view": _pack(in_view.astype(np.uint8)),
        "image": "data:image/jpeg;base64," + base64.b64encode(thumbnail.getvalue()).decode(),
    }


def _pack(grid: np.ndarray) -> str:
    """Packs a grid in k3d's order, (Z, Y, X)."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(grid.T).tobytes(), 9)).decode()


def _entries(names: Iterable[str], palette: np.ndarray) -> list[dict[str, str]]:
    return [
        {"name": name, "colour": "#{:02x}{:02x}{:02x}".format(*colour)}
        for name, colour in zip(names, palette, strict=False)
    ]


def _plot(result: FrameResult, palette: np.ndarray) -> tuple[k3d.plot.Plot, list[int]]:
    """Builds the k3d scene: two empty voxel objects side by side, which the script fills."""
    origin = result.voxel_origin
    extent = np.array(result.prediction.shape) * result.voxel_size
    beside = _beside(extent)
    plot = k3d.plot(
        background_color=0xF3F5F8,
        camera_auto_fit=False,
        camera_up_axis="z",
        grid_visible=False,
        # k3d derives its near and far planes from the grid, also where it is not drawn.
        grid_auto_fit=False,
        grid=(origin[0], origin[1] - beside, origin[2], *(origin + extent)),
        menu_visibility=False,
        axes_helper=0.8,
        axes=["front", "left", "up"],
        lighting=1.6,
    )
    plot.camera = _camera(origin, extent, 0.0)
    colours = [
        int(r) << 16 | int(g) << 8 | int(b) for r, g, b in palette[1 : len(result.class_names)]
    ]
    ids = []
    # Two places: the left one shows the chosen grid, the right one the ground truth when both are
    # shown.
    for place, name in enumerate(("shown", "beside")):
        shift = -place * beside
        lower = origin + np.array([0.0, shift, 0.0])
        voxels = k3d.voxels(
            np.zeros((1, 1, 1), dtype=np.uint8),
            color_map=colours,
            bounds=np.stack([lower, lower + extent], axis=1).ravel().tolist(),
            outlines=True,
            outlines_color=0x303030,
            name=name,
        )
        plot += voxels
        ids.append(voxels.id)
    return plot, ids


def _beside(extent: np.ndarray) -> float:
    """Returns how far to the right the second grid stands, in metres."""
    return float(extent[1] + 0.08 * max(extent[0], extent[1]))


def _camera(origin: np.ndarray, extent: np.ndarray, beside: float) -> list[float]:
    """Returns k3d's nine camera numbers: eye, target, up.

    They show one grid, or two that stand ``beside`` metres apart.
    """
    reach = float(max(extent[0], extent[1])) + 0.95 * beside
    middle = float(origin[1] + extent[1] / 2) - beside / 2
    eye = (float(origin[0]) - 0.30 * reach, middle, float(origin[2]) + 0.52 * reach)
    target = (float(origin[0] + 0.38 * extent[0]), middle, float(origin[2]))
    return [*eye, *target, 0.0, 0.0, 1.0]
