"""The text of an edge's nginx.conf; ``<<name>>`` is filled in by ``nginx.configuration``.

How an absent file comes: a slice that was not admitted to the disk goes through the memory window (zone ``landing``), which fetches it once
for all who ask within seconds; one that was admitted is kept by the zone ``slices``, which takes it from that window in turn. Whichever
fetches asks ``parents``: an internal door for each parent, which knows its address, its certificate and its token. So one parent takes
over from another within the same request, slice by slice.
"""

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
  map_hash_bucket_size 256;
  uninitialized_variable_warn off;

  client_body_temp_path "<<folder>>/cache/temporary/body";
  proxy_temp_path "<<folder>>/cache/temporary/proxy";
  fastcgi_temp_path "<<folder>>/cache/temporary/fastcgi";
  uwsgi_temp_path "<<folder>>/cache/temporary/uwsgi";
  scgi_temp_path "<<folder>>/cache/temporary/scgi";

  # Without tcp_nopush: a corked socket costs half as much processor time again under sendfile (Linux 6.18, bench.edge).
  sendfile on;
  tcp_nodelay on;
  <<aio>>
  keepalive_timeout 75s;
  keepalive_requests 100000;
  <<keepalive>>
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

  map $generation $mac_key {
    <<mac_keys>>
  }
  map $http_authorization $authorized {
    "Bearer <<fill_token>>" "1";
    default "";
  }

  # A player may name its next request by an absolute address (CMCD `nor`), which carries the MAC: such data is not logged.
  map $arg_CMCD $query_with_next {
    "~nor" "$mac|$arg_CMCD";
    default "";
  }
  map $query_with_next $cmcd_query {
    "" $arg_CMCD;
    "~^([^|]+)\|.*\1" "";
    default $arg_CMCD;
  }
  map $http_cmcd_request $request_with_next {
    "~nor" "$mac|$http_cmcd_request";
    default "";
  }
  map $request_with_next $cmcd_request {
    "" $http_cmcd_request;
    "~^([^|]+)\|.*\1" "";
    default $http_cmcd_request;
  }
  map "$http_cmcd_session $arg_CMCD" $session {
    "~sid(?:=|%3D)(?:\"|%22)(?<sid>[A-Za-z0-9_.-]{1,256})" $sid;
    default "";
  }

  # What the agent has to tell: run/notice leads to a folder named `<number>,<refused>,<closing>,<figures>`.
  # A server that has nothing to tell says so: players take the last figures for good until they hear others.
  map $notice $cmsd {
    "~,(?<figures>[a-z0-9=;]+)$" "\"<<appliance>>\";$figures";
    default "\"<<appliance>>\"";
  }
  map $notice $closing {
    "~,last,[^,/]*$" "1";
    default "";
  }
  split_clients $mac $sixteenth {
    <<sixteenths>>
    * "p";
  }
  map "$sixteenth|$notice" $refused {
    "~^([a-p])\|.*,[a-p]*\1[a-p]*,[^,/]*,[^,/]*$" "1";
    default "";
  }

  # A range past the end turns a 200 into a 416 after the headers were added, and they would be added again. A 416 from the parent
  # comes but once. (Volatile: to be looked at anew each time.)
  map "$status $upstream_status" $again {
    volatile;
    "206 " "";  # what is common needs no pattern
    "200 " "";
    "206 206" "";
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
  map $door $reach {
    "" "public";
    default "private";
  }
  map "$again$status" $cache_control {
    volatile;
    "206" "$reach, max-age=31536000, immutable";
    "200" "$reach, max-age=31536000, immutable";
    "304" "$reach, max-age=31536000, immutable";
    "416" "$reach, max-age=31536000, immutable";
    "~^1..." "";
    default "no-store";
  }
  # Names are content: the tag is the same on every edge, so that If-Range holds across a change of edge.
  map "$again$status" $content_tag {
    volatile;
    "206" "\"$tag\"";
    "200" "\"$tag\"";
    "304" "\"$tag\"";
    "416" "\"$tag\"";
    default "";
  }
  # Only the slice that was asked for, of the file that was asked for, of known length, is kept.
  map "$slice_range $upstream_http_content_range $tag $upstream_http_etag" $wrong_slice {
    volatile;
    "~^bytes=(\d+)-\d+ bytes \1-\d+/\d+ ([0-9a-f]{64}(?:\.blocks)?) \"\2\"$" "0";
    default "1";
  }
  map "$http_range $upstream_http_content_range $tag $upstream_http_etag" $wrong_range {
    "~^bytes=(\d+)-\d+ bytes \1-\d+/\d+ ([0-9a-f]{64}(?:\.blocks)?) \"\2\"$" "0";
    default "1";
  }
  map $upstream_http_content_length $unknown_length {
    volatile;
    "" "1";
    default "0";
  }
  # Appliances that a request came by, so that none asks itself.
  map "$door|$http_nearcast_via" $went {
    "~^titles\|(?<before>[a-z0-9,-]{1,500})$" "$before,<<appliance>>";
    default "<<appliance>>";
  }
  map ",$http_nearcast_via," $looped {
    "~,<<appliance>>," "1";
    default "";
  }
  map $upstream_cache_status $fetched_from {
    "HIT" "memory";
    default $upstream_http_x_nearcast_parent;
  }

  # In the order of logs.Line: names would take more room, and more time to read, than the values do.
  log_format edge escape=json '[$msec,"$door",$status,$body_bytes_sent,$request_time,"$title","$file","$http_range","$zone",'
    '"$upstream_cache_status","$upstream_http_x_nearcast_parent","$session","$request_method","$remote_addr","$server_protocol",'
    '"$request_completion","$upstream_status","$upstream_response_time","$cmcd_query","$http_cmcd_object","$cmcd_request",'
    '"$http_cmcd_session","$http_cmcd_status","$http_user_agent"]';
  # An answer may be made of several slices, of which only the first one is told there; what was fetched is logged where it is fetched.
  log_format fetched escape=json '[$msec,"parent",$status,$body_bytes_sent,$request_time,"$title","$file","$http_range","","",'
    '"$parent","","$request_method","","$server_protocol","$request_completion","$upstream_status","$upstream_response_time"]';
  access_log "<<folder>>/logs/access.log" edge buffer=64k flush=500ms;

  # The agent keeps this at half of its largest size; nginx tidies up by itself only past that, and while the agent is dead.
  proxy_cache_path "<<folder>>/cache/slices" levels=1:2 keys_zone=slices:<<cache_zone_bytes>> max_size=<<cache_bytes>> min_free=<<reserve_bytes>>
    inactive=30d use_temp_path=off;
  proxy_cache_path "<<landing>>" levels=1:2 keys_zone=landing:<<landing_zone_bytes>> max_size=<<landing_bytes>>
    inactive=10s use_temp_path=off;

  # A bound that holds with the agent dead, too: past it connections would be cut off without a word.
  limit_conn_zone $server_name zone=crowd:64k;
  limit_conn_status 503;
  <<cat_rate>>

  proxy_http_version 1.1;
  proxy_pass_request_headers off;
  proxy_pass_request_body off;
  proxy_send_timeout 10s;
  proxy_buffer_size 16k;
  proxy_buffers 16 32k;
  proxy_busy_buffers_size 64k;
  proxy_max_temp_file_size 0;
  proxy_cache_valid 200 206 365d;
  # Not 1: nginx counts uses in ten bits, and the 1,024th who waits for a slice would fetch it, too.
  proxy_cache_min_uses 0;
  proxy_cache_lock on;
  proxy_cache_lock_age 12s;
  proxy_cache_lock_timeout 15s;
  proxy_cache_revalidate off;
  proxy_cache_use_stale off;
  proxy_ignore_client_abort off;
  proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering
    X-Accel-Charset;
  proxy_intercept_errors on;

  upstream parents {
    <<parents>>
    keepalive 32;
  }
  upstream landing {
    server unix:run/landing.sock max_fails=0;
    keepalive 8;
  }
  <<upstreams>>

  server {
    <<listen>>
    <<tls>>
    server_name _;
    log_not_found off;
    recursive_error_pages on;

    add_header Access-Control-Allow-Origin $anyone always;
    add_header Access-Control-Expose-Headers $exposed always;
    add_header Timing-Allow-Origin $anyone always;
    add_header Cross-Origin-Resource-Policy $resource_policy always;
    add_header X-Content-Type-Options $sniffing always;
    add_header X-Nearcast-Appliance $appliance always;
    add_header Cache-Control $cache_control always;
    add_header ETag $content_tag always;
    add_header CMSD-Dynamic $cmsd always;
    add_header Last-Modified "";

    location = /healthz {
      access_log off;
      default_type text/plain;
      add_header Cache-Control "no-store";
      return 200 "<<appliance>>\n";
    }

    # 128 bits in base64 leave four bits of the last letter unused, so only four letters may stand there: one MAC, one spelling.
    location ~ "^/v1<<generations>>/(?<mac>[A-Za-z0-9_-]{21}[AQgw])/(?<expires>[1-9][0-9]{0,11})/(?<title>[A-Za-z0-9_-]{1,64})/(?<file>(?<tag>[0-9a-f]{64})\.(?:mp4|m3u8|vtt|jpg))$" {
      if ($request_method = OPTIONS) {
        add_header Access-Control-Allow-Origin "*";
        add_header Access-Control-Allow-Methods "GET, HEAD, OPTIONS";
        add_header Access-Control-Allow-Headers
          "Range, If-Range, If-None-Match, Cache-Control, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status";
        add_header Access-Control-Max-Age "86400";
        return 204;
      }
      secure_link $mac,$expires;
      secure_link_md5 "$mac_key $expires $title $mac_key";
      if ($secure_link != "1") {
        return 403;
      }
      if ($http_if_none_match = "\"$tag\"") {
        return 304;
      }
      if (-e "<<folder>>/run/notice") {
        rewrite ^ /.notice last;
      }
      limit_conn crowd <<crowd>>;
      root "<<folder>>/placed";
      # Not try_files, which would look for the file before it is opened.
      rewrite ^ /$title/$file break;
      error_page 404 = @miss;
    }

    location = /.notice {
      internal;
      root "<<folder>>/run/notice";
      set $notice $realpath_root;
      if ($refused) {
        add_header Access-Control-Allow-Origin "*" always;
        add_header Access-Control-Expose-Headers "CMSD-Dynamic, Retry-After, X-Nearcast-Appliance" always;
        add_header Timing-Allow-Origin "*" always;
        add_header X-Nearcast-Appliance "<<appliance>>" always;
        add_header Cache-Control "no-store" always;
        add_header CMSD-Dynamic $cmsd always;
        add_header Retry-After "<<retry_after_s>>" always;
        return 503;
      }
      if ($closing) {
        rewrite ^ /.last last;
      }
      rewrite ^ /.next last;
    }

    location = /.next {
      internal;
      limit_conn crowd <<crowd>>;
      root "<<folder>>/placed";
      rewrite ^ /$title/$file break;
      error_page 404 = @miss;
    }

    # Before workers are exchanged: each connection ends with an answer, so that none is closed under a request.
    location = /.last {
      internal;
      keepalive_timeout 0;
      limit_conn crowd <<crowd>>;
      root "<<folder>>/placed";
      rewrite ^ /$title/$file break;
      error_page 404 = @miss;
    }

    <<doors>>

    location @miss {
      if ($request_method !~ "^(GET|HEAD)$") {
        return 405;
      }
      slice <<slice_bytes>>;
      sendfile_max_chunk 64k;  # of a crowd that waited for one slice, each is to have its first bytes soon
      set $zone landing;
      set $from parents;
      # The agent puts such a file for each slice that is worth the disk (admission.py).
      if (-f "<<admitted>>/$title.$file.$slice_range") {
        set $zone slices;
        set $from landing;
      }
      # And these while the disk, or the memory, is full: what cannot be kept is passed through.
      if (-f "<<folder>>/run/full") {
        set $zone landing;
        set $from parents;
      }
      if (-f "<<folder>>/run/narrow") {
        set $zone off;
        set $from parents;
      }
      proxy_pass http://$from/titles/$title/$file;
      proxy_set_header Host $from;
      proxy_set_header Connection "";
      proxy_set_header Range $slice_range;
      proxy_set_header Nearcast-Via $went;
      proxy_connect_timeout 2s;
      proxy_read_timeout 16s;
      proxy_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504 http_403 http_404 http_429;

      proxy_cache $zone;
      proxy_cache_key "$title/$file/$slice_range";
      proxy_no_cache $wrong_slice $unknown_length;
      proxy_hide_header ETag;
      proxy_hide_header Last-Modified;
      proxy_hide_header Cache-Control;
      proxy_hide_header Server;
      proxy_hide_header X-Nearcast-Parent;

      # Whatever else the parent says is between it and us: the player only needs to know that this edge cannot serve now.
      error_page 301 302 303 307 308 400 401 403 405 407 408 409 410 429 500 501 503 504 505 507 508 =502 @failed;
    }

    location @failed {
      return 502;
    }
<<cat>>
    location /v1 {
      return 403;
    }

    location / {
      return 404;
    }
  }

  # From here on doors inside this nginx alone: sockets in a folder that nobody else may enter.
  server {
    listen unix:run/landing.sock;
    access_log off;
    location ~ "^/titles/(?<title>[^/]+)/(?<file>(?<tag>[0-9a-f]{64}(?:\.blocks)?)[^/]*)$" {
      proxy_pass http://parents;
      proxy_set_header Host parents;
      proxy_set_header Connection "";
      proxy_set_header Range $http_range;
      proxy_set_header Nearcast-Via $http_nearcast_via;
      proxy_connect_timeout 2s;
      proxy_read_timeout 8s;
      proxy_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504 http_403 http_404 http_429;
      proxy_cache landing;
      proxy_cache_key "$title/$file/$http_range";
      proxy_no_cache $wrong_range $unknown_length;
      proxy_hide_header X-Nearcast-Parent;
      add_header X-Nearcast-Parent $fetched_from;
    }
  }

  server {
    listen unix:run/status.sock;
    access_log off;
    location = /status {
      stub_status;
    }
    location / {
      return 404;
    }
  }

  <<hops>>
}
"""  # noqa: E501  (nginx takes no line break inside a pattern)

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
    access_log "<<folder>>/logs/access.log" fetched buffer=64k flush=500ms;
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

CAT = r"""
    # A Common Access Token is verified once, by the agent, which answers with a path of the kind above.
    location ~ "^/cat/(?<title>[A-Za-z0-9_-]{1,64})/(?<file>(?<tag>[0-9a-f]{64})\.(?:mp4|m3u8|vtt|jpg))$" {
      if ($request_method = OPTIONS) {
        add_header Access-Control-Allow-Origin "*";
        add_header Access-Control-Allow-Methods "GET, HEAD, OPTIONS";
        add_header Access-Control-Allow-Headers "Range, If-Range, If-None-Match, Cache-Control, CTA-Common-Access-Token";
        add_header Access-Control-Max-Age "86400";
        return 204;
      }
      limit_req zone=tokens_of_one burst=40 nodelay;
      limit_req zone=tokens_of_all burst=200 nodelay;
      limit_req_status 429;
      proxy_pass http://127.0.0.1:<<own_port>>$uri?CAT=$arg_CAT;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header CTA-Common-Access-Token $access_token;
      proxy_connect_timeout 1s;
      proxy_read_timeout 3s;
      proxy_cache off;
      proxy_intercept_errors off;
      error_page 504 =502 @failed;
    }
"""

CAT_RATE = r"""
  map "$http_cta_common_access_token|$http_cookie" $access_token {
    "~^(?<in_header>[^|]+)\|" $in_header;
    "~^\|(?:.*;\s*)?CTA-Common-Access-Token=\"?(?<in_cookie>[^;\"]+)" $in_cookie;
    default "";
  }
  limit_req_zone $binary_remote_addr zone=tokens_of_one:1m rate=20r/s;
  limit_req_zone $server_name zone=tokens_of_all:64k rate=200r/s;"""
