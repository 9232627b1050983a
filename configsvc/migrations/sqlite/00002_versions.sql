-- What dashboards were before, and which change of all was the last of each.

-- +goose Up
CREATE TABLE dashboard_versions (
    id            TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    action        TEXT    NOT NULL CHECK (action IN ('created', 'changed', 'restored', 'deleted')),
    restored_from INTEGER,
    author        TEXT    NOT NULL,
    at_ms         INTEGER NOT NULL,
    title         TEXT    NOT NULL,
    widgets       INTEGER NOT NULL,
    document      TEXT    CHECK (document IS NULL OR json_valid(document)), -- NULL: a deletion has none.
    PRIMARY KEY (id, version)
) STRICT, WITHOUT ROWID;

INSERT INTO dashboard_versions (id, version, action, author, at_ms, title, widgets, document)
SELECT id, version, CASE WHEN deleted_ms IS NOT NULL THEN 'deleted' WHEN version = 1 THEN 'created' ELSE 'changed' END, '',
    coalesce(deleted_ms, updated_ms), json_extract(document, '$.title'), json_array_length(document, '$.widgets'),
    CASE WHEN deleted_ms IS NULL THEN document END
FROM dashboards;

ALTER TABLE dashboards ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
CREATE INDEX dashboards_by_revision ON dashboards (revision);
