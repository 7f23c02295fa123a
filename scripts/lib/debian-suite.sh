# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Packages of another Debian suite, downloaded beside the system and never installed. To be sourced by
# what has set $cache, a directory for the suites' lists, and die(), which says a sentence and exits.
: "${cache:?}"
codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

# The archive this machine itself installs from: the one that holds its own
# release (not its security or updates suite).
mirror() {
  apt-get --print-uris -o Dir::State::lists="$cache/apt/none" update 2>/dev/null |
    sed -n "s#^'\(.*\)/dists/\($codename\|stable\)/InRelease' .*#\1#p" | head -n 1
}

# apt with a configuration of its own: one suite, nothing of the system's state.
apt_for() { # SUITE TOOL ARGUMENT...
  local s=$1 tool=$2 d=$cache/apt/$1; shift 2
  "$tool" -o Dir::Etc::sourcelist="$d/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o Dir::State="$d/state" -o Dir::State::lists="$d/lists" -o Dir::State::status="$d/status" \
    -o Dir::Cache="$d/cache" -o APT::Sandbox::User= -o APT::Get::List-Cleanup=false \
    -o APT::Update::Post-Invoke-Success= -o APT::Architecture=amd64 "$@"
}

apt_prepare() { # SUITE
  local d=$cache/apt/$1 key=/usr/share/keyrings/debian-archive-keyring.gpg uri
  mkdir -p "$cache/apt/none/partial" "$d/state" "$d/lists/partial" "$d/cache/archives/partial"
  : >"$d/status"
  uri=$(mirror)
  [ -n "$uri" ] || die "cannot tell this machine's Debian mirror from its apt configuration"
  [ -e "$key" ] && key="[signed-by=$key] " || key=
  echo "deb $key$uri $1 main" >"$d/sources.list"
  apt_for "$1" apt-get -q update >"$d/update.log" 2>&1 || { cat "$d/update.log" >&2; die "apt-get update failed for $1"; }
}

download() { # SUITE DIR PACKAGE...
  local s=$1 dir=$2; shift 2
  (cd "$dir" && apt_for "$s" apt-get -q download "$@") >"$dir/download.log" 2>&1 ||
    { cat "$dir/download.log" >&2; die "download failed: $*"; }
}

# The packages that one depends on whose names match a pattern.
depends() { # SUITE PACKAGE REGEX
  apt_for "$1" apt-cache show --no-all-versions "$2" 2>/dev/null |
    sed -n 's/^Depends: //p' | tr ',|' '\n' | sed 's/^ *//; s/[ (].*//' | grep -E "^($3)" | sort -u
}

# A package of another suite and all that it needs, the C library included, unpacked under DIR.
unpack_with_dependencies() { # SUITE DIR PACKAGE
  local s=$1 dir=$2 package=$3 deb
  apt_prepare "$s"
  apt_for "$s" apt-get -qq -y --no-install-recommends -d install "$package" >"$cache/apt/$s/install.log" 2>&1 ||
    { cat "$cache/apt/$s/install.log" >&2; die "download failed: $package of $s"; }
  mkdir -p "$dir"
  for deb in "$cache/apt/$s/cache/archives"/*.deb; do dpkg-deb -x "$deb" "$dir" || die "cannot unpack $deb"; done
  rm -f "$cache/apt/$s/cache/archives"/*.deb
}
