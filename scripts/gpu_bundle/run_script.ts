/** `run.sh`: sets a machine up for the bundle and runs the check, or any other module, there. */
export const RUN = `#!/usr/bin/env bash
# Usage: run.sh [--home FOLDER] [--source FOLDER] [--module FILE] [ARGUMENTS ...]
# Unpacks the bundle once, finds a driver for Vulkan, and runs scripts/gpu_check.ts, or another
# module, with the arguments. --source takes our files from a folder instead of the bundle.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=\${KVJUDGE_GPU:-\${TMPDIR:-/tmp}/kvjudge-gpu} source= module=scripts/gpu_check.ts
while [ $# -gt 0 ]; do
  case $1 in
    --home) home=$2; shift 2 ;;
    --source) source=$(cd "$2" && pwd); shift 2 ;;
    --module) module=$2; shift 2 ;;
    *) break ;;
  esac
done
bash "$here/unpack.sh" "$home"

work=$home/source
if [ -z "$source" ] && [ ! -d "$work" ]; then
  echo "run.sh: our own files are not here: carry source.tar.xz.00, or give --source" >&2
  exit 1
fi
if [ -n "$source" ]; then
  work=$home/work
  rm -rf "$work"
  mkdir -p "$work"
  tar -C "$source" --exclude=./.git --exclude=./.gpu --exclude=./node_modules --exclude=./docs \\
    -cf - . | tar -xf - -C "$work"
fi
# Packages are those of the bundle, and nothing is fetched.
rm -rf "$work/node_modules" "$work/deno.lock"
cp -a "$home/runtime/packages" "$work/node_modules"
sed -i 's/"nodeModulesDir": "auto"/"nodeModulesDir": "manual"/' "$work/deno.json"

export DENO_DIR=$home/deno_dir DENO_NO_UPDATE_CHECK=1 DENO_NO_PROMPT=1 NO_COLOR=1
export KVJUDGE_HOME=$home/kvjudge
export PATH=$home/runtime/deno:$PATH
deno=$home/runtime/deno/deno

# Libraries of the bundle stand in for those alone that the machine has not.
rm -rf "$home/libraries"
mkdir -p "$home/libraries"
has() { { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null; } | grep -qF "$1 "; }
for library in "$home"/runtime/libraries/*.so.*; do
  name=$(basename "$library")
  [ -e "$library" ] && ! has "$name" && ln -sf "$library" "$home/libraries/$name"
done
path=\${LD_LIBRARY_PATH:-}
for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
  [ -d "$folder" ] && path=$path:$folder
done
export LD_LIBRARY_PATH=\${path#:}\${path:+:}$home/libraries

probe() { # whether WebGPU works with these variables
  (cd "$work" && timeout 60 env "$@" "$deno" run -A --no-check --cached-only --unstable-webgpu \\
    runtime/device/probe_here.ts webgpu 2>/dev/null | grep '^{"works":true') || return 1
}
icd() { # LIBRARY: a description of a driver
  printf '{"file_format_version":"1.0.1","ICD":{"library_path":"%s","api_version":"1.3.0"}}\\n' "$1" \\
    >"$home/$1.json"
  echo "$home/$1.json"
}
software='SwiftShader|llvmpipe|lavapipe'
driver() {
  local found own=
  if found=$(probe A=); then
    own=$found
    if ! grep -qE "$software" <<<"$found"; then
      echo "driver: the machine's own: $found" >&2
      return
    fi
  fi
  for file in /usr/local/nvidia/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/nvidia*.json \\
    /usr/share/vulkan/icd.d/nvidia*.json /usr/local/share/vulkan/icd.d/*.json \\
    "$(icd libEGL_nvidia.so.0)" "$(icd libGLX_nvidia.so.0)"; do
    [ -f "$file" ] && [ -z "\${VK_DRIVER_FILES:-}" ] || continue
    if found=$(probe VK_DRIVER_FILES="$file" VK_ICD_FILENAMES="$file"); then
      export VK_DRIVER_FILES=$file VK_ICD_FILENAMES=$file
      echo "driver: $file: $found" >&2
      return
    fi
    echo "driver: not $file" >&2
  done
  if [ -n "$own" ]; then echo "driver: software alone: $own" >&2; return; fi
  echo "driver: none works; what the loader says:" >&2
  (cd "$work" && VK_LOADER_DEBUG=all timeout 60 "$deno" run -A --no-check --cached-only \\
    runtime/device/probe_here.ts webgpu 2>&1 || true) | tail -40 | cut -c1-300 >&2
}
case " $* " in *" --device cpu "*) ;; *) driver ;; esac

models=()
[ "$module" = scripts/gpu_check.ts ] && models=(--folder "$home/check")
cd "$work"
exec "$deno" run -A --no-check --cached-only --unstable-webgpu "$module" "\${models[@]}" "$@"
`;
