#!/usr/bin/env bash
# Makes one database and one role for each service; each role reaches its own database and no other.
# The postgres image runs this once, on an empty volume, with the passwords in the environment.
set -euo pipefail

for service in airflow mlflow feast operations; do
    variable="${service^^}_DATABASE_PASSWORD"
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
        --set=name="$service" --set=password="${!variable:?}" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
