"""What is tried in the lab. Each scenario is a function that acts on an internet and answers with measured figures."""
