"""OpenOccupancy and Occ3D on nuScenes' tables: matrices, history, labels and what is refused."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import nuscenes_tree as tree
import pytest

from htcl.datasets.nuscenes_frames import CAMERAS
from htcl.datasets.nuscenes_infos import read_infos
from htcl.datasets.nuscenes_occupancy import NuScenesOccupancy
from htcl.datasets.nuscenes_tables import NuScenesTables
from htcl.datasets.occ3d_nuscenes import Occ3DNuScenes
from htcl.errors import InvalidValueError, MissingFileError

PIPELINE = [
    {"type": "LoadImages", "input_size": (32, 64)},
    {"type": "LoadVoxelLabels"},
    {"type": "LoadLidarPoints"},
    {"type": "PackInputs"},
]
SCENE = tree.SCENES[0]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tree that no test may change."""
    return tree.write_tree(tmp_path_factory.mktemp("nuscenes"))


@pytest.fixture
def writable(root, tmp_path):
    """A copy for tests that change tables."""
    return shutil.copytree(root, tmp_path / "nuscenes")


def camera_at(name, time, reference):
    """``reference_from_camera`` by the definition: both poses, of their own times."""
    return (
        np.linalg.inv(reference)
        @ tree.world_from_ego(time + tree.DELAYS[name])
        @ tree.ego_from_camera(name)
    )


@pytest.mark.parametrize("kind", [NuScenesOccupancy, Occ3DNuScenes])
def test_cameras_are_where_they_fired(root, kind):
    """Frame 2 is 1 s after the start; the front left camera fired 0.5 m before the scan's place."""
    dataset = kind(str(root), num_history=0)
    assert [info["frame"] for info in dataset] == [f"{SCENE}-{i}" for i in range(4)]
    info = dataset[2]
    reference = tree.world_from_ego(1.0)
    if kind is NuScenesOccupancy:
        reference = reference @ tree.EGO_FROM_LIDAR
    assert [camera["name"] for camera in info["cameras"]] == list(CAMERAS)
    for camera in info["cameras"]:
        expected = camera_at(camera["name"], 1.0, reference)
        np.testing.assert_allclose(camera["reference_from_camera"], expected, atol=1e-9)
    still = np.linalg.inv(reference) @ tree.world_from_ego(1.0) @ tree.ego_from_camera(CAMERAS[0])
    moved = info["cameras"][0]["reference_from_camera"][:3, 3] - still[:3, 3]
    assert np.linalg.norm(moved) == pytest.approx(tree.SPEED * 0.05)


def test_lidar_is_placed_on_the_car(root):
    """Occ3D's grid is the ego's: a point at the lidar's origin is 0.9 m ahead, 1.8 m up."""
    info = Occ3DNuScenes(str(root), num_history=0)[0]
    np.testing.assert_allclose(info["reference_from_lidar"], tree.EGO_FROM_LIDAR, atol=1e-9)
    info = NuScenesOccupancy(str(root), num_history=0)[0]
    np.testing.assert_allclose(info["reference_from_lidar"], np.eye(4), atol=1e-9)


def test_points_of_occ3d_are_in_its_grid(root):
    dataset = Occ3DNuScenes(str(root), num_history=0, pipeline=PIPELINE)
    inputs = dataset[0]["inputs"]
    scan = np.fromfile(dataset.get_data_info(0)["lidar"], "<f4").reshape(-1, 5)[:, :3]
    # The lidar's x is the car's right, its y the car's front.
    moved = np.column_stack([scan[:, 1] + 0.9, -scan[:, 0], scan[:, 2] + 1.8])
    inside = ((moved >= (-40, -40, -1)) & (moved < (40, 40, 5.4))).all(axis=1)
    np.testing.assert_allclose(inputs["points"], moved[inside], atol=1e-5)


def test_history_follows_each_camera(root):
    """Two key frames back is 10 m back, along each camera's own axes."""
    dataset = NuScenesOccupancy(str(root), num_history=2)
    info = dataset[3]
    for camera in info["cameras"]:
        assert [path.split("/")[-1] for path in camera["history"]] == [
            f"{camera['name']}-{tree._stamp(t + tree.DELAYS[camera['name']])}.png"
            for t in (0.5, 1.0)
        ]
        back = tree.ego_from_camera(camera["name"])[:3, :3].T @ [-10.0, 0, 0]
        np.testing.assert_allclose(camera["current_from_history"][0, :3, 3], back, atol=1e-6)


