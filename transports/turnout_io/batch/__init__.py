"""Batches on a router: `run` for rows of any source, `turnout_io.batch.files.run_file` for files that resume."""

from turnout_io.batch.run import Control, run

__all__ = ["Control", "run"]
