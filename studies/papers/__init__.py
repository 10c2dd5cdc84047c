"""A study a file, which holds a ``STUDY`` of the file's name; nothing else names them."""
