"""The loop that climbs J, the steps it takes, and what it tells."""
