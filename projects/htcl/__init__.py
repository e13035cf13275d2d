"""HTCL: hierarchical temporal context learning for camera-based 3D semantic scene completion.

``htcl.plugin`` registers everything with mmdetection3d; configs name it in ``custom_imports``. This
package itself imports nothing, so that a tool which needs one part does not wait for all.
"""

__version__ = "0.2.0"
