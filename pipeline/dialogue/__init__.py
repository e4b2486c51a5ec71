"""From speech and words to turns and events: overlaps, holds, silences, tones."""
