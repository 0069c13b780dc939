"""The doors by which appliances ask each other: this one's for others, and one inside for each parent that it asks itself."""

from __future__ import annotations

DOOR = r"""
    location ~ "^/(?<door><<door>>)/(?<title>[A-Za-z0-9_-]{1,64})/(?<file>(?<tag>[0-9a-f]{64}(?:\.blocks)?)(?:(?<!s)\.(?:mp4|m3u8|vtt|jpg)|(?<=s)))$" {
      if ($authorized = "") {
        add_header WWW-Authenticate "Bearer" always;
        return 401;
      }
      if ($request_method !~ "^(GET|HEAD)$") {
        return 405;
      }
      if ($looped) {
        return 508;
      }
      root "<<folder>>/placed";
      try_files /$title/$file <<absent>>;
    }"""  # noqa: E501  (nginx takes no line break inside a pattern)
"""For other appliances and the fill: ``titles`` fetches what is absent, ``held`` has only what is placed."""

HOP = r"""
  server {
    listen unix:run/<<socket>>.sock;
    access_log "<<folder>>/logs/access.log" fetched buffer=64k flush=100ms;
    location ~ "^/titles/(?<title>[^/]+)/(?<file>[^/]+)$" {
      set $parent "<<id>>";
      <<pass>>
      proxy_set_header Connection "";
      proxy_set_header Range $http_range;
      proxy_set_header Nearcast-Via $http_nearcast_via;
      proxy_connect_timeout <<connect_s>>s;
      proxy_read_timeout <<read_s>>s;
      proxy_next_upstream error timeout;
      proxy_next_upstream_tries 2;
      proxy_next_upstream_timeout 5s;
      add_header X-Nearcast-Parent "<<id>>";
      error_page 300 301 302 303 304 307 308 400 401 403 405 406 407 408 409 410 411 412 413 414 415 421 426 428 429 431 451
        500 501 502 503 504 505 507 508 =502 @failed;
    }
    location @failed {
      return 502;
    }
  }"""
"""One parent, as the rest of the configuration asks for it."""
