"""From audio to who said what when: voice activity, recognition, diarization, roles."""
