"""How much log-likelihood a mixture could still gain."""
