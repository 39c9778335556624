"""The blocking driver. `tools/unasync.py` generates the files of this folder from `_async`: edit those."""
