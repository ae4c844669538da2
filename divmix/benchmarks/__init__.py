"""Published tables, re-run beside our own figures. One file each."""
