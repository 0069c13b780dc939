"""One appliance: nginx serves the bytes, the agent beside it only tells it what to do."""
