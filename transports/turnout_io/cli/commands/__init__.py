"""The commands of `turnout`: a file or a folder for each. They are imported when they are used."""
