"""The server that viewers reach, and the door for foreign players' tokens in it."""

from __future__ import annotations

VIEWERS = r"""server {
    <<listen>>
    <<tls>>
    <<believed>>
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
      <<preflight>>
      secure_link $mac,$expires;
      secure_link_md5 "$mac_key $expires $title $mac_key";
      if ($secure_link != "1") {
        rewrite ^ /.refused last;
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

    # A door of the site, which knows no keys, asks whether the path was ours once. Anybody may: it tells no more than that an expired
    # MAC was right.
    location = /.refused {
      internal;
      if ($over_and_asked) {
        return 410;
      }
      return 403;
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
      limit_req zone=misses burst=<<misses_burst>> nodelay;
      limit_req_status 598;  # any number that no parent says
      error_page 598 =429 @too_many;
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

    location @too_many {
      return 429;
    }
<<cat>>
    location /v1 {
      return 403;
    }

    location / {
      return 404;
    }
  }"""  # noqa: E501  (nginx takes no line break inside a pattern)

CAT = r"""
    # A Common Access Token is verified once, by the agent, which answers with a path of the kind above.
    location ~ "^/cat/(?<title>[A-Za-z0-9_-]{1,64})/(?<file>(?<tag>[0-9a-f]{64})\.(?:mp4|m3u8|vtt|jpg))$" {
      <<preflight_tokens>>
      if ($request_method !~ "^(GET|HEAD)$") {
        return 405;
      }
      limit_req zone=tokens_of_one burst=40 nodelay;
      limit_req zone=tokens_of_all burst=200 nodelay;
      limit_req_status 429;
      proxy_pass http://127.0.0.1:<<own_port>>$uri?CAT=$arg_CAT;
      proxy_set_header Connection "";
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
