"""A fitted mixture, and the file it is kept in."""
