"""What callers may give in place of the vocabulary's values: keywords, dicts, functions and classes."""
