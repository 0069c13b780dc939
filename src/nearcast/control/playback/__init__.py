"""Play: who may watch, which files there are, which edges serve them, and the manifests that say so to a player."""
