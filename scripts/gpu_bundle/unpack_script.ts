/** `unpack.sh`: checks the parts that are there and unpacks what is complete, once. */
export const UNPACK = `#!/usr/bin/env bash
# Usage: unpack.sh [FOLDER]. Unpacks the parts beside this script, and those in folders beside its
# own, into FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=\${1:-\${KVJUDGE_GPU:-\${TMPDIR:-/tmp}/kvjudge-gpu}}
mkdir -p "$home/parts" "$home/models"

unxz_tar() { # ARCHIVE FOLDER
  mkdir -p "$2"
  if command -v xz >/dev/null; then xz -dc "$1" | tar -xf - -C "$2" --no-same-owner
  else python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$1" "$2"
  fi
}

complete() { # FILE: whether all its parts are there and good; takes them in
  local file part sum found
  while read -r file _ part sum; do
    [ "$file" = "$1" ] || continue
    if [ ! -f "$home/parts/$part" ]; then
      found=
      for place in "$here" "$here/.." "$here/../$part"; do [ -f "$place/$part" ] && found="$place/$part" && break; done
      [ -n "$found" ] || return 1
      if [ "$(sha256sum <"$found" | cut -d' ' -f1)" != "$sum" ]; then
        echo "unpack.sh: $part is damaged" >&2
        return 1
      fi
      cp "$found" "$home/parts/$part"
    fi
  done <"$here/parts.txt"
}

for file in $(cut -d' ' -f1 "$here/parts.txt" | uniq); do
  whole=$(awk -v f="$file" '$1 == f { print $2; exit }' "$here/parts.txt")
  [ -f "$home/done.$file.$whole" ] && continue
  # Parts of another build are in the way.
  rm -f "$home"/done."$file".*
  if ! complete "$file"; then
    echo "unpack.sh: $file: not all parts are here yet" >&2
    continue
  fi
  awk -v f="$file" '$1 == f { print $3 }' "$here/parts.txt" |
    while read -r part; do cat "$home/parts/$part"; done >"$home/$file.whole"
  if [ "$(sha256sum <"$home/$file.whole" | cut -d' ' -f1)" != "$whole" ]; then
    echo "unpack.sh: $file is damaged" >&2
    rm -f "$home/$file.whole" "$home/parts/$file".*
    continue
  fi
  case $file in
    runtime.tar)
      rm -rf "$home/runtime"
      mkdir -p "$home/runtime/packed"
      tar -xf "$home/$file.whole" -C "$home/runtime/packed"
      for packed in "$home"/runtime/packed/*.tar.xz; do
        name=$(basename "$packed" .tar.xz)
        unxz_tar "$packed" "$home/runtime/$name" &
      done
      wait
      rm -rf "$home/runtime/packed" "$home/$file.whole"
      ;;
    source.tar.xz)
      rm -rf "$home/source"
      unxz_tar "$home/$file.whole" "$home/source"
      rm -f "$home/$file.whole"
      ;;
    *) mv "$home/$file.whole" "$home/models/$file" ;;
  esac
  rm -f "$home/parts/$file".*
  touch "$home/done.$file.$whole"
  echo "unpack.sh: $file unpacked" >&2
done
[ -x "$home/runtime/deno/deno" ] || { echo "unpack.sh: the runtime is not here yet" >&2; exit 1; }
`;
