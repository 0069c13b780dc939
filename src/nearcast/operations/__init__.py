"""What operators do to a system, and try out on one: the lab."""
