"""The front door: identity, routing to services, security headers, pictures and the web app. Film bytes never pass here."""
