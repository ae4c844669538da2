"""Compiled code: arrays in, arrays out. Knows NumPy and Numba only."""
