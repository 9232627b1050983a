-- Which installation of Pulseboard this is, told apart from others that use the same Redis. A restored backup does not change it.

-- +goose Up
CREATE TABLE installation (id TEXT NOT NULL) STRICT;
INSERT INTO installation (id) VALUES (lower(hex(randomblob(16))));
