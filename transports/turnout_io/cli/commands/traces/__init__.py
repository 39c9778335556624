"""`turnout explain`, `trace` and `replay`: how calls were decided."""
