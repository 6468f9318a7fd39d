# shellcheck shell=bash
# Packages of Debian's suites, whatever the machine's own is, without touching its apt. Sourced; LAB is where all is kept.

LAB=$(mkdir -p "${LAB:-target/lab}" && cd "${LAB:-target/lab}" && pwd)

# The archive that this machine takes its packages from, in its own sources.
debian_archive() {
  local own
  own=$(. /etc/os-release && echo "$VERSION_CODENAME")
  awk -v own="$own" '
    /^URIs:/ {uri = $2}
    /^Suites:/ {for (i = 2; i <= NF; i++) if ($i == own) {print uri; exit}}
  ' /etc/apt/sources.list.d/*.sources 2>/dev/null
}

# A suite as it was released, without its updates.
debian_sources() { # SUITE
  local archive
  archive=$(debian_archive)
  [ -n "$archive" ] || { echo "lab: no source of Debian packages in /etc/apt/sources.list.d/*.sources" >&2; return 1; }
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$archive" "$1"
}

# Each architecture has its own lists: a mirror that is half way through one does no harm to the others.
debian_apt() { # SUITE[:ARCHITECTURE] COMMAND …
  local suite=${1%:*} command=$2 home=$LAB/apt/${1/:/-} architecture=amd64 option options=()
  case $1 in *:*) architecture=${1#*:} ;; esac
  shift 2
  for option in Dir::Etc::sourcelist=/dev/null "Dir::Etc::sourceparts=$home/parts" "Dir::State::lists=$home/lists" \
    "Dir::Cache=$home/cache" Dir::State::status=/dev/null APT::Sandbox::User=root Acquire::Check-Valid-Until=false \
    Acquire::Languages=none \
    Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "APT::Architecture=$architecture" "APT::Architectures::=$architecture"; do
    options+=(-o "$option")
  done
  if [ ! -e "$home/ready" ]; then
    mkdir -p "$home/parts" "$home/lists/partial" "$home/cache/archives/partial"
    debian_sources "$suite" >"$home/parts/debian.sources"
    apt-get "${options[@]}" -q update >"$home/log" 2>&1 || { cat "$home/log" >&2; return 1; }
    touch "$home/ready"
  fi
  "$command" "${options[@]}" "$@"
}

# Brings packages into LAB/packages/SUITE, all of one architecture at once.
debian_download() { # SUITE[:ARCHITECTURE] PACKAGE…
  local suite=$1 cache=$LAB/packages/${1%:*} foreign= file name
  shift
  case $suite in *:*) foreign=_${suite#*:} ;; esac
  rm -rf "$cache/new$foreign" && mkdir -p "$cache/new$foreign"
  (cd "$cache/new$foreign" && debian_apt "$suite" apt-get -q download "$@" >"$LAB/download.log" 2>&1) || { cat "$LAB/download.log" >&2; return 1; }
  for file in "$cache/new$foreign"/*.deb; do
    name=${file##*/}
    mv "$file" "$cache/${name%%_*}$foreign.deb"
  done
  rmdir "$cache/new$foreign"
}

# Unpacks packages below a folder, and notes them in the database of dpkg as installed.
debian_take() { # SUITE FOLDER PACKAGE…
  local suite=$1 folder=$2 cache=$LAB/packages/$1 package file missing=()
  mkdir -p "$cache" "$folder/var/lib/dpkg"
  shift 2
  for package in "$@"; do
    [ -e "$cache/${package/:/_}.deb" ] && continue
    case $package in
      *:amd64) debian_download "$suite:amd64" "${package%:*}" ;;
      *:*) debian_download "$suite:${package#*:}" "${package%:*}" ;;
      *) missing+=("$package") ;;
    esac
  done
  [ ${#missing[@]} -eq 0 ] || debian_download "$suite" "${missing[@]}"
  for package in "$@"; do
    file=$cache/${package/:/_}.deb
    dpkg-deb -x "$file" "$folder"
    {
      dpkg-deb -f "$file" Package Version Architecture
      printf 'Status: install ok installed\n\n'
    } >>"$folder/var/lib/dpkg/status"
  done
}
