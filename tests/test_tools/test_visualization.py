"""tools/visualization.py on made-up result files."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.visualization import FrameResult
from htcl.visualization.result_folder import mark_latest, result_path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "visualization.py"
ROWS = ["--row-height", "100"]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("visualization_tool", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three frames of two sequences: a road of 16 x 16 cells with a box on it."""
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((16, 16, 4), dtype=np.uint8)
    labels[:, :, 0] = 9
    labels[8:10, 6:9, 1:3] = 1
    camera = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)
    intrinsics = np.array([[40, 0, 39.5, 0], [0, 40, 11.5, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    for sequence, frame in (("08", "000000"), ("08", "000005"), ("09", "000000")):
        result = FrameResult(
            prediction=labels,
            ground_truth=labels,
            images=np.full((1, 24, 80, 3), 128, np.uint8),
            intrinsics=intrinsics[None],
            reference_from_camera=camera[None],
            voxel_origin=np.array([0.0, -6.4, -2.0]),
            voxel_size=0.8,
            sequence=sequence,
            frame=frame,
            class_names=SEMANTICKITTI.class_names,
            palette=SEMANTICKITTI.colours,
        )
        result.save(result_path("results", sequence, frame))
    return Path("results")


def written(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_pictures_of_what_was_saved_last(tool, folder, capsys):
    mark_latest(folder)
    assert tool.main(ROWS) == 0
    pictures = folder / "pictures"
    assert written(pictures) == ["08/000000.png", "08/000005.png", "09/000000.png"]
    assert Image.open(pictures / "08" / "000000.png").width > 500
    assert "wrote 3 files in" in capsys.readouterr().out


def test_one_frame_with_errors_elsewhere(tool, folder, capsys):
    command = ["results", "--frame", "08/000005", "--error", "--out", "there", *ROWS]
    assert tool.main(command) == 0
    assert written(Path("there")) == ["08/000005.png"]
    assert "wrote there/08/000005.png" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_a_video_for_each_sequence(tool, folder, ending):
    assert tool.main(["results", "--video", ending, "--out", "v", *ROWS]) == 0
    assert written(Path("v")) == [f"08.{ending}", f"09.{ending}"]


def test_page_and_meshes(tool, folder):
    assert tool.main(["results", "--html", "--mesh", "--max-frames", "1", "--out", "o"]) == 0
    assert written(Path("o")) == [
        "08/000000_prediction.ply",
        "08/000000_truth.ply",
        "viewer.html",
    ]
    assert tool.main(["results", "--mesh", "classes", "--frame", "09", "--out", "c"]) == 0
    assert "09/000000_prediction_car.ply" in written(Path("c"))


def test_errors_are_one_line(tool, folder, capsys, monkeypatch):
    def message(*command):
        assert tool.main(list(command)) == 1
        return capsys.readouterr().err

    assert "outputs/vis/latest.txt does not exist" in message()
    assert "folder none does not exist" in message("none")
    assert "holds no frame '10'" in message("results", "--frame", "10")
    assert "08/000000 holds no depth_plane" in message("results", "--depth")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "needs a display" in message("results", "--window")
    (folder / "08" / "000000.npz").write_bytes(b"broken")
    assert "000000.npz: not a readable .npz file" in message("results")


@pytest.mark.parametrize(
    ("option", "value"), [("--max-frames", "0"), ("--fps", "0"), ("--row-height", "10")]
)
def test_values_out_of_range(tool, option, value, capsys):
    with pytest.raises(SystemExit):
        tool.main([option, value])
    assert option in capsys.readouterr().err


def other_result(**changes):
    """Writes a copy of the first frame with changes; returns its path."""
    first = FrameResult.load("results/08/000000.npz")
    return str(dataclasses.replace(first, **changes).save("other/08/000000.npz"))


def test_comparison_of_one_frame(tool, folder, capsys):
    other = other_result(prediction=np.zeros((16, 16, 4), np.uint8))
    command = ["results", "--frame", "08/000000", "--compare", other, other, *ROWS]
    assert tool.main(command) == 0
    page = folder / "pictures" / "08" / "000000_comparison.png"
    assert f"wrote {page}" in capsys.readouterr().out
    three = Image.open(page)
    # The first result may also be a file; with one other there is a column less.
    command = ["results/08/000000.npz", "--compare", other, "--out", "o", "--titles", "A", "B"]
    assert tool.main([*command, *ROWS]) == 0
    assert written(Path("o")) == ["08/000000_comparison.png"]
    two = Image.open("o/08/000000_comparison.png")
    assert two.height == three.height and two.width < 0.8 * three.width


def test_comparison_errors_name_files(tool, folder, capsys):
    def message(*command):
        assert tool.main([*command, *ROWS]) == 1
        return capsys.readouterr().err

    first, second = "results/08/000000.npz", "results/08/000005.npz"
    text = message(first, "--compare", second)
    assert f"cannot compare with {first}: {second} has frame 08/000005" in text
    assert "--compare draws one frame, results gives 3" in message("results", "--compare", second)
    assert "no result file none.npz" in message(first, "--compare", "none.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--titles", "A"], "add --compare"),
        (["--compare", "b.npz", "--titles", "A"], "--titles has 1 names, expected 2"),
        (["--compare", "b.npz", "--error", "--video", "gif"], "leave out --error --video"),
    ],
)
def test_options_that_do_not_fit_together(tool, options, message, capsys):
    with pytest.raises(SystemExit):
        tool.main(["a.npz", *options])
    assert message in capsys.readouterr().err
