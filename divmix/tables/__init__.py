"""Tables in and out: reading, choosing columns, the design matrix, writing."""
