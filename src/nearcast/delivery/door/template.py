"""What a door's nginx.conf is made of."""

from __future__ import annotations

FRAME = r"""# Written for the door <<door>>; changes by hand are overwritten.
<<module>>
<<user>>
daemon off;
worker_processes <<workers>>;
worker_rlimit_nofile <<open_files>>;
worker_shutdown_timeout 30s;
pcre_jit on;
pid "<<folder>>/run/nginx.pid";
# Only what is grave: lesser lines quote the request, and with it tokens and MACs.
error_log "<<folder>>/logs/error.log" crit;

events {
  worker_connections <<connections>>;
}

http {
  server_tokens off;
  access_log off;
  default_type application/octet-stream;
  client_body_temp_path "<<folder>>/cache/temporary/body";
  proxy_temp_path "<<folder>>/cache/temporary/proxy";
  fastcgi_temp_path "<<folder>>/cache/temporary/fastcgi";
  uwsgi_temp_path "<<folder>>/cache/temporary/uwsgi";
  scgi_temp_path "<<folder>>/cache/temporary/scgi";
  tcp_nodelay on;
  keepalive_timeout 60s;
  <<keepalive>>
  reset_timedout_connection on;
  send_timeout 30s;
  client_header_timeout 10s;
  client_body_timeout 10s;
  client_max_body_size 1k;
  large_client_header_buffers 4 16k;

  limit_conn_zone $binary_remote_addr zone=of_one:4m;
  limit_conn_zone $server_name zone=of_all:64k;
  limit_conn_status 503;
  limit_req_zone $binary_remote_addr zone=strays:4m rate=20r/s;
  limit_req_status 429;

  proxy_http_version 1.1;
  proxy_buffer_size 16k;
  proxy_buffers 8 32k;
  proxy_busy_buffers_size 64k;
  proxy_max_temp_file_size 0;
  proxy_cache_path "<<folder>>/cache/assets" levels=1:2 keys_zone=assets:1m max_size=256m inactive=7d use_temp_path=off;

  # Where clients reach the member that answered.
  map $upstream_http_x_nearcast_appliance $unicast {
    volatile;
    <<unicast>>
    default "";
  }
  # What a member says relative to itself is told by its own address: the door holds nobody's MAC key.
  map "$unicast $upstream_http_location" $there {
    volatile;
    "~^(?<base>[^ ]+) (?<path>/.*)$" "$base$path";
    default $upstream_http_location;
  }

  upstream members {
    zone members 256k;
    random two least_conn;
    <<members>>
    keepalive 32;
  }
  upstream kept {
    server unix:run/assets.sock max_fails=0;
    keepalive 8;
  }
  upstream each {
    zone each 256k;
    <<each>>
    keepalive 8;
  }

  server {
    <<listen>>
    <<tls>>
    server_name _;
    limit_conn of_one <<of_one>>;
    limit_conn of_all <<crowd>>;
    add_header X-Nearcast-Door "<<door>>" always;

    location = /healthz {
      default_type text/plain;
      add_header Cache-Control "no-store" always;
      if (-f "<<folder>>/run/out/.nobody") {
        return 503 "<<door>> has nobody behind it\n";
      }
      return 200 "<<door>>\n";
    }

    # Foreign clients with a Common Access Token: any member verifies it, and sends the client to itself.
    location ~ "^/cat/[A-Za-z0-9_-]{1,64}/[0-9a-f]{64}\.(?:mp4|m3u8|vtt|jpg)$" {
      if (-f "<<folder>>/run/out/.nobody") {
        return 502;
      }
      if ($request_method !~ "^(GET|HEAD|OPTIONS)$") {
        return 405;
      }
      proxy_pass http://members;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header Nearcast-Whose "";
      proxy_connect_timeout 1s;
      proxy_read_timeout 3s;
      proxy_next_upstream error timeout invalid_header http_404 http_500 http_502 http_503 http_504;
      proxy_next_upstream_timeout 6s;
      proxy_intercept_errors on;
      error_page 502 504 = @later;
      proxy_hide_header Location;
      add_header X-Nearcast-Door "<<door>>" always;
      add_header Location $there always;
    }

    # A film's path is for one appliance: the one that takes its MAC, which each is asked without a byte of the film (a matching tag: 304).
    location ~ "^/v1(?:k[1-9][0-9]*)?/[A-Za-z0-9_-]{22}/[0-9]{1,12}/[A-Za-z0-9_-]{1,64}/(?<tag>[0-9a-f]{64})\.(?:mp4|m3u8|vtt|jpg)$" {
      <<preflight>>
      if ($request_method !~ "^(GET|HEAD)$") {
        return 405;
      }
      limit_req zone=strays burst=60 nodelay;
      proxy_method HEAD;
      proxy_pass http://each;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header Nearcast-Whose "1";
      proxy_set_header If-None-Match "\"$tag\"";
      proxy_set_header If-Range "";
      proxy_set_header Range "";
      proxy_connect_timeout 1s;
      proxy_read_timeout 1s;
      proxy_next_upstream error timeout invalid_header http_403 http_404 http_429 http_500 http_502 http_503 http_504;
      proxy_next_upstream_timeout 4s;
      proxy_intercept_errors on;
      error_page 304 = @unicast;
      error_page 403 404 = @nobodys;
      error_page 410 = @expired;
      error_page 429 500 502 503 504 = @later;
    }

    location @unicast {
      if ($unicast = "") {
        return 502;
      }
      add_header Access-Control-Allow-Origin "*" always;
      add_header Cache-Control "no-store" always;
      add_header X-Nearcast-Door "<<door>>" always;
      return 307 $unicast$request_uri;
    }

    location @nobodys {
      default_type application/json;
      add_header Access-Control-Allow-Origin "*" always;
      add_header Cache-Control "no-store" always;
      add_header X-Nearcast-Door "<<door>>" always;
      return 421 '<<elsewhere>>';
    }

    location @expired {
      default_type application/json;
      add_header Access-Control-Allow-Origin "*" always;
      add_header Cache-Control "no-store" always;
      add_header X-Nearcast-Door "<<door>>" always;
      return 403 '<<expired>>';
    }

    location @later {
      default_type application/json;
      add_header Access-Control-Allow-Origin "*" always;
      add_header Cache-Control "no-store" always;
      add_header Retry-After "2" always;
      add_header X-Nearcast-Door "<<door>>" always;
      return 503 '<<nobody>>';
    }
<<assets>>
    location / {
      return 404;
    }
  }

  # From here on doors inside this nginx alone: sockets in a folder that nobody else may enter.
  server {
    listen unix:run/nobody.sock;
    return 502;
  }
  server {
    listen unix:run/status.sock;
    location = /status {
      stub_status;
    }
  }
  <<hops>>
  <<assets_hop>>
}
<<stream>>
"""

