"""The inferencer with the mini networks (random weights) on made-up and on real frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.registry import INFERENCERS
from PIL import Image

from htcl.apis import HTCLInferencer
from htcl.apis.clip_reader import ClipReader
from htcl.config import load_config
from htcl.datasets.history_spacing import HistorySpacing
from htcl.datasets.semantickitti_specification import SEMANTICKITTI
from htcl.datasets.voxel_files import read_voxel_labels
from htcl.errors import InvalidValueError, MissingFileError
from htcl.visualization import FrameResult


@pytest.fixture(scope="module")
def stereo(mini_weights):
    return HTCLInferencer(*mini_weights("htcl_egopose"), device="cpu", show_progress=False)


@pytest.fixture(scope="module")
def mono(mini_weights):
    return HTCLInferencer(*mini_weights("htcl_mono"), device="cpu", show_progress=False)


@pytest.fixture
def clip(kitti_tree):
    folder = kitti_tree / "sequences" / "00"
    return {
        "left": str(folder / "image_2"),
        "right": str(folder / "image_3"),
        "calib": str(folder / "calib.txt"),
        "poses": str(folder / "poses.txt"),
    }


def test_registered_and_aware_of_the_config(stereo, mono):
    assert INFERENCERS.get("HTCLInferencer") is HTCLInferencer
    inputs = frozenset({"images", "right", "history", "current_from_history"})
    assert stereo.clips == ClipReader(SEMANTICKITTI, inputs, HistorySpacing(3, 1))
    assert mono.clips == ClipReader(SEMANTICKITTI, frozenset({"images"}), HistorySpacing(0, 1))


def test_no_right_image_without_stereo(mini_weights, clip):
    """A network of which only the model was changed asks for what it needs, and no more."""
    options = {"model.stereo": None, "model.depth_fusion": None}
    config, _ = mini_weights("htcl_egopose")
    inferencer = HTCLInferencer(config, device="cpu", show_progress=False, cfg_options=options)
    inputs = inferencer.clips.inputs
    assert "right" not in inputs and "current_from_history" in inputs
    left = {key: value for key, value in clip.items() if key != "right"}
    assert len(inferencer(left, max_frames=1)["predictions"]) == 1


def test_how_many_frames_there_will_be(mono, clip):
    """The progress bar knows its end before a frame is read; a video's is not known."""
    frames = len(list(Path(clip["left"]).iterdir()))
    assert mono.clips.count(clip, 1, None) == frames
    assert mono.clips.count(clip, frames, None) == 1
    # The first, and one more.
    assert mono.clips.count(clip, frames - 1, None) == 2
    assert mono.clips.count(clip, 1, 2) == 2


def test_same_samples_as_the_data_set(stereo, kitti_tree, clip):
    """Images, geometry, history and motion equal those of the data set, frame by frame."""
    from mmengine.registry import DATASETS

    cfg = load_config(stereo.cfg.filename).test_dataloader.dataset
    cfg.update(
        data_root=str(kitti_tree),
        sequences=("00",),
        frames="images",
        labels=False,
        inputs=stereo.model.required_inputs,
    )
    dataset = DATASETS.build(cfg)
    batches = stereo.preprocess([clip], batch_size=4)
    samples = [sample for batch in batches for sample in batch]
    assert len(samples) == len(dataset) == 12
    for index in (0, 2, 7):
        ours, theirs = stereo.pipeline(samples[index])["inputs"], dataset[index]["inputs"]
        assert set(ours) == set(theirs)
        for inputs in (ours, theirs):
            inputs.update(vars(inputs.pop("cameras")))
        for key, value in theirs.items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(ours[key], value, rtol=0, atol=1e-5)
            else:
                assert ours[key] == value


def test_files_of_every_format(stereo, clip, tmp_path):
    found = stereo(
        clip | {"name": "mine"},
        batch_size=2,
        max_frames=2,
        every=2,
        out_dir=tmp_path,
        formats=["npz", "label", "png"],
        row_height=120,
        return_vis=True,
    )
    assert [p["frame"] for p in found["predictions"]] == ["000000", "000002"]
    assert len(found["visualization"]) == 2
    result = FrameResult.load(tmp_path / "mine" / "000002.npz")
    assert result.prediction.shape == (256, 256, 32) and result.ground_truth is None
    assert result.image_sizes.tolist() == [[38, 124]] and len(result.history) == 3
    raw = read_voxel_labels(tmp_path / "mine" / "000002.label")
    np.testing.assert_array_equal(
        SEMANTICKITTI.voxels_from_raw(raw, strict=True), result.prediction
    )
    picture = np.asarray(Image.open(tmp_path / "mine" / "000002.png"))
    np.testing.assert_array_equal(picture, found["visualization"][1])
    summary = found["predictions"][1]
    assert sum(summary["voxels"].values()) == 256 * 256 * 32
    assert set(summary["files"]) == {"npz", "label", "png"}


