-- Which installation of Pulseboard this is, told apart from others that use the same Redis. A restored backup does not change it.

-- +goose Up
CREATE TABLE installation (id TEXT NOT NULL);
INSERT INTO installation (id) VALUES (md5(random()::text || clock_timestamp()::text || pg_backend_pid()::text));
