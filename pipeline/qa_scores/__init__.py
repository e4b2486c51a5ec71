"""Judgements of people: read their tables, join them to calls, compare them with ours."""
