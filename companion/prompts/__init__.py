"""Prompts known to be memorized or not: published lists, labelled files, captions of the model organism."""
