"""The service address of a site, announced to its routers while the site can serve, less eagerly when it is nearly full."""
