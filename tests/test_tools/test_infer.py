from __future__ import annotations

from pathlib import Path

import pytest
import torch

from htcl.apis import load_model
from htcl.config import load_config
from htcl.visualization.result_folder import latest_folder


@pytest.fixture
def tool(load_tool, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return load_tool("infer.py")


@pytest.fixture(scope="module")
def weights(repo_root, tmp_path_factory):
    """Config and random weights of a mini network by name."""

    def make(name):
        config = repo_root / f"projects/configs/occupancy/mini/{name}.py"
        checkpoint = tmp_path_factory.mktemp("weights") / "weights.pth"
        torch.manual_seed(0)
        torch.save({"state_dict": load_model(load_config(config), None).state_dict()}, checkpoint)
        return [str(config), str(checkpoint), "--device", "cpu"]

    return make


@pytest.fixture
def clip(kitti_tree):
    folder = kitti_tree / "sequences/00"
    return {
        "--left": folder / "image_2/000000.png",
        "--right": folder / "image_3/000000.png",
        "--calib": folder / "calib.txt",
    }


def line(*parts):
    """A command line of lists and of dicts of options."""
    listed = []
    for part in parts:
        flat = [x for pair in part.items() for x in pair] if isinstance(part, dict) else part
        listed += [str(x) for x in flat]
    return listed


def test_one_pair(tool, weights, clip, capsys):
    stereo = weights("htcl_egopose")
    assert tool.main(line(stereo, clip, ["--formats", "npz", "label", "--name", "me"])) == 0
    printed = capsys.readouterr().out
    out = latest_folder()
    assert {path.name for path in (out / "me").iterdir()} == {"000000.npz", "000000.label"}
    assert (out / "me/000000.label").stat().st_size == 4_194_304
    assert "1 frames in outputs/infer/me_" in printed and "visualization.py" in printed


def test_checkpoint_alone(tool, weights, clip, repo_root, tmp_path, capsys):
    """The config is the shipped one that it names; cameras of another kind are named."""
    _, checkpoint, *device = weights("htcl_egopose")
    state = torch.load(checkpoint, weights_only=True)
    name = "projects/configs/occupancy/mini/htcl_egopose.py"
    rigs = {"focal_length": [50.0, 60.0], "baseline": [0.01, 0.02]}
    torch.save({**state, "meta": {"config": name, "rigs": rigs}}, checkpoint)
    options = [*device, "--formats", "npz", "--name", "alone"]
    assert tool.main(line([checkpoint], clip, options)) == 0
    printed = capsys.readouterr()
    assert (latest_folder() / "alone/000000.npz").is_file()
    (said,) = [x for x in (printed.out + printed.err).splitlines() if "these cameras leave" in x]
    assert "stereo baseline 0.54 m (trained with 0.01 to 0.02)" in said

    # What a stranger's checkpoint carries is not run, and a file of that name is not looked for.
    foreign = tmp_path / "foreign.py"
    foreign.write_text("raise SystemExit('foreign code')")
    for meta in ({"config": str(foreign)}, {"cfg": "raise SystemExit('foreign code')"}):
        torch.save({**state, "meta": meta}, checkpoint)
        assert tool.main(line([checkpoint], clip, options)) == 1
        error = capsys.readouterr().err
        assert "give the config that it was trained with" in error and error.count("\n") == 1


def test_mono_ignores_the_right_image(tool, weights, clip, capsys):
    assert tool.main(line(weights("htcl_mono"), clip, ["--out", "o", "--formats", "label"])) == 0
    assert "--right is not used" in capsys.readouterr().out


def test_spacing_of_the_history(tool, weights, clip, kitti_tree, capsys, monkeypatch):
    from htcl.apis import HTCLInferencer

    given = []

    def call(self, inputs, **kwargs):
        given.append({key: value for key, value in kwargs.items() if "history" in key})
        return {"predictions": []}

    monkeypatch.setattr(HTCLInferencer, "__call__", call)
    start = line(weights("htcl_egopose"), clip, ["--formats", "label"])
    for words in ("", "--history-stride 5", "--history-stride 1 5 10", "--history-metres 2"):
        assert tool.main([*start, *words.split()]) == 0
    assert tool.main([*start, "--history-metres", "2", "--history-max-frames", "9"]) == 0
    keys = ("history_stride", "history_metres", "history_max_frames")
    assert given == [
        dict(zip(keys, values, strict=True))
        for values in (
            *((None, None, None), (5, None, None), ([1, 5, 10], None, None), (None, 2.0, None)),
            (None, 2.0, 9),
        )
    ]
    capsys.readouterr()
    assert tool.main([*start, "--history-stride", "1", "5"]) == 1
    assert "has 2 distances, but num_history is 3" in capsys.readouterr().err
    assert tool.main([*start, "--history-max-frames", "9"]) == 1
    assert "history_max_frames=9 limits history_metres" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([*start, "--history-metres", "2", "--history-stride", "5"])
    # A network that takes no poses has its frames chosen by them.
    posenet = line(weights("temporal_baseline"), clip, ["--formats", "label"])
    posenet += ["--poses", str(kitti_tree / "sequences/00/poses.txt")]
    capsys.readouterr()
    assert tool.main(posenet) == 0
    assert "--poses is not used" in capsys.readouterr().out
    assert tool.main([*posenet, "--history-metres", "2"]) == 0
    assert "--poses is not used" not in capsys.readouterr().out


def test_errors_are_one_line(tool, weights, clip, shared_dir, capsys):
    stereo = weights("htcl_egopose")

    def error_of(**changes):
        changed = {f"--{key}": value for key, value in changes.items()}
        assert tool.main(line(stereo, clip | changed)) == 1
        printed = capsys.readouterr().err
        # No bar that ends before it began.
        assert "0/" not in printed
        error = printed.strip().splitlines()[-1]
        assert error.startswith("infer: ")
        return error

    bad = shared_dir / "data/bad_calib/calib_without_Tr.txt"
    assert "calibration lacks Tr" in error_of(calib=bad)
    assert "calibration file not found" in error_of(calib="none.txt")
    assert "no such image" in error_of(left="none.png")
    both = clip["--left"].parent, clip["--right"].parent
    assert "--poses" in error_of(left=both[0], right=both[1])
    assert "12 left images but 1 right ones" in error_of(left=both[0])
    with pytest.raises(SystemExit) as error:
        tool.main(line(stereo, clip, ["--poses", "p", "--static"]))
    assert error.value.code == 2


def test_real_frames(tool, weights, real_kitti, capsys):
    folder = real_kitti / "dataset/sequences/00"
    clip = {
        "--left": folder / "image_2",
        "--right": folder / "image_3",
        "--calib": folder / "calib.txt",
        "--poses": folder / "poses.txt",
    }
    options = ["--max-frames", "1", "--out", "o", "--formats", "npz", "png"]
    assert tool.main(line(weights("htcl_egopose"), clip, options)) == 0
    assert "1 frames in o/00" in capsys.readouterr().out
    assert sorted(path.name for path in Path("o/00").iterdir()) == ["000000.npz", "000000.png"]


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "..", "a\nb"])
def test_a_name_stays_in_the_output(run_tool, kitti_tree, tmp_path, capsys, name):
    image = kitti_tree / "sequences/00/image_2/000000.png"
    arguments = ("--left", image, "--calib", kitti_tree / "sequences/00/calib.txt")
    out = tmp_path / 'a folder\'s "out"'
    # Refused before the network is looked for.
    assert run_tool("infer.py", "c.py", "c.pth", *arguments, "--out", out, f"--name={name}") == 1
    assert "--name" in (told := capsys.readouterr().err) and "cannot be the name" in told
    assert not out.exists()
