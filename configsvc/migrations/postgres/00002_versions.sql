-- What dashboards were before, and which change of all was the last of each.

-- +goose Up
CREATE TABLE dashboard_versions (
    id            TEXT   NOT NULL,
    version       BIGINT NOT NULL,
    action        TEXT   NOT NULL CHECK (action IN ('created', 'changed', 'restored', 'deleted')),
    restored_from BIGINT,
    author        TEXT   NOT NULL,
    at_ms         BIGINT NOT NULL,
    title         TEXT   NOT NULL,
    widgets       BIGINT NOT NULL,
    document      TEXT, -- NULL: a deletion has none.
    PRIMARY KEY (id, version)
);

INSERT INTO dashboard_versions (id, version, action, author, at_ms, title, widgets, document)
SELECT id, version, CASE WHEN deleted_ms IS NOT NULL THEN 'deleted' WHEN version = 1 THEN 'created' ELSE 'changed' END, '',
    coalesce(deleted_ms, updated_ms), document::json->>'title', json_array_length(document::json->'widgets'),
    CASE WHEN deleted_ms IS NULL THEN document END
FROM dashboards;

ALTER TABLE dashboards ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
CREATE INDEX dashboards_by_revision ON dashboards (revision);
