"""Getting things in and out: paths and URLs, tables as people keep them, sets of weights."""
