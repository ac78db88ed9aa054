-- The roles and the database of the history. May be run again: passwords are set to what is given.
-- One role owns the schema and migrates; the service's own can do nothing but what the migrations grant.
-- psql, as a superuser, with DB_OWNER_PASSWORD, DB_SERVICE_PASSWORD and DB_NAME in its environment.
\getenv owner_password DB_OWNER_PASSWORD
\getenv service_password DB_SERVICE_PASSWORD
\getenv database DB_NAME
SELECT 'CREATE ROLE pcs_owner LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pcs_owner') \gexec
SELECT 'CREATE ROLE pcs_service LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pcs_service') \gexec
ALTER ROLE pcs_owner PASSWORD :'owner_password';
ALTER ROLE pcs_service PASSWORD :'service_password';
SELECT format('CREATE DATABASE %I OWNER pcs_owner', :'database')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
