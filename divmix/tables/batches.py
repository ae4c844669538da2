"""How many rows are handled at a time, wherever rows go by.

A batch is a whole number of blocks: where sums within a block depend on its number of rows (a
product of matrices does), a row then has the same bits in a fit and in a prediction.
"""

BLOCK_ROWS = 4_096  # encoded or scored at a time: bounds the (rows, components) arrays
BATCH_ROWS = 16 * BLOCK_ROWS  # read, transformed and written at a time
