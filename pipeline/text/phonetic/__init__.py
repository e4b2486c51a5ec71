"""Phrases found by wording and by sound."""
