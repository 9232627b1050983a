-- That of SQLite in PostgreSQL's words. Titles are ordered by their bytes, as there, whatever the
-- locale of the database.

-- +goose Up
CREATE TABLE IF NOT EXISTS dashboards (
    id         TEXT   PRIMARY KEY,
    version    BIGINT NOT NULL CHECK (version > 0),
    title_key  TEXT   COLLATE "C" NOT NULL,
    search     TEXT   NOT NULL,
    tags       TEXT   NOT NULL,
    document   TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    deleted_ms BIGINT
);

CREATE INDEX IF NOT EXISTS dashboards_by_title ON dashboards (title_key, id) WHERE deleted_ms IS NULL;

-- One row: counts changes of any dashboard.
CREATE TABLE IF NOT EXISTS revision (n BIGINT NOT NULL);
INSERT INTO revision (n) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM revision);

DROP TABLE IF EXISTS pulseboard_schema;
