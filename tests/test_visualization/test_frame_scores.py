from __future__ import annotations

import numpy as np

from htcl.visualization.frame_scores import frame_scores, view_scores


def test_scores_of_the_frame(make_result):
    truth = np.zeros((2, 2, 2), dtype=np.uint8)
    prediction = truth.copy()
    truth[0], prediction[0] = 9, 9  # four hits
    prediction[1, 0] = 13  # two invented
    truth[0, 0, 0] = 13  # one of the wrong class
    truth[1, 1] = 255  # two not scored
    text = frame_scores(make_result(prediction=prediction, ground_truth=truth))
    # Occupied: 4 of 6. Road 3 of 4, building 0 of 3.
    assert "IoU 66.7 %" in text and "mIoU 37.5 % (2 classes present)" in text


def test_scores_in_and_out_of_view(make_result):
    truth = np.zeros((2, 2, 2), dtype=np.uint8)
    truth[:, 0], truth[:, 1] = 9, 13
    prediction = truth.copy()
    prediction[1, 0] = 0  # out of view two of the four occupied voxels are missed
    in_view = np.zeros((2, 2, 2), dtype=bool)
    in_view[0] = True
    result = make_result(prediction=prediction, ground_truth=truth)
    assert view_scores(result, in_view) == [
        "In view: IoU 100.0 %   mIoU 100.0 % (2 classes present)",
        "Out of view: IoU 50.0 %   mIoU 50.0 % (2 classes present)",
    ]
    assert view_scores(make_result(ground_truth=None), in_view) == []


def test_a_class_that_only_the_network_invents_is_not_present(make_result):
    """Half of the cars are taken for class 2, which the frame has not: IoU of the cars 1/2."""
    truth = np.zeros((8, 8, 4), dtype=np.uint8)
    truth[0, :4] = 1
    prediction = truth.copy()
    prediction[0, :2] = 2
    text = frame_scores(make_result(prediction=prediction, ground_truth=truth))
    assert "IoU 100.0 %" in text and "mIoU 50.0 % (1 classes present)" in text