ASSETS = r"""
    location /assets/ {
      if ($request_method !~ "^(GET|HEAD)$") {
        return 405;
      }
      proxy_pass http://kept;
      proxy_set_header Connection "";
      proxy_set_header Cookie "";
      proxy_set_header Authorization "";
      proxy_connect_timeout 1s;
      proxy_read_timeout 10s;
      proxy_cache assets;
      proxy_cache_key $uri;
      proxy_cache_lock on;
      proxy_cache_use_stale error timeout http_500 http_502 http_503 http_504 updating;
      proxy_ignore_headers Set-Cookie;
      proxy_hide_header Set-Cookie;
    }
"""

HOP = r"""
  upstream <<name>> {
    <<servers>>
    keepalive 16;
  }
  server {
    listen unix:run/<<name>>.sock;
    location / {
      <<out>>
      <<pass>>
      proxy_connect_timeout 500ms;
      proxy_read_timeout 2500ms;
      proxy_next_upstream off;
    }
  }
"""
"""One member, or the gateway, as the rest of the configuration asks for it."""

OUT = r"""set $out "$http_nearcast_whose";
      if (-f "<<out>>") {
        set $out "${out}out";
      }
      if ($out = "out") {
        return 404;
      }"""
"""Who takes no new clients is passed over, but is asked all the same whose a film's path is. 404, since nginx counts it as no failure."""

STREAM = r"""
stream {
  upstream dns {
    zone dns 64k;
    random two least_conn;
    <<servers>>
  }
  server {
    <<udp>>
    proxy_pass dns;
    proxy_responses 1;
    proxy_timeout 2s;
  }
  server {
    <<tcp>>
    proxy_pass dns;
    proxy_connect_timeout 1s;
    proxy_timeout 10s;
  }
}
"""
