"""The spelling here, for the keywords, attributes and names that users of other libraries try first."""
