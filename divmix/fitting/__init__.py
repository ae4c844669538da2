"""The method: from a matrix of rows to a fitted mixture."""
