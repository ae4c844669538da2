"""How particles move each other: similarity, entropy, directions, bandwidths, optimisers."""
