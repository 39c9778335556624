"""What many modules use and no user imports: validators, plain values, tables of names, files of text."""
