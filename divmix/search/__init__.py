"""The default method: relax, diversify, reduce, refine."""