@pytest.fixture
def matched(stereo):
    """Numbers of frames that went through the matching network, a number a prediction."""
    counts = []
    hook = stereo.model.temporal.matching.register_forward_pre_hook(
        lambda module, args: counts.append(args[0].shape[1])
    )
    yield counts
    hook.remove()


def chosen(sample):
    (camera,) = sample["cameras"]
    return [int(path[-10:-4]) for path in camera["history"]]


def test_spacing_of_a_call(stereo, clip):
    """The car of the fixture drives a little more than 1 m a frame."""

    def last(**options):
        *_, (sample,) = stereo.preprocess([clip], **options)
        return chosen(sample)

    assert last() == [8, 9, 10]
    assert last(history_stride=[1, 5, 9]) == [2, 6, 10]
    assert last(history_metres=2.0) == [5, 7, 9]
    assert last(history_metres=5.0) == [0, 1, 6]
    assert last(history_metres=5.0, history_max_frames=7) == [4, 4, 6]
    with pytest.raises(InvalidValueError, match="say the same thing in two ways"):
        last(history_stride=2, history_metres=2.0)
    # Of every third image, two are closer than 7 m to the present, and 7 images are two of these.
    few = {
        side: [f"{clip[side]}/{number:06d}.png" for number in (0, 3, 6, 9)]
        for side in ("left", "right")
    }
    for limit, expected in ((50, [0, 0, 0]), (7, [3, 3, 3])):
        options = {"history_metres": 7.0, "history_max_frames": limit}
        *_, (sample,) = stereo.preprocess([clip | few], **options)
        assert chosen(sample) == expected


def test_spacing_of_a_stream(stereo, clip):
    def reach(**options):
        return stereo.stream(clip["calib"], static=True, **options)._builder.spacing.reach

    assert reach() == 3
    assert reach(history_stride=4) == 12
    assert reach(history_metres=1.0) == 50
    assert reach(history_metres=1.0, history_max_frames=20) == 20


def test_a_stream_by_metres_needs_no_more(mini_weights, clip):
    """Metres are the same at every rate of a camera, so the config's count there too."""
    config, _ = mini_weights("htcl_egopose")
    options = {"history_metres": 2.0, "history_max_frames": 30}
    inferencer = HTCLInferencer(config, device="cpu", show_progress=False, cfg_options=options)
    assert inferencer.clips.spacing == HistorySpacing(3, 1, 2.0, 30)
    stream = inferencer.stream(clip["calib"])
    assert stream._builder.spacing == inferencer.clips.spacing
    stream = inferencer.stream(clip["calib"], history_stride=5)
    assert stream._builder.spacing == HistorySpacing(3, 5, None, 30)


def test_external_depth_is_not_offered(mini_weights, monkeypatch):
    from htcl.models import HTCL

    config, _ = mini_weights("htcl_mono")
    monkeypatch.setattr(HTCL, "required_inputs", frozenset({"images", "depth_prior"}))
    with pytest.raises(InvalidValueError, match=r"external depth \(depth_prior\).*docs/data\.md"):
        HTCLInferencer(config, device="cpu")


