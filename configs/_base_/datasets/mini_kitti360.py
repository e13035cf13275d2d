# The synthetic mini data set of tools/make_mini_kitti.py --layout kitti360.
_base_ = ["./kitti360.py"]

data_root = "{{$MINI_KITTI360_ROOT:data/mini360}}"

input_size = (96, 320)
history_stride = 1

batch_size = 4
num_workers = 1
