"""The lab: an internet in network namespaces, with ISPs, exchanges, routers, our own hosts, and viewers behind slow links."""
