"""Tables in and out: reading, what enters a fit, the design matrix, writing. NumPy and Arrow only."""
