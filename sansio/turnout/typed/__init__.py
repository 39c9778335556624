"""Python classes and functions as JSON Schema, and answers as values of these classes."""
