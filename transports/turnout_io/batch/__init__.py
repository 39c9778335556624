"""Batches on a router: `run` for rows of any source, `BatchFiles` for files that resume."""

from turnout_io.batch.files import BatchFiles, describe_models
from turnout_io.batch.run import Control, run

__all__ = ["BatchFiles", "Control", "describe_models", "run"]
