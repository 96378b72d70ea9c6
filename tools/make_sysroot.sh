#!/usr/bin/env bash
# usage: make_sysroot.sh ARCHITECTURE FOLDER PACKAGE...
#
# Unpacks Debian's packages of another architecture, with all that they depend on, into FOLDER, to
# compile and link against and for qemu to load from. They are not installed: this machine gets no
# foreign architecture, nothing of the packages is run, and no root is needed. Installed they would
# not do either: libxnnpack-dev and libpthreadpool-dev exclude those of this machine's own.
#
# apt takes sources, keys, proxies and pins from this machine, so the versions are those that it has
# itself. Does nothing where this same script made FOLDER of the same packages of the same release.
set -euo pipefail
architecture=$1 folder=$2
shift 2
# shellcheck disable=SC1091
made_of="$(. /etc/os-release && echo "${ID:-} ${VERSION_ID:-}") $architecture $* $(cksum <"$0")"
[ "$(cat "$folder/made_of" 2>/dev/null || true)" != "$made_of" ] || exit 0

echo "Unpacking Debian's packages for $architecture into $folder"
rm -rf "$folder" "$folder.new"
mkdir -p "$folder.new"
root=$(cd "$folder.new" && pwd)
apt=$root/apt
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
touch "$apt/status"
apt_get=(apt-get -qq -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture"
  -o "Dir::State=$apt" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
  -o "APT::Sandbox::User=$(id -un)" -o APT::Install-Recommends=false)
"${apt_get[@]}" update
"${apt_get[@]}" --yes --download-only install "$@" >/dev/null
# As installed systems have it: some packages say /lib, some /usr/lib.
mkdir -p "$root/usr/lib" "$root/DEBIAN"
ln -s usr/lib "$root/lib"
# Nobody reads manuals and translations here: a fifth of the whole.
for package in "$apt"/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" |
    tar -x -C "$root" --keep-directory-symlink --exclude=./usr/share/doc \
      --exclude=./usr/share/locale --exclude=./usr/share/man
  # Which package a library is of: dpkg-shlibdeps asks when packages are made (cmake/PackageVersion.cmake).
  for part in shlibs symbols; do
    dpkg-deb --ctrl-tarfile "$package" | tar -x -O "./$part" >>"$root/DEBIAN/$part" 2>/dev/null || true
  done
done
rm -r "$apt"

# What points to /lib/... means this folder's.
find "$root" -type l -lname '/*' -printf '%p\n%l\n' | while read -r link && read -r target; do
  ln -sfn --relative "$root$target" "$link"
done
# Made by scripts of the packages where they are installed; OpenCV asks for both.
for library in "$root"/usr/lib/*/{blas/libblas,lapack/liblapack}.so.3; do
  [ ! -e "$library" ] || ln -sf --relative "$library" "$(dirname "$library")/.."
done

echo "$made_of" >"$root/made_of"
mv "$root" "$folder"
