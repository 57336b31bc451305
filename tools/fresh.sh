#!/bin/sh
# A newcomer's machine: a pristine Debian root with nothing but git and Python, a clean clone, and the two commands of
# the README in it. What somebody installed by hand on this machine is not there, so a missing step of the set-up shows.
#
#   sh tools/fresh.sh            make the root, run ./dev up, ./dev down and ./dev test in it, remove it
#   sh tools/fresh.sh --keep     leave the root behind, to look around in it
#
# Only the package managers' settings are taken over from this machine, so that they find their registries.
set -eu
cd "$(dirname "$0")/.."

ROOT=$PWD/build/fresh
KEEP=
[ "${1:-}" != --keep ] || KEEP=yes

say() { printf 'fresh: %s\n' "$*" >&2; }

if [ "$(id -u)" != 0 ]; then
    say "error: root rights are needed to make a Debian root"
    exit 1
fi

# Mounts are made in a mount namespace of this script's own: whatever happens, they go with it.
if [ "${STEERSMAN_FRESH:-}" != inside ]; then
    STEERSMAN_FRESH=inside exec unshare --mount --pid --fork --kill-child --propagation private sh "$0" "$@"
fi

mounts() { awk -v root="$ROOT" '$5 == root || index($5, root "/") == 1 {print $5}' /proc/self/mountinfo; }

clean() {
    [ -n "$KEEP" ] && return
    # First process of a process namespace of its own: all others end now, so that none writes where all is removed.
    [ $$ != 1 ] || kill -KILL -1 2>/dev/null || true
    for mount in $(mounts | sort -r); do
        umount -l "$mount" 2>/dev/null || true
    done
    # What is still mounted there is not ours to empty.
    [ -n "$(mounts)" ] || rm -rf "$ROOT"
}
trap clean EXIT
trap 'exit 1' INT TERM

rm -rf "$ROOT"
mkdir -p "$ROOT" build/fresh-cache/apt build/fresh-cache/pip
say "making a Debian root"
if ! debootstrap --variant=minbase --include=ca-certificates,git,python3 \
    --cache-dir="$PWD/build/fresh-cache/apt" bookworm "$ROOT" >build/debootstrap.log 2>&1; then
    tail -n 20 build/debootstrap.log >&2
    exit 1
fi

# The package managers' settings of this machine.
cp -a /etc/apt/apt.conf.d/. "$ROOT/etc/apt/apt.conf.d/"
cp /etc/resolv.conf /etc/hosts "$ROOT/etc/"
cat /etc/pip.conf "$HOME/.config/pip/pip.conf" >"$ROOT/etc/pip.conf" 2>/dev/null || true
[ ! -d /usr/local/share/ca-certificates ] || cp -a /usr/local/share/ca-certificates/. "$ROOT/usr/local/share/ca-certificates/"
cp /etc/ssl/certs/ca-certificates.crt "$ROOT/etc/ssl/certs/ca-certificates.crt"

# A mount point of its own, as a machine's root is.
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /sys "$ROOT/sys"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs tmpfs "$ROOT/run"
mount -t tmpfs tmpfs "$ROOT/tmp"
mkdir -p "$ROOT/var/cache/pip"
mount --bind build/fresh-cache/pip "$ROOT/var/cache/pip"

git clone -q . "$ROOT/srv/steersman"

# The root is pivoted to, as a machine's is, and not only chrooted to: what joins a container's mount namespace starts at
# the root of that namespace, which a chroot does not change.
inside() {
    unshare --mount --propagation private sh -euc '
        cd "$1"
        shift
        pivot_root . mnt
        exec chroot . "$@"
    ' pivot "$ROOT" /usr/bin/env -i HOME=/srv PIP_CACHE_DIR=/var/cache/pip LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} ${PIP_CERT:+PIP_CERT="$PIP_CERT"} \
        sh -euc "umount -l /mnt; cd /srv/steersman; $1"
}

# In one mount namespace, as on a machine: the names of network namespaces are mounts.
say "./dev up, ./dev down"
inside './dev up
./dev down
left=$(grep -als -e "[l]ab.supervisord" -e "bin/[c]ontainerd" /proc/[0-9]*/cmdline || true)
[ -z "$left$(ip netns list)" ] || { echo "down has left processes or namespaces behind: $left" >&2; exit 1; }'
say "./dev test"
inside './dev test'
say "both commands work on a fresh machine"
