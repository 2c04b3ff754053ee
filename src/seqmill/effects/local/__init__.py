"""Exact effects of edits from the part of each layer that an edit changes."""
