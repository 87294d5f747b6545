#!/bin/sh
# Puts the extension where PostgreSQL looks for it: install.sh MODULE PKGLIBDIR SHAREDIR
# Meson sets DESTDIR; a running server picks it up with its next connections.
set -eu
here=$(dirname "$0")
install -d "${DESTDIR:-}$2" "${DESTDIR:-}$3/extension"
install -m 644 "$1" "${DESTDIR:-}$2/.keystead.so.new"
mv "${DESTDIR:-}$2/.keystead.so.new" "${DESTDIR:-}$2/keystead.so" # not in place: a backend may have it mapped
install -m 644 "$here/keystead.control" "$here"/keystead--*.sql "${DESTDIR:-}$3/extension/"
