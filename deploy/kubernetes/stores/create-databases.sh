#!/bin/sh
# Run once by the image of PostgreSQL, on an empty volume: create a user and a database per service,
# which no other service can use.
set -eu

for service in tracking registry; do
  psql --set ON_ERROR_STOP=1 --username postgres \
    --set service="$service" \
    --set password="$(cat "/run/secrets/${service}_database_password")" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service" ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
