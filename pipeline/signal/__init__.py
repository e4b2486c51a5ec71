"""What can be told of a channel without words: quality, tones, level, pitch."""
