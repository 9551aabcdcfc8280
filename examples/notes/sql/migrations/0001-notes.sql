CREATE TABLE notes (
  id sql.autoId,
  author TEXT NOT NULL,
  body TEXT NOT NULL,
  tags JSON NOT NULL CHECK (json_typeof(tags) = 'array'), -- @postgres
  tags JSON NOT NULL CHECK (json_type(tags) = 'array'), -- @sqlite
  written TIMESTAMPTZ NOT NULL
);

CREATE INDEX notes_author ON notes (author, written);
