"""The async driver, the source of the blocking one in `_sync`."""
