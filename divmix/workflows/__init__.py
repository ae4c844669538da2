"""Table in, result out: what the commands call, and the Python API."""
