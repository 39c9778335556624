"""Configuration as values, read from plain mappings. This package opens no file and reads no environment variable."""
