from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.voxel_files import write_voxel_labels, write_voxel_mask
from htcl.errors import InvalidValueError, MissingFileError

GRID = (16, 16, 4)
# The benchmark's own table, in which 0 stands for "unlabelled or not scored".
LEARNING_MAP = SEMANTICKITTI.point_map
GRID_ARGUMENTS = [
    "--grid-size",
    "16",
    "16",
    "4",
    "--voxel-size",
    "1",
    "--voxel-origin",
    "0",
    "-8",
    "-1",
]


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("evaluate_predictions.py")


def _frame(seed):
    """Raw ground truth with every id that the benchmark knows, mask, and prediction."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([*LEARNING_MAP], GRID).astype(np.uint16)
    invalid = rng.random(GRID) < 0.2
    prediction = np.where(rng.random(GRID) < 0.3, 0, rng.choice(SEMANTICKITTI.raw_ids, GRID))
    return truth, invalid, prediction.astype(np.uint16)


def _write(truth_dir, prediction_dir, frames):
    for name, (truth, invalid, prediction) in frames.items():
        write_voxel_labels(truth_dir / f"{name}.label", truth)
        write_voxel_mask(truth_dir / f"{name}.invalid", invalid)
        write_voxel_labels(prediction_dir / f"{name}.label", prediction)


@pytest.fixture
def roots(tmp_path):
    frames = {"000000": _frame(0), "000005": _frame(1)}
    truth, prediction = tmp_path / "kitti", tmp_path / "predictions"
    _write(truth / "sequences/08/voxels", prediction / "sequences/08/predictions", frames)
    return truth, prediction, frames


def _run(tool, *arguments):
    tool.evaluate(tool.parse_args([*map(str, arguments), *GRID_ARGUMENTS, "--ranges", "8"]))


def _add_camera(root, sequence="08"):
    """A camera at the lidar that looks ahead; in view is ``|y|`` < x, ``|z|`` < x / 2."""
    # The right cameras stand half a metre to the right.
    lines = [f"P{n}: 2 0 1.5 {-(n % 2)} 0 2 0.5 0 0 0 1 0" for n in range(4)]
    lines.append("Tr: 0 -1 0 0 0 0 -1 0 1 0 0 0")
    folder = root / "sequences" / sequence
    (folder / "calib.txt").write_text("\n".join(lines))
    (folder / "image_2").mkdir()
    Image.new("RGB", (4, 2)).save(folder / "image_2" / "000000.png")


def _in_view():
    """The same by hand: voxel centres x = 0.5 to 15.5, y = -7.5 to 7.5, z = -0.5 to 2.5."""
    x, y, z = np.meshgrid(
        np.arange(16) + 0.5, np.arange(16) - 7.5, np.arange(4) - 0.5, indexing="ij"
    )
    # The borders of the image belong to its left and upper pixels.
    return (-y >= -x) & (-y < x) & (-z >= -x / 2) & (-z < x / 2)


def _official(frames):
    """The benchmark's script in plain numpy, look-up table and all."""
    table = np.zeros(max(LEARNING_MAP) + 100, dtype=np.int32)
    table[list(LEARNING_MAP)] = list(LEARNING_MAP.values())
    table[table == 0] = 255
    table[0] = 0
    conf = np.zeros((20, 20), dtype=np.int64)
    for truth, invalid, prediction in frames.values():
        y, x = table[truth].reshape(-1), table[prediction].reshape(-1)
        keep = (y != 255) & ~invalid.reshape(-1)
        np.add.at(conf, (x[keep], y[keep]), 1)
    tp = np.diag(conf).astype(float)
    iou = tp / (conf.sum(axis=0) + conf.sum(axis=1) - tp + 1e-15)
    completion = conf[1:, 1:].sum() / (conf.sum() - conf[0, 0])
    return conf, iou, completion


