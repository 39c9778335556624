"""The blocking HTTP/1.1 client. `tools/unasync.py` generates the files of this folder from `_async`: edit those."""
