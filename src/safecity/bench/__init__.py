"""One file per benchmark behind 'safecity bench NAME'."""
