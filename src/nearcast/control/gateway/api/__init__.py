"""The addresses of the HTTP API, a file for each group, each with its table of routes at the end."""
