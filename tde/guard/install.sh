#!/bin/sh
# Installs the guard where PostgreSQL looks for modules: install.sh MODULE PKGLIBDIR
set -eu
mkdir -p "${DESTDIR:-}$2"
install -m 755 "$1" "${DESTDIR:-}$2/keystead_guard.so"
