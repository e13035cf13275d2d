"""The rows of benchmarks/ablation.py, and the scores that its table has of each."""

from __future__ import annotations

from typing import NamedTuple

CONFIG = "projects/configs/occupancy/mini/htcl_plus_streets.py"
SHIPPED_CONFIG = "projects/configs/occupancy/mini/htcl_plus.py"
POINTS_CONFIG = "projects/configs/occupancy/mini/htcl_points.py"
# Start of rows that go on from the shipped checkpoint.
SHIPPED = "shipped"
# A network that begins looks for surfaces before it tells them apart, as in `make train-mini`.
FIRST_STAGE = ("class_weights=1" + ",3" * 19,)


class Row(NamedTuple):
    """One variant of the network.

    Attributes:
        title: Name in the table.
        options: Overrides of the config, as for ``--cfg-options``.
        start: The row whose network of the first stage it starts from, or the shipped checkpoint.
        config: The config.
    """

    title: str
    options: tuple[str, ...] = ()
    start: str = "stereo"
    config: str = CONFIG


def _points(title: str, *options: str) -> Row:
    return Row(title, options, SHIPPED, POINTS_CONFIG)


TEMPORAL = "model.temporal"
AFFINITY = f"{TEMPORAL}.affinity"
LEFT_CAMERA = ("model.stereo=None", "model.depth_fusion=None")
NO_MATCHING = (f"{TEMPORAL}=None", "model.temporal_fusion=None")
NO_HISTORY = (f"{TEMPORAL}=None", "model.temporal_fusion=None", "num_history=0")
# The release froze its pose net; trained, its geometry has its best chance.
RELEASED = (
    f"{TEMPORAL}.pose.type=PoseNet",
    f"{TEMPORAL}.pose.trainable=True",
    f"{TEMPORAL}.intrinsics=released",
    f"{TEMPORAL}.sweep_range=(0,48)",
    f"{TEMPORAL}.behind=released",
    "history_images=released",
)
ROWS = {
    "mono": Row("one image", (*LEFT_CAMERA, *NO_HISTORY), start="mono"),
    "stereo": Row("stereo, no history", NO_HISTORY),
    "released": Row("released temporal geometry", RELEASED),
    "right": Row("right geometry"),
    "left_released": Row(
        "left camera alone, released temporal geometry", (*LEFT_CAMERA, *RELEASED), start="mono"
    ),
    "left_right": Row("left camera alone, right geometry", LEFT_CAMERA, start="mono"),
    "no_affinity": Row("without affinity weights", (f"{AFFINITY}=None",)),
    "one_dilation": Row("without scale isolation", (f"{AFFINITY}.dilations=(1,1,1)",)),
    "shared_learner": Row(
        "without multi-group contexts", (f"{AFFINITY}.independent_learners=False",)
    ),
    "no_deformable": Row(
        "without deformable refinement", (f"{TEMPORAL}.refinement.deformable=False",)
    ),
    "history_1": Row("one history frame", ("num_history=1",)),
    "history_2": Row("two history frames", ("num_history=2",)),
    "correlation": Row(
        "correlation of learned features in place of patches",
        (f"{TEMPORAL}.volume.type=CorrelationVolume",),
    ),
    "no_correction": Row("history does not correct the depth", (f"{TEMPORAL}.depth_score=None",)),
    "plus": Row("matching alone (htcl_plus)", start=SHIPPED, config=SHIPPED_CONFIG),
    "still": Row("no history", NO_HISTORY, start=SHIPPED, config=SHIPPED_CONFIG),
    "points": _points("matching and points, all believed", "model.point_history.trust=None"),
    "points_trust": _points("matching and points by trust (htcl_points)"),
    "points_alone": _points("points by trust, no matching", *NO_MATCHING),
    "points_spread": _points(
        "whole distributions in place of points", "model.point_history.depth=distribution"
    ),
    "points_mean": _points("points at the mean depth", "model.point_history.depth=expectation"),
    "points_far": _points(
        "points as heavy far away as near", "model.point_history.far_weight=none"
    ),
    # The matching keeps its three frames.
    "points_dense": _points("denser present", "model.view_transformer.density=2"),
    "points_1": _points("points of one frame", "model.point_history.num_history=1"),
    "points_2": _points("points of two frames", "model.point_history.num_history=2"),
    "points_4": _points("points of four frames", "num_history=4", f"{TEMPORAL}.num_history=3"),
    "points_wide": _points("points of three frames, three frames apart", "history_stride=3"),
    "points_8": _points("points of eight frames", "num_history=8", f"{TEMPORAL}.num_history=3"),
    "boundary": _points("with boundary distances", "boundary_weight=0.1"),
}
# Regions that the tables have: how the keys of their scores begin, and how we call them.
REGIONS = {
    "": "whole",
    "in_view/": "in view",
    "out_of_view/": "out of view",
    "12.8m/": "to 12.8 m",
    "25.6m/": "to 25.6 m",
}
DEPTH = "depth, mean -ln p"
METRICS = {
    f"{region}{score}": f"{score} {words}, %"
    for region, words in REGIONS.items()
    for score in ("IoU", "mIoU")
} | {"depth": DEPTH}
