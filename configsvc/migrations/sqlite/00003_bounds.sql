-- What is needed to bound the store: who changed a dashboard last, and how many bytes things take.
-- The table of versions is made anew for its order: bytes that are added up lie before the documents,
-- which so need not be read for it. Documents are compressed from here on; older ones stay as they are.

-- +goose Up
CREATE TABLE kept_versions (
    id            TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    action        TEXT    NOT NULL CHECK (action IN ('created', 'changed', 'restored', 'deleted')),
    restored_from INTEGER,
    author        TEXT    NOT NULL,
    at_ms         INTEGER NOT NULL,
    title         TEXT    NOT NULL,
    widgets       INTEGER NOT NULL,
    bytes         INTEGER NOT NULL, -- Of this row, about.
    document      BLOB,             -- JSON, or that in zstd; NULL: a deletion has none.
    PRIMARY KEY (id, version)
) STRICT, WITHOUT ROWID;

INSERT INTO kept_versions SELECT id, version, action, restored_from, author, at_ms, title, widgets,
    100 + 2 * length(CAST(title AS BLOB)) + coalesce(length(CAST(document AS BLOB)), 0), CAST(document AS BLOB) FROM dashboard_versions;
DROP TABLE dashboard_versions;
ALTER TABLE kept_versions RENAME TO dashboard_versions;

ALTER TABLE dashboards ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE dashboards ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;      -- Of the document.
ALTER TABLE dashboards ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0; -- Of its versions.
UPDATE dashboards SET bytes = CASE WHEN deleted_ms IS NULL THEN length(CAST(document AS BLOB)) ELSE 0 END,
    author = coalesce((SELECT v.author FROM dashboard_versions v WHERE v.id = dashboards.id ORDER BY v.version DESC LIMIT 1), ''),
    kept_bytes = coalesce((SELECT sum(v.bytes) FROM dashboard_versions v WHERE v.id = dashboards.id), 0);
UPDATE dashboards SET document = '{}' WHERE deleted_ms IS NOT NULL;

CREATE INDEX dashboard_versions_bytes ON dashboard_versions (id, version, bytes);
CREATE INDEX dashboards_bytes ON dashboards (author, bytes, id) WHERE deleted_ms IS NULL;
CREATE INDEX dashboards_kept ON dashboards (kept_bytes, deleted_ms, id) WHERE kept_bytes > 0;
CREATE INDEX dashboards_deleted ON dashboards (deleted_ms, id) WHERE deleted_ms IS NOT NULL;
