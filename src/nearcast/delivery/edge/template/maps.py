"""What an edge's nginx reads out of a request, and what its answers say of themselves."""

from __future__ import annotations

MAPS = r"""map $generation $mac_key {
    <<mac_keys>>
  }
  map $http_authorization $authorized {
    "Bearer <<fill_token>>" "1";
    default "";
  }

  # secure_link says "0" of a MAC that is ours and has expired.
  map "$secure_link|$http_nearcast_whose" $over_and_asked {
    "0|1" "1";
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
  # Who asks for what is not held: a viewer's address and its path. Those who began a title in the same second have the same path.
  map $mac $misses_of {
    "" "";
    default "$binary_remote_addr$mac";
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
  }"""
