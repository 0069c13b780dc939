"""The site's door."""