def test_equals_the_official_script(tool, roots, tmp_path, capsys):
    truth, prediction, frames = roots
    out = tmp_path / "out"
    _run(tool, truth, prediction, "--json", out / "s.json", "--confusion", out / "c.png")
    report = json.loads((out / "s.json").read_text())
    (metric,) = report["provenance"]["metrics"]
    assert metric["frames"] == len(report["frames"])
    assert metric["scored_voxels"]["full"] == np.sum(report["confusion_rows_predicted"])
    conf, iou, completion = _official(frames)
    assert report["frames"] == ["08/000000", "08/000005"]
    assert report["confusion_rows_predicted"] == conf.tolist()
    assert report["percent"]["IoU"] == pytest.approx(100 * completion, abs=1e-9)
    assert report["percent"]["mIoU"] == pytest.approx(100 * iou[1:].mean(), abs=1e-9)
    assert report["percent"]["IoU_car"] == pytest.approx(100 * iou[1], abs=1e-9)
    assert (out / "c.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "8m" in printed
    assert f"{100 * completion:.2f}" in printed


def test_in_and_out_of_view_by_the_calibration(tool, roots, tmp_path, capsys):
    truth, prediction, frames = roots
    _add_camera(truth)
    _run(tool, truth, prediction, "--json", tmp_path / "scores.json")
    percent = json.loads((tmp_path / "scores.json").read_text())["percent"]
    mask = _in_view()
    for name, part in (("in_view", mask), ("out_of_view", ~mask)):
        cut = {key: [each[part] for each in frame] for key, frame in frames.items()}
        _, iou, completion = _official(cut)
        assert percent[f"{name}/IoU"] == pytest.approx(100 * completion, abs=1e-9)
        assert percent[f"{name}/mIoU"] == pytest.approx(100 * iou[1:].mean(), abs=1e-9)
    printed = capsys.readouterr().out
    assert "out_of_view" in printed and "without the columns" not in printed
    assert not any(name.startswith(("visible", "occluded")) for name in percent)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("calib.txt", "sequence 08: no calib.txt"), ("image_2/000000.png", "image_2: no image")],
)
def test_without_calibration_or_image_it_says_what_is_left_out(
    tool, roots, capsys, missing, message
):
    truth, prediction, _ = roots
    _add_camera(truth)
    (truth / "sequences/08" / missing).unlink()
    _run(tool, truth, prediction)
    printed = capsys.readouterr().out
    (said,) = (line for line in printed.splitlines() if "without the columns" in line)
    assert said.startswith("without the columns in_view and out_of_view: ") and message in said
    assert "frames: 2;" in printed and "| in_view" not in printed


def test_views_can_be_declined(tool, roots, capsys):
    truth, prediction, _ = roots
    _add_camera(truth)
    (truth / "sequences/08/calib.txt").write_text("broken")
    with pytest.raises(InvalidValueError, match=r"calib.txt: calibration lacks"):
        _run(tool, truth, prediction)
    _run(tool, truth, prediction, "--no-views")
    assert "view" not in capsys.readouterr().out


def test_plain_folders(tool, tmp_path, capsys):
    truth, prediction = tmp_path / "a", tmp_path / "b"
    _write(truth, prediction, {"000000": _frame(0)})
    _run(tool, truth, prediction)
    printed = capsys.readouterr().out
    assert "frames: 1;" in printed
    assert "out_of_view: a plain folder of ground truth has no calibration" in printed


def test_plain_predictions_for_one_sequence_only(tool, roots):
    truth, prediction, frames = roots
    plain = prediction / "sequences/08/predictions"
    _run(tool, truth, plain, "--sequences", "08")
    _write(truth / "sequences/09/voxels", prediction / "other", frames)
    with pytest.raises(InvalidValueError, match="fits one sequence only"):
        _run(tool, truth, plain, "--sequences", "08", "09")


def test_all_missing_predictions_are_listed(tool, roots):
    truth, prediction, _ = roots
    for file in (prediction / "sequences/08/predictions").glob("*"):
        file.unlink()
    with pytest.raises(MissingFileError, match=r"2 of 2 prediction files are missing") as error:
        _run(tool, truth, prediction)
    assert "000000.label" in str(error.value)
    assert "000005.label" in str(error.value)


def test_missing_masks_are_an_error_unless_declined(tool, roots):
    truth, prediction, _ = roots
    (truth / "sequences/08/voxels/000005.invalid").unlink()
    with pytest.raises(MissingFileError, match=r"1 of 2 mask"):
        _run(tool, truth, prediction)
    _run(tool, truth, prediction, "--no-invalid")


