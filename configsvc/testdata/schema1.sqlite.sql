-- Schema 1 for SQLite. Times are epoch milliseconds. Columns beside document
-- are copies of what is searched, sorted and compared.
CREATE TABLE dashboards (
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

CREATE INDEX dashboards_by_title ON dashboards (title_key, id) WHERE deleted_ms IS NULL;

-- One row: counts changes of any dashboard.
CREATE TABLE revision (n INTEGER NOT NULL) STRICT;
INSERT INTO revision (n) VALUES (1);

CREATE TABLE pulseboard_schema (version INTEGER NOT NULL);
INSERT INTO pulseboard_schema (version) VALUES (1);