def test_frames_are_matched_once(stereo, clip, matched):
    """A frame's features serve its prediction and those whose history it is in."""

    alone = []
    for batch in stereo.preprocess([clip], max_frames=3):
        alone += [prediction.data_sample for prediction in stereo.forward(batch)]
    assert matched == [4] * 3
    # A second call begins anew: files may have changed.
    for frames in (3, 1):
        matched.clear()
        found = stereo(clip, max_frames=frames, return_datasamples=True)["predictions"]
        assert matched == [1] * frames
        assert_same(found, alone[:frames])


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, 4),
        ({"history_stride": 5}, 16),
        ({"history_stride": (1, 5, 10)}, 11),
        ({"history_metres": 2.0}, 51),
        ({"history_metres": 2.0, "history_max_frames": 7}, 8),
    ],
)
def test_memory_covers_the_history(stereo, clip, options, size, monkeypatch):
    given = []
    monkeypatch.setattr(stereo, "forward", lambda batch, memory: given.append(memory) or [])
    stereo(clip, max_frames=1, **options)
    assert [memory.size for memory in given] == [size]


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        same = ours.pred_voxels.semantics == theirs.pred_voxels.semantics
        assert same.float().mean() > 0.999
        torch.testing.assert_close(
            ours.temporal_affinity, theirs.temporal_affinity, rtol=1e-3, atol=1e-3
        )


def test_two_streams_do_not_mix(stereo, clip, kitti_tree, matched):
    """Frames of both have the same names."""
    folder = kitti_tree / "sequences" / "00"
    streams = [stereo.stream(clip["calib"], static=True) for _ in range(2)]
    results = []
    for stream, frame in zip(streams, (0, 7), strict=True):
        left, right = (
            np.asarray(Image.open(folder / side / f"{frame:06d}.png"))
            for side in ("image_2", "image_3")
        )
        results.append(stream.step(left, right))
    assert matched == [1, 1]
    alone = stereo.stream(clip["calib"], static=True).step(left, right)
    np.testing.assert_array_equal(results[1].prediction, alone.prediction)
    np.testing.assert_array_equal(results[1].temporal_affinity, alone.temporal_affinity)
    assert not np.array_equal(results[0].temporal_affinity, alone.temporal_affinity)
    with pytest.raises(InvalidValueError, match="frame 0 comes after frame 0: numbers must go up"):
        streams[0].step(left, right, number=0)


def test_precision(mini_weights, mono):
    config, checkpoint = mini_weights("htcl_mono")
    half = HTCLInferencer(config, checkpoint, "cpu", show_progress=False, precision="bf16")
    assert half.predictor._dtype == torch.bfloat16
    assert mono.predictor._dtype is None
    with pytest.raises(InvalidValueError, match="precision='half'"):
        HTCLInferencer(config, checkpoint, "cpu", precision="half")


def test_stream_equals_the_folder(stereo, clip, kitti_tree):
    folder = kitti_tree / "sequences" / "00"
    expected = stereo(clip, max_frames=3, return_datasamples=True)["predictions"]
    assert isinstance(expected[0], Det3DDataSample)
    poses = np.loadtxt(clip["poses"]).reshape(-1, 3, 4)
    stream = stereo.stream(clip["calib"])
    for index in range(3):
        left, right = (
            np.asarray(Image.open(folder / side / f"{index:06d}.png"))
            for side in ("image_2", "image_3")
        )
        result = stream.step(left, right, np.vstack([poses[index], [0, 0, 0, 1]]), number=index)
    np.testing.assert_array_equal(
        result.prediction, expected[2].pred_voxels.semantics.cpu().numpy()
    )
    with pytest.raises(InvalidValueError, match="after frame 2 comes 4, expected 3"):
        stream.step(left, right, np.eye(4), number=4)


