"""From many components to few clusters: what a merge costs, the tree, its cuts."""