def test_history_of_sweeps(root):
    """Pictures of 8 Hz: four of them are the way of a key frame."""
    dataset = NuScenesOccupancy(
        str(root), num_history=2, history_stride=(1, 4), history_frames="sweeps"
    )
    assert len(dataset) == tree.NUM_KEY_FRAMES
    front = dataset[2]["cameras"][CAMERAS.index("CAM_FRONT")]
    assert ["sweeps" in path for path in front["history"]] == [False, True]
    np.testing.assert_allclose(
        front["current_from_history"][:, :3, 3], [[0, 0, -5], [0, 0, -1.25]], atol=1e-6
    )


def test_history_ends_where_time_jumps(writable):
    """The second key frame is left out: 1 s lies between its neighbours."""
    gone = f"{SCENE}-1"
    tree.change_table(writable, "sample", lambda rows: [r for r in rows if r["token"] != gone])
    tree.change_table(
        writable, "sample_data", lambda rows: [r for r in rows if r["sample_token"] != gone]
    )
    reached = NuScenesOccupancy(str(writable), num_history=1)[1]["cameras"][0]["history"]
    cut = NuScenesOccupancy(str(writable), num_history=1, history_gap_seconds=0.8)[1]
    assert reached != [cut["cameras"][0]["image"]]
    assert cut["cameras"][0]["history"] == [cut["cameras"][0]["image"]]
    cut = NuScenesOccupancy(str(writable), num_history=1, history_gap_metres=8.0)[1]
    assert cut["cameras"][0]["history"] == [cut["cameras"][0]["image"]]


def test_samples(root):
    """Images, labels and, of Occ3D, masks come through the one pipeline."""
    sample = NuScenesOccupancy(str(root), num_history=1, pipeline=PIPELINE)[1]
    assert sample["inputs"]["images"].shape == (6, 3, 32, 64)
    assert sample["inputs"]["history"].shape == (1, 6, 3, 32, 64)
    labels = sample["data_samples"].gt_voxels.semantics.numpy()
    assert labels.shape == (512, 512, 40)
    assert np.count_nonzero(labels == 11) == 200 * 200
    assert np.count_nonzero(labels == 4) == 10 * 20 * 8
    assert np.count_nonzero(labels == 255) == 9
    truth = Occ3DNuScenes(str(root), num_history=0, pipeline=PIPELINE)[0]["data_samples"].gt_voxels
    assert np.count_nonzero(truth.semantics.numpy() == 17) == 200 * 200 * 15 - 10 * 10 * 4
    assert truth.mask_camera.float().mean() == pytest.approx(0.3, abs=0.01)
    assert truth.mask_lidar[truth.mask_camera].all()


def published(root):
    """The infos of OpenOccupancy's form, from the same tables."""
    infos = []
    for scene in tree.SCENES:
        for moment, _ in NuScenesTables(root, tree.VERSION).moments(scene):
            time = (moment.time - tree._stamp(0) * 1e-6) % 1000
            ego = tree._placed(moment.world_from_ego)
            cameras = {}
            for name, reading in moment.cameras.items():
                car = tree._placed(tree.world_from_ego(time + tree.DELAYS[name]))
                placed = tree._placed(tree.ego_from_camera(name))
                cameras[name] = {
                    "data_path": f"./data/nuscenes/{reading.file}",
                    "timestamp": round(reading.time * 1e6),
                    "cam_intrinsic": reading.intrinsics[:3, :3],
                    "sensor2ego_translation": placed["translation"],
                    "sensor2ego_rotation": placed["rotation"],
                    "ego2global_translation": car["translation"],
                    "ego2global_rotation": car["rotation"],
                }
            lidar = tree._placed(tree.EGO_FROM_LIDAR)
            infos.append(
                {
                    "token": moment.token,
                    "scene_token": moment.scene_token,
                    "lidar_token": moment.lidar.token,
                    "lidar_path": f"./data/nuscenes/{moment.lidar.file}",
                    "timestamp": round(moment.time * 1e6),
                    "lidar2ego_translation": lidar["translation"],
                    "lidar2ego_rotation": lidar["rotation"],
                    "ego2global_translation": ego["translation"],
                    "ego2global_rotation": ego["rotation"],
                    "cams": cameras,
                }
            )
    return infos


