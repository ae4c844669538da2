"""The command line: options in, one call of a workflow, its result printed."""
