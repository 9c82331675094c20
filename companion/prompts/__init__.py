"""Prompts whose truth is known: published lists, files with labels, the captions of the model organism."""
