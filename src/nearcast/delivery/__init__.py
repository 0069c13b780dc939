"""Bytes near viewers: the edge (nginx and its agent), the fill that copies published files to it, and the origin behind both."""
