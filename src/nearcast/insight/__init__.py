"""What was watched, from where, and how much the origin was spared, as the edges tell it; of players only what those bear out."""
