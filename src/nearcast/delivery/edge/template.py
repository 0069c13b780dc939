"""The text of an edge's nginx.conf; ``<<name>>`` is filled in by ``nginx.configuration``."""

from __future__ import annotations

TEMPLATE = r"""# Written by `nearcast edge` for the appliance <<appliance>>; changes by hand are overwritten. It holds secrets.
<<user>>
daemon off;
worker_processes <<workers>>;
worker_rlimit_nofile <<open_files>>;
worker_shutdown_timeout 60s;
pcre_jit on;
pid "<<folder>>/run/nginx.pid";
# Only what is grave: lesser lines quote the request, and with it the MAC. Failures of the parent are in the access log.
error_log "<<folder>>/logs/error.log" crit;

events {
  worker_connections <<connections>>;
}

http {
  server_tokens off;
  default_type application/octet-stream;
  types {
    video/mp4 mp4;
    application/vnd.apple.mpegurl m3u8;
    text/vtt vtt;
    image/jpeg jpg;
  }

  client_body_temp_path "<<folder>>/cache/temporary/body";
  proxy_temp_path "<<folder>>/cache/temporary/proxy";
  fastcgi_temp_path "<<folder>>/cache/temporary/fastcgi";
  uwsgi_temp_path "<<folder>>/cache/temporary/uwsgi";
  scgi_temp_path "<<folder>>/cache/temporary/scgi";

  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  <<aio>>
  keepalive_timeout 75s;
  keepalive_requests 100000;
  reset_timedout_connection on;
  send_timeout 60s;
  client_header_timeout 15s;
  client_body_timeout 15s;
  client_max_body_size 1k;
  # No open_file_cache: it would keep the space of removed files taken for as long as nobody asks for others.
  merge_slashes off;
  etag off;
  if_modified_since off;
  max_ranges 1;

  # A player may name its next request by an absolute address (CMCD `nor`), which carries the MAC: such data is not logged.
  map "$mac|$arg_CMCD" $cmcd_query {
    "~^([^|]+)\|.*\1" "";
    default $arg_CMCD;
  }
  map "$mac|$http_cmcd_request" $cmcd_request {
    "~^([^|]+)\|.*\1" "";
    default $http_cmcd_request;
  }
  map "$http_cmcd_session $arg_CMCD" $session {
    "~sid(?:=|%3D)(?:\"|%22)(?<sid>[A-Za-z0-9_.-]{1,256})" $sid;
    default "";
  }
  # A range past the end turns a 200 into a 416 after the headers were added, and they would be added again. A 416 from the parent
  # comes but once. (Volatile: to be looked at anew each time.)
  map "$status $upstream_status" $again {
    volatile;
    "~^416 (?!416$)" "1";
    default "";
  }
  map $again $anyone {
    volatile;
    "" "*";
    default "";
  }
  map $again $exposed {
    volatile;
    "" "Accept-Ranges, Age, CMSD-Dynamic, CMSD-Static, Content-Length, Content-Range, Date, ETag, Server-Timing, X-Nearcast-Appliance";
    default "";
  }
  map $again $resource_policy {
    volatile;
    "" "cross-origin";
    default "";
  }
  map $again $sniffing {
    volatile;
    "" "nosniff";
    default "";
  }
  map $again $appliance {
    volatile;
    "" "<<appliance>>";
    default "";
  }
  map "$again$status" $cache_control {
    volatile;
    "~^(200|206|304|416)$" "public, max-age=31536000, immutable";
    "~^1" "";
    default "no-store";
  }
  # Names are content: the tag is the same on every edge, so that If-Range holds across a change of edge.
  map "$again$status" $content_tag {
    volatile;
    "~^(200|206|304|416)$" "\"$root\"";
    default "";
  }
  # Only the slice that was asked for, of the file that was asked for, of known length, is kept.
  map "$slice_range $upstream_http_content_range $root $upstream_http_etag" $wrong_slice {
    "~^bytes=(\d+)-\d+ bytes \1-\d+/\d+ ([0-9a-f]{64}) \"\2\"$" "0";
    default "1";
  }
  map $upstream_http_content_length $unknown_length {
    "" "1";
    default "0";
  }

  log_format edge escape=json '{"at":$msec,"session":"$session","client":"$remote_addr","protocol":"$server_protocol",'
    '"method":"$request_method","title":"$title","file":"$file","range":"$http_range","status":$status,"bytes":$body_bytes_sent,'
    '"request_time_s":$request_time,"completion":"$request_completion","cache":"$upstream_cache_status",'
    '"parent_status":"$upstream_status","parent_bytes":"$upstream_bytes_received","parent_time_s":"$upstream_response_time",'
    '"cmcd":"$cmcd_query","cmcd_object":"$http_cmcd_object","cmcd_request":"$cmcd_request",'
    '"cmcd_session":"$http_cmcd_session","cmcd_status":"$http_cmcd_status","user_agent":"$http_user_agent"}';
  access_log "<<folder>>/logs/access.log" edge buffer=64k flush=500ms;

  # The agent keeps this at half of its largest size; nginx tidies up by itself only past that, and while the agent is dead.
  proxy_cache_path "<<folder>>/cache/slices" levels=1:2 keys_zone=slices:<<cache_zone_bytes>> max_size=<<cache_bytes>> min_free=<<reserve_bytes>>
    inactive=30d use_temp_path=off;

  <<upstream>>

  server {
    <<listen>>
    <<tls>>
    server_name _;

    add_header Access-Control-Allow-Origin $anyone always;
    add_header Access-Control-Expose-Headers $exposed always;
    add_header Timing-Allow-Origin $anyone always;
    add_header Cross-Origin-Resource-Policy $resource_policy always;
    add_header X-Content-Type-Options $sniffing always;
    add_header X-Nearcast-Appliance $appliance always;
    add_header Cache-Control $cache_control always;
    add_header ETag $content_tag always;
    add_header Last-Modified "";

    location = /healthz {
      access_log off;
      default_type text/plain;
      add_header Cache-Control "no-store";
      return 200 "<<appliance>>\n";
    }

    # 128 bits in base64 leave four bits of the last letter unused, so only four letters may stand there: one MAC, one spelling.
    location ~ "^/v1/(?<mac>[A-Za-z0-9_-]{21}[AQgw])/(?<expires>[1-9][0-9]{0,11})/(?<title>[A-Za-z0-9_-]{1,64})/(?<file>(?<root>[0-9a-f]{64})\.(?:mp4|m3u8|vtt|jpg))$" {
      if ($request_method = OPTIONS) {
        add_header Access-Control-Allow-Origin "*";
        add_header Access-Control-Allow-Methods "GET, HEAD, OPTIONS";
        add_header Access-Control-Allow-Headers
          "Range, If-Range, If-None-Match, Cache-Control, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status";
        add_header Access-Control-Max-Age "86400";
        return 204;
      }
      if ($request_method !~ "^(GET|HEAD)$") {
        return 405;
      }
      secure_link $mac,$expires;
      secure_link_md5 "<<key>> $expires $title <<key>>";
      if ($secure_link != "1") {
        return 403;
      }
      if ($http_if_none_match = "\"$root\"") {
        return 304;
      }
      root "<<folder>>/placed";
      try_files /$title/$file @parent;
    }

    location @parent {
      slice <<slice_bytes>>;
      # The agent puts this file here while the disk is full: what cannot be kept is passed through.
      set $zone slices;
      if (-f "<<folder>>/run/full") {
        set $zone off;
      }
      <<parent>>
      proxy_http_version 1.1;
      proxy_pass_request_headers off;
      proxy_pass_request_body off;
      proxy_set_header Connection "";
      proxy_set_header Range $slice_range;
      proxy_connect_timeout 2s;
      proxy_send_timeout 10s;
      proxy_read_timeout 6s;
      proxy_next_upstream error timeout;
      proxy_next_upstream_tries 2;
      proxy_next_upstream_timeout 5s;
      proxy_buffer_size 16k;
      proxy_buffers 16 32k;
      proxy_busy_buffers_size 64k;
      proxy_max_temp_file_size 0;

      proxy_cache $zone;
      proxy_cache_key "$title/$file/$slice_range";
      proxy_cache_valid 200 206 365d;
      proxy_no_cache $wrong_slice $unknown_length;
      proxy_cache_lock on;
      proxy_cache_lock_age 10s;
      proxy_cache_lock_timeout 15s;
      proxy_cache_revalidate off;
      proxy_cache_use_stale off;
      proxy_ignore_client_abort off;
      proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering
        X-Accel-Charset;
      proxy_hide_header ETag;
      proxy_hide_header Last-Modified;
      proxy_hide_header Cache-Control;
      proxy_hide_header Server;

      # Whatever else the parent says is between it and us: the player only needs to know that this edge cannot serve now.
      proxy_intercept_errors on;
      error_page 301 302 303 307 308 400 401 403 405 407 408 409 410 429 500 501 503 505 507 =502 @failed;
    }

    location @failed {
      return 502;
    }

    location /v1/ {
      return 403;
    }

    location / {
      return 404;
    }
  }
}
"""  # noqa: E501  (nginx takes no line break inside a pattern)
