"""Which edge for whom: client prefix to ranked sites, the sick dropped, several answers in distinct sites."""
