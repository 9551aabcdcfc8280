CREATE TABLE notes (
  id sql.autoId,
  author TEXT NOT NULL,
  body TEXT NOT NULL,
  tags JSON NOT NULL,
  written TIMESTAMPTZ NOT NULL
);

CREATE INDEX notes_author ON notes (author, written);
