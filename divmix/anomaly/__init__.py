"""What is unusual, how unusual, and why."""
