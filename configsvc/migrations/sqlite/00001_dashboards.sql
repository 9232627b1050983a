-- Times are epoch milliseconds. Columns beside document are copies of what is searched, sorted and
-- compared. IF NOT EXISTS: databases made before there were migrations have these tables.

-- +goose Up
CREATE TABLE IF NOT EXISTS dashboards (
    id         TEXT   PRIMARY KEY,
    version    INTEGER NOT NULL CHECK (version > 0),
    title_key  TEXT   NOT NULL,
    search     TEXT   NOT NULL,
    tags       TEXT   NOT NULL,
    document   TEXT   NOT NULL CHECK (json_valid(document)),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    deleted_ms INTEGER
) STRICT;

CREATE INDEX IF NOT EXISTS dashboards_by_title ON dashboards (title_key, id) WHERE deleted_ms IS NULL;

-- One row: counts changes of any dashboard.
CREATE TABLE IF NOT EXISTS revision (n INTEGER NOT NULL) STRICT;
INSERT INTO revision (n) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM revision);

DROP TABLE IF EXISTS pulseboard_schema;
