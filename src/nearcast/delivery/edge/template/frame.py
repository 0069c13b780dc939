"""What holds an edge's nginx.conf together: processes, caches, log, and the doors inside this nginx alone.

How an absent file comes: a slice that was not admitted to the disk goes through the memory window (zone ``landing``), which fetches it once
for all who ask within seconds; one that was admitted is kept by the zone ``slices``, which takes it from that window in turn. Whichever
fetches asks ``parents``: an internal door for each parent, which knows its address, its certificate and its token. So one parent takes
over from another within the same request, slice by slice.
"""

from __future__ import annotations

FRAME = r"""# Written by `nearcast edge` for the appliance <<appliance>>; changes by hand are overwritten. It holds secrets.
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

  <<maps>>

  # In the order of logs.Line: names would take more room, and more time to read, than the values do.
  log_format edge escape=json '[$msec,"$door",$status,$body_bytes_sent,$request_time,"$title","$file","$http_range","$zone",'
    '"$upstream_cache_status","$upstream_http_x_nearcast_parent","$session","$request_method","$remote_addr","$server_protocol",'
    '"$request_completion","$upstream_status","$upstream_response_time","$cmcd_query","$http_cmcd_object","$cmcd_request",'
    '"$http_cmcd_session","$http_cmcd_status","$http_user_agent"]';
  # An answer may be made of several slices, of which only the first one is told there; what was fetched is logged where it is fetched.
  log_format fetched escape=json '[$msec,"parent",$status,$body_bytes_sent,$request_time,"$title","$file","$http_range","","",'
    '"$parent","","$request_method","","$server_protocol","$request_completion","$upstream_status","$upstream_response_time"]';
  access_log "<<folder>>/logs/access.log" edge buffer=64k flush=100ms;

  # The agent keeps this at half of its largest size; nginx tidies up by itself only past that, and while the agent is dead.
  proxy_cache_path "<<folder>>/cache/slices" levels=1:2 keys_zone=slices:<<cache_zone_bytes>> max_size=<<cache_bytes>>
    min_free=<<reserve_bytes>> inactive=30d use_temp_path=off;
  proxy_cache_path "<<landing>>" levels=1:2 keys_zone=landing:<<landing_zone_bytes>> max_size=<<landing_bytes>>
    inactive=10s use_temp_path=off;

  # A bound that holds with the agent dead, too: past it connections would be cut off without a word.
  limit_conn_zone $server_name zone=crowd:64k;
  limit_conn_status 503;
  # Whoever has a path may ask for names that were never there, each of which goes up to the origin.
  limit_req_zone $misses_of zone=misses:8m rate=<<misses_rate>>r/s;
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

  <<viewers>>

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
"""
