#!/bin/sh
# dpkg-shlibdeps for binaries of another architecture, whose libraries lie in $DDNN_SYSROOT
# (tools/make_sysroot.sh) and are installed nowhere. cpack runs it, see cmake/PackageVersion.cmake.
exec dpkg-shlibdeps -S"$DDNN_SYSROOT" "$@"
