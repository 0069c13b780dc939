"""The control plane: it decides with small messages, remembers nothing in a process, and never moves a byte of video."""
