"""The text of an edge's nginx.conf, in parts; ``<<name>>`` is filled in by ``nginx.configuration``."""
