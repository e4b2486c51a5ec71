"""Recognition: windows of speech in, words with times and confidence out."""
