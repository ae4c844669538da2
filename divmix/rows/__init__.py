"""Where rows live: in memory, or a part of them at each step."""
