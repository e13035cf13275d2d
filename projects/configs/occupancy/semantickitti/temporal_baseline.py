# The released network, number by number.
_base_ = ["./htcl_egopose.py", "../../../../configs/_base_/models/htcl_released.py"]

pixels = "released"
history_images = "released"
depth_first_edge = 2.25
model = _base_.released
