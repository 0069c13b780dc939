"""A file becomes a playable title: probe, ladder, encode, package, publish, quality; and the service that runs such jobs."""
