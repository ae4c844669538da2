"""From a table to the design matrix and back."""