def test_mono_takes_the_left_image_of_any_size(mono, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (90, 160, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "c.yml").write_text(
        "{image_size: [180, 320], fx: 200, fy: 200, cx: 160, cy: 90,"
        " camera: {height: 1.5, pitch: 2}}"
    )
    clip = {"left": tmp_path / "a.png", "calib": tmp_path / "c.yml"}
    sample = next(iter(mono.preprocess(mono._inputs_to_list(clip))))[0]
    inputs = mono.pipeline(sample)["inputs"]
    assert inputs["images"].shape == (1, 3, 96, 320) and "right" not in inputs
    # The calibrated image is twice as large; the network image is twice the given one, its lower
    # 96 of 180 rows. So the network sees the calibrated pixels, 84 rows further up.
    camera = inputs["cameras"][0]
    whole = camera.image_transform @ camera.intrinsics[:3, :3]
    expected = torch.tensor([[200.0, 0, 160], [0, 200, 90 - 84], [0, 0, 1]])
    torch.testing.assert_close(whole, expected)
    assert mono(clip)["predictions"][0]["frame"] == "a"


def test_poses(stereo, clip, tmp_path):
    without = {key: value for key, value in clip.items() if key != "poses"}
    with pytest.raises(InvalidValueError, match=r"--poses.*--static"):
        stereo(without)
    sample = list(stereo.preprocess([without], static=True, max_frames=3))[2][0]
    motion = stereo.pipeline(sample)["inputs"]["current_from_history"]
    torch.testing.assert_close(motion, torch.eye(4).repeat(3, 1, 1, 1))
    # One frame alone does not move.
    alone = {
        **without,
        "left": clip["left"] + "/000003.png",
        "right": clip["right"] + "/000003.png",
    }
    assert len(list(stereo.preprocess([alone]))) == 1
    # A frame's number is the line of a file for the whole sequence.
    later = {
        side: [f"{clip[side]}/{number:06d}.png" for number in (3, 4)] for side in ("left", "right")
    }
    sample = list(stereo.preprocess([{**clip, **later}]))[1][0]
    lines = np.loadtxt(clip["poses"])[3:5].reshape(2, 3, 4)
    before, now = (np.vstack([line, [0, 0, 0, 1]]) for line in lines)
    motion = sample["cameras"][0]["current_from_history"]
    np.testing.assert_allclose(motion[-1], np.linalg.inv(now) @ before)
    short = tmp_path / "poses.txt"
    short.write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * 5)
    with pytest.raises(InvalidValueError, match="5 poses for 12 frames"):
        stereo({**clip, "poses": short})


def test_gaps(stereo, kitti_tree, clip):
    folder = kitti_tree / "sequences" / "00"
    chosen = [f"{n:06d}.png" for n in (0, 1, 3)]
    lists = {
        "left": [folder / "image_2" / name for name in chosen],
        "right": [folder / "image_3" / name for name in chosen],
    }
    with pytest.raises(InvalidValueError, match="after frame 000001 comes 000003"):
        stereo({**clip, **lists})
    gap = lists
    lists = {key: [files[0].with_name(f"{n:06d}.png") for n in (0, 5, 10)]
             for key, files in lists.items()}  # fmt: skip
    with pytest.raises(InvalidValueError, match=r"steps of 5.*--history-stride 5"):
        stereo({**clip, **lists})
    batches = list(stereo.preprocess([{**clip, **lists}], history_stride=5))
    (camera,) = batches[2][0]["cameras"]
    assert [path[-10:-4] for path in (*camera["history"], camera["image"])] == [
        "000000", "000000", "000005", "000010",
    ]  # fmt: skip
    # Frames without history need no order.
    alone = replace(stereo.clips, spacing=HistorySpacing(0))
    samples = alone.samples({**clip, **gap}, alone.spacing, False, 1, None)
    assert [sample["frame"] for sample in samples] == ["000000", "000001", "000003"]


def test_other_errors(stereo, mono, clip, mini_weights, tmp_path):
    with pytest.raises(InvalidValueError, match="needs the right images"):
        stereo({"left": clip["left"], "calib": clip["calib"]})
    with pytest.raises(InvalidValueError, match="an input is a dict with left and calib"):
        stereo({"left": clip["left"]})
    with pytest.raises(InvalidValueError, match="unknown formats"):
        stereo(clip, formats=["obj"])
    with pytest.raises(ValueError, match="unknown argument"):
        stereo(clip, colour="red")
    config, checkpoint = mini_weights("htcl_mono")
    with pytest.raises(InvalidValueError, match="does not fit config"):
        HTCLInferencer(mini_weights("htcl_egopose")[0], checkpoint, device="cpu")
    with pytest.raises(MissingFileError, match="checkpoint"):
        HTCLInferencer(config, tmp_path / "none.pth", device="cpu")
    with pytest.raises(MissingFileError, match="config"):
        HTCLInferencer(tmp_path / "none.py")


def test_real_frames(stereo, real_kitti):
    folder = real_kitti / "dataset/sequences/00"
    clip = {
        "left": folder / "image_2",
        "right": folder / "image_3",
        "calib": folder / "calib.txt",
        "poses": folder / "poses.txt",
    }
    found = stereo(clip, every=5, history_stride=5, return_datasamples=True)["predictions"]
    assert [sample.frame for sample in found] == ["000000", "000005"]
    assert [tuple(size) for size in found[1].image_sizes] == [(376, 1241)]
    assert found[1].pred_voxels.semantics.shape == (256, 256, 32)
