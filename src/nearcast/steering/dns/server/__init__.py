"""The sockets of the name server: UDP in batches, TCP with limits, and the loop of one worker."""
