"""Stands in for ``mmcv._ext``, the compiled operators of mmcv, where nothing was compiled.

mmdetection and mmdetection3d look every operator up when they are imported. HTCL calls none of
them; a network that does ends with the line below. ``bash tools/setup_env.sh --no-compiler`` puts
this file into mmcv's folder as ``_ext.py``.
"""


def __getattr__(name):
    """Any operator, by its name."""
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        raise RuntimeError(
            f"mmcv's operator {name} is not compiled here: set up with a C++ compiler (make setup, "
            "without --no-compiler) for networks that call it"
        )

    return missing