def test_published_pickle_says_what_the_tables_say(writable):
    path = writable / "nuscenes_occ_infos_train.pkl"
    tree.change_table(
        writable, "sample_data", lambda rows: [row for row in rows if row["is_key_frame"]]
    )
    path.write_bytes(pickle.dumps({"infos": published(writable)[::-1], "metadata": {}}))
    by_tables = [*NuScenesOccupancy(str(writable)), *NuScenesOccupancy(str(writable), split="val")]
    shutil.rmtree(writable / tree.VERSION)
    by_pickle = list(NuScenesOccupancy(str(writable), info_file=str(path)))
    assert len(by_pickle) == 2 * tree.NUM_KEY_FRAMES
    for one, other in zip(by_tables, by_pickle, strict=True):
        assert (one["frame"], one["lidar"]) == (other["frame"], other["lidar"])
        assert one["labels"] == other["labels"]
        for a, b in zip(one["cameras"], other["cameras"], strict=True):
            assert a["history"] == b["history"]
            for key in ("reference_from_camera", "current_from_history", "intrinsics"):
                np.testing.assert_allclose(a[key], b[key], atol=1e-6)


class Program:
    """What a pickle of a stranger may hold."""

    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"infos": [{"token": "a"}]}, "frame a: there is no 'ego2global_translation'"),
        ({"other": []}, "found \\['other'\\], expected a dict with the list 'infos'"),
        (Program(), "it asks for builtins.print"),
        ({"infos": [3]}, "frame 0: no info of nuScenes"),
    ],
)
def test_wrong_pickles(root, tmp_path, content, message):
    path = tmp_path / "infos.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InvalidValueError, match=message) as error:
        read_infos(path)
    assert str(path) in str(error.value)


def test_pickle_without_scenes_is_refused(root, tmp_path):
    infos = published(root)
    del infos[0]["scene_token"]
    path = tmp_path / "infos.pkl"
    path.write_bytes(pickle.dumps({"infos": infos}))
    with pytest.raises(InvalidValueError, match=f"{SCENE}-0 names no scene_token"):
        NuScenesOccupancy(str(root), info_file=str(path))


def without(channel, sample):
    """Drops the key frame of a sensor."""
    return lambda rows: [
        row
        for row in rows
        if not (channel in row["token"] and row["sample_token"] == sample and row["is_key_frame"])
    ]


def test_camera_missing_in_one_frame(writable):
    tree.change_table(writable, "sample_data", without("CAM_BACK-", f"{SCENE}-2"))
    with pytest.raises(InvalidValueError) as error:
        NuScenesOccupancy(str(writable))
    for part in ("sample_data.json", f"scene {SCENE} frame {SCENE}-2", "CAM_BACK,", "sequences"):
        assert part in str(error.value)
    # The other scene is whole.
    assert len(NuScenesOccupancy(str(writable), split="val")) == tree.NUM_KEY_FRAMES


def test_ego_pose_missing(writable):
    tree.change_table(writable, "ego_pose", lambda rows: rows[1:])
    with pytest.raises(InvalidValueError) as error:
        NuScenesOccupancy(str(writable))
    for part in ("ego_pose.json: no row pose-CAM_FRONT_LEFT-", f"frame {SCENE}-0"):
        assert part in str(error.value)


def test_sensor_missing(writable):
    tree.change_table(writable, "calibrated_sensor", lambda rows: rows[1:])
    with pytest.raises(InvalidValueError, match="no row mounted-CAM_FRONT_LEFT, which samples/"):
        NuScenesOccupancy(str(writable))


def test_key_frame_twice(writable):
    def doubled(rows):
        row = next(r for r in rows if r["is_key_frame"] and "CAM_BACK-" in r["token"])
        return [*rows, {**row, "token": "again"}]

    tree.change_table(writable, "sample_data", doubled)
    with pytest.raises(InvalidValueError, match=f"frame {SCENE}-0 has two key frames of CAM_BACK"):
        NuScenesOccupancy(str(writable))


def test_pose_that_is_none(writable):
    def bent(rows):
        return [{**rows[0], "rotation": [1, 1, 0, 0]}, *rows[1:]]

    tree.change_table(writable, "ego_pose", bent)
    with pytest.raises(InvalidValueError, match=r"rotation \(1, 1, 0, 0\), expected .* length 1"):
        NuScenesOccupancy(str(writable))


def test_pose_of_another_place(writable):
    """A camera cannot be 1 km from the car that it is on."""

    def moved(rows):
        row = next(r for r in rows if r["token"].startswith("pose-CAM_BACK-"))
        row["translation"][0] += 1000
        return rows

    tree.change_table(writable, "ego_pose", moved)
    with pytest.raises(InvalidValueError, match=f"frame {SCENE}-0 CAM_BACK: .* would stand"):
        NuScenesOccupancy(str(writable))


