# The released network at toy size.
_base_ = ["./htcl_egopose.py", "../../../../configs/_base_/models/htcl_released.py"]

pixels = "released"
history_images = "released"
# Half a bin late, as released.
depth_first_edge = 2.5
# The released depths reach twice as far as the bins. The released scale is 3 % below the true one,
# which is 1/5 here (312/3 columns for 520 pixels).
_base_.released.stereo.disparity_scale = 0.194
_base_.released.temporal.sweep_range = (0.0, 48.0)
model = _base_.released
