"""What each command does; the words come from ``cli``, the work is done by the rooms below."""
