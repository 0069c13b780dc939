"""The door of a site: one nginx at the site's address, which spreads over its appliances what is bound to none of them."""
