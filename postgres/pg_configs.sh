#!/bin/sh
# Prints the pg_config of every PostgreSQL whose server headers are installed, one a line.
if [ -n "${PG_CONFIG:-}" ]; then
    echo "$PG_CONFIG"
    exit 0
fi
for config in /usr/lib/postgresql/*/bin/pg_config /usr/local/pgsql/bin/pg_config; do
    if [ -x "$config" ] && [ -f "$("$config" --includedir-server)/postgres.h" ]; then
        echo "$config"
    fi
done
