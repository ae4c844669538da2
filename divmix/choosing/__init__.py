"""What a fit chooses by itself: covariance, clusters, alpha, the best of several starts."""
