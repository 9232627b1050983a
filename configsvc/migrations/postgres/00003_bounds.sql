-- What is needed to bound the store: who changed a dashboard last, and how many bytes things take.
-- Documents of versions are compressed from here on; older ones stay as they are.

-- +goose Up
ALTER TABLE dashboard_versions ALTER COLUMN document TYPE BYTEA USING convert_to(document, 'UTF8');
ALTER TABLE dashboard_versions ALTER COLUMN document SET STORAGE EXTERNAL; -- It is compressed.
ALTER TABLE dashboard_versions ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0; -- Of this row, about.
UPDATE dashboard_versions SET bytes = 100 + 2 * octet_length(title) + coalesce(octet_length(document), 0);

ALTER TABLE dashboards ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE dashboards ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;      -- Of the document.
ALTER TABLE dashboards ADD COLUMN kept_bytes BIGINT NOT NULL DEFAULT 0; -- Of its versions.
UPDATE dashboards SET bytes = CASE WHEN deleted_ms IS NULL THEN octet_length(document) ELSE 0 END,
    author = coalesce((SELECT v.author FROM dashboard_versions v WHERE v.id = dashboards.id ORDER BY v.version DESC LIMIT 1), ''),
    kept_bytes = coalesce((SELECT sum(v.bytes) FROM dashboard_versions v WHERE v.id = dashboards.id), 0);
UPDATE dashboards SET document = '{}' WHERE deleted_ms IS NOT NULL;

CREATE INDEX dashboard_versions_bytes ON dashboard_versions (id, version, bytes);
CREATE INDEX dashboards_bytes ON dashboards (author, bytes, id) WHERE deleted_ms IS NULL;
CREATE INDEX dashboards_kept ON dashboards (kept_bytes, deleted_ms, id) WHERE kept_bytes > 0;
CREATE INDEX dashboards_deleted ON dashboards (deleted_ms, id) WHERE deleted_ms IS NOT NULL;