def test_missing_tables_are_named_together(writable):
    for name in ("ego_pose", "sensor"):
        (writable / tree.VERSION / f"{name}.json").unlink()
    with pytest.raises(MissingFileError, match="2 of nuScenes' tables are missing") as error:
        NuScenesOccupancy(str(writable))
    assert "ego_pose.json" in str(error.value)
    assert "sensor.json" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[{", "no readable table"), ('[{"token": "a"}]', "a row has no '"), ("3", "a list of rows")],
)
def test_damaged_tables(writable, text, message):
    path = writable / tree.VERSION / "sample.json"
    path.write_text(text)
    with pytest.raises(InvalidValueError, match=message) as error:
        NuScenesOccupancy(str(writable))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (NuScenesOccupancy, f"nuScenes-Occupancy/scene_token-{SCENE}/occupancy"),
        (Occ3DNuScenes, f"gts/{SCENE}/{SCENE}-2/labels.npz"),
    ],
)
def test_token_without_label_file(writable, kind, missing):
    path = writable / missing
    path = sorted(path.glob("*"))[2] if path.is_dir() else path
    path.unlink()
    with pytest.raises(MissingFileError, match="1 files are missing") as error:
        kind(str(writable), pipeline=PIPELINE)
    assert str(path) in str(error.value)
    assert f"sequence {SCENE} frame {SCENE}-2, LoadVoxelLabels" in str(error.value)


def test_folder_of_labels_is_asked_for(writable):
    shutil.rmtree(writable / "nuScenes-Occupancy")
    with pytest.raises(MissingFileError, match="may be elsewhere: key label_root"):
        NuScenesOccupancy(str(writable), pipeline=PIPELINE)


def test_no_tables(tmp_path):
    with pytest.raises(MissingFileError, match=r"no tables for the split train .*v1.0-trainval"):
        NuScenesOccupancy(str(tmp_path))
    with pytest.raises(MissingFileError, match="nowhere: no such folder"):
        NuScenesOccupancy(str(tmp_path / "nowhere"))


def test_unknown_scene(root):
    with pytest.raises(MissingFileError, match=r"1 of the 1 scenes .* not in the tables"):
        NuScenesOccupancy(str(root), sequences="scene-0061")


def test_count_of_the_split_is_said(root, monkeypatch):
    """4 key frames are no release of OpenOccupancy's training split."""
    lines = []
    monkeypatch.setattr(
        "htcl.datasets.occupancy_dataset.print_log", lambda text, **_: lines.append(text)
    )
    NuScenesOccupancy(str(root), num_history=0)
    said = "\n".join(lines)
    assert "OpenOccupancy train: 4 frames, as in no known release" in said
    assert "28130 in the v1.0-trainval, 323 in the v1.0-mini" in said


def test_examination_reads_every_file(writable):
    """What check_data runs: a cut label and a mask of another shape are found."""
    path = next((writable / "gts" / SCENE).rglob("labels.npz"))
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "mask_camera": arrays["mask_camera"][:100]})
    dataset = Occ3DNuScenes(str(writable), check_files=False, lazy_init=True)
    problems, checks = dataset.examine(SCENE)
    assert problems == []
    found = {check.paths: check.problems() for check in checks}
    wrong = {paths: texts for paths, texts in found.items() if texts}
    assert list(wrong) == [(str(path),)]
    (text,) = wrong[(str(path),)]
    assert "mask_camera is uint8 (100, 200, 16), expected uint8 (200, 200, 16)" in text
    kinds = [check.kind for check in checks]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "image": 4 * 6,
        "lidar": 4,
        "voxels": 4,
    }


def test_official_splits(tmp_path):
    """The development kit's: 700, 150 and 150 scenes; the small version has 8 and 2 of them."""
    from htcl.datasets.nuscenes_dataset import _splits

    whole, small = _splits(tmp_path, "v1.0-trainval"), _splits(tmp_path, "v1.0-mini")
    assert [len(whole[name]) for name in ("train", "val", "test")] == [700, 150, 150]
    assert [len(small[name]) for name in ("train", "val")] == [8, 2]
    # Two scenes of the small training split are of the whole validation split.
    assert len({*small["train"]} & {*whole["val"]}) == 2
    assert {*small["train"], *small["val"]} < {*whole["train"], *whole["val"]}
