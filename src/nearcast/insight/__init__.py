"""What was watched, from where it was served, and how much the origin was spared: told by the edges, never by players."""
