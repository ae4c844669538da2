"""What a fit looks like: a plane for its rows and ellipses, figures, and the page of a run."""
