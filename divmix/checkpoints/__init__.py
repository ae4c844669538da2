"""The file of an unfinished fit."""
