"""The authoritative name server: the same routes and the same health, for whoever asks by name."""
