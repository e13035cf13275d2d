# The synthetic mini data set of tools/make_mini_kitti.py, in SemanticKITTI's layout.
_base_ = ["./loaders.py"]

dataset_type = "SemanticKITTISSC"
specification = dict(base="SemanticKITTI")
data_root = "{{$MINI_KITTI_ROOT:data/mini}}"
train_sequences = ("00", "01", "02", "03", "04", "05", "06", "07", "10")
val_sequences = ("08", "09")
test_sequences = ("11",)

input_size = (96, 320)
num_history = 3
history_stride = 1

batch_size = 4
num_workers = 1
