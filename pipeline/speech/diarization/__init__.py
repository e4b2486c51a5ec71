"""Whose voice is heard where, on recordings that mix the speakers."""
