# What every run shares: plugin, hooks, logging, seeds.
custom_imports = dict(imports=["htcl.plugin"], allow_failed_imports=False)
# mmengine's own registry, where the plugin's classes are too. mmdetection3d's would import all its
# data sets, metrics and visualisers; its parts go by their full name (type="mmdet3d.SECONDFPN").
default_scope = "mmengine"

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="SafeCheckpointHook",
        interval=1,
        max_keep_ckpts=2,
        save_best="mIoU",
        rule="greater",
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    # Dropout repeats itself when a run is resumed.
    step_seed=dict(type="StepSeedHook"),
    # Checkpoints say which cameras they were trained with, by which config and code.
    training_facts=dict(type="TrainingFactsHook"),
    # What to do where a loss or a gradient is NaN or infinite: "stop", or "skip" the step.
    finite_step=dict(type="FiniteStepHook", on_failure="stop"),
    scores_file=dict(type="ScoresFileHook"),
)
custom_hooks = [
    dict(type="LossTransferHook"),
    dict(type="ProgressBarHook"),
    dict(type="PredictionPictureHook", interval=1000),
    dict(type="TrainIoUHook", interval=50),
]

visualizer = dict(
    type="Visualizer",
    vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")],
)
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)
log_level = "INFO"

# deterministic=True stops a GPU run at the first operator that has no deterministic version, which
# this network needs. On a CPU the tools switch deterministic operators on by themselves
# (docs/differences_from_release.md).
randomness = dict(seed=0, deterministic=False)
env_cfg = dict(
    # On a GPU the first steps try which convolutions are fastest.
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    # After so many seconds without an answer of another process, the run ends.
    dist_cfg=dict(backend="nccl", timeout=600),
)
# Workspace of one convolution on a GPU at most, MiB; without a limit, trying takes all memory.
cudnn_workspace_mb = 1024
load_from = None
# Weights to start from of which less fits are refused: the share of the network's entries that they
# fill, or of their own that the network takes, whichever is larger.
load_from_min_fit = 0.95
resume = False
