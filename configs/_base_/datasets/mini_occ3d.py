# The synthetic streets of tools/make_mini_nuscenes.py with the labels of this benchmark.
_base_ = ["./occ3d.py"]

data_root = "{{$MINI_NUSCENES_ROOT:data/mini_nuscenes}}"

input_size = (128, 224)
num_history = 1

batch_size = 2
num_workers = 1