def test_wrong_size_names_the_file(tool, roots):
    truth, prediction, _ = roots
    file = prediction / "sequences/08/predictions/000005.label"
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(InvalidValueError, match=r"000005.label: .*2046 bytes, expected 2048"):
        _run(tool, truth, prediction)


@pytest.mark.parametrize("raw", [52, 7, 1000])
def test_predictions_that_cannot_be_scored_name_file_and_ids(tool, roots, raw):
    truth, prediction, frames = roots
    file = prediction / "sequences/08/predictions/000005.label"
    changed = frames["000005"][2].copy()
    changed[:] = raw
    write_voxel_labels(file, changed)
    with pytest.raises(InvalidValueError, match=rf"000005.label: .*raw ids \[{raw}\]"):
        _run(tool, truth, prediction)


def test_unscorable_ids_in_unscored_voxels_do_no_harm(tool, roots):
    truth, prediction, frames = roots
    _, invalid, predicted = frames["000005"]
    write_voxel_labels(
        prediction / "sequences/08/predictions/000005.label",
        np.where(invalid, 52, predicted).astype(np.uint16),
    )
    _run(tool, truth, prediction)


def test_ids_of_the_truth_that_are_in_no_map_are_refused(tool, roots):
    """Training ids in the place of raw ones, say: they would count as not scored, in silence."""
    truth, prediction, frames = roots
    file = truth / "sequences/08/voxels/000005.label"
    changed = frames["000005"][0].copy()
    changed[0, 0, :3] = 7
    write_voxel_labels(file, changed)
    with pytest.raises(InvalidValueError, match=r"000005.label: 1 unknown raw label id.*7 \(3 t"):
        _run(tool, truth, prediction)


def test_labels_of_infer_are_scored(tool, roots, capsys):
    """tools/infer.py writes SEQUENCE/FRAME.label."""
    truth, prediction, _ = roots
    (prediction / "sequences/08/predictions").rename(prediction / "08")
    (prediction / "sequences/08").rmdir()
    (prediction / "sequences").rmdir()
    _run(tool, truth, prediction)
    assert "frames: 2" in capsys.readouterr().out


def test_absent_sequence_lists_the_present_ones(tool, roots):
    truth, prediction, _ = roots
    with pytest.raises(MissingFileError, match=r"09; labelled sequences here: 08"):
        _run(tool, truth, prediction, "--sequences", "09")


def test_main_ends_with_one_message(tool, tmp_path, capsys):
    assert tool.main(["nowhere", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "evaluate_predictions: nowhere: no such folder\n"


def test_help_has_an_example(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(["--help"])
    assert "python tools/evaluate_predictions.py" in capsys.readouterr().out


def test_rules_of_kitti360(tool, tmp_path, capsys):
    """Trunk (71) is empty and scored, other-structure (52) counts, a label beats the mask."""
    name = "000000"
    truth, prediction = tmp_path / "truth", tmp_path / "prediction"
    raw = np.zeros(GRID, dtype=np.uint16)
    raw[0], raw[1], raw[2] = 71, 52, 10
    predicted = np.where(raw == 71, 10, raw).astype(np.uint16)
    invalid = np.ones(GRID, dtype=bool)
    invalid[3] = False
    write_voxel_labels(truth / f"{name}.label", raw)
    write_voxel_mask(truth / f"{name}.invalid", invalid, packed=False)
    write_voxel_labels(prediction / f"{name}.label", predicted)
    out = tmp_path / "scores.json"
    benchmark = ("--benchmark", "SSCBench-KITTI-360", "--sequences", "09", "--json", out)
    _run(tool, truth, prediction, *benchmark)
    percent = json.loads(out.read_text())["percent"]
    # Layers 0 to 3 are scored; the occupied are 1 and 2, predicted are 0, 1 and 2.
    assert percent["IoU"] == pytest.approx(200 / 3)
    assert percent["IoU_car"] == 50 and percent["IoU_other-structure"] == 100
    assert percent["mIoU"] == pytest.approx(150 / 18)
    with pytest.raises(MissingFileError, match="no folder data_2d_raw"):
        _run(tool, tmp_path, prediction, *benchmark)
