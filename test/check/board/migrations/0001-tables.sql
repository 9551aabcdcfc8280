CREATE TABLE threads (
  id sql.autoId,
  title TEXT NOT NULL CHECK (length(title) BETWEEN 1 AND 80),
  locked BOOLEAN NOT NULL DEFAULT FALSE,
  meta JSON
);

CREATE TABLE posts (
  thread_id BIGINT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  reply_to INTEGER,
  author TEXT NOT NULL,
  body TEXT NOT NULL,
  score INTEGER NOT NULL DEFAULT 0,
  posted TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (thread_id, number),
  FOREIGN KEY (thread_id, reply_to) REFERENCES posts (thread_id, number) ON DELETE CASCADE
);

CREATE TABLE votes (
  thread_id BIGINT NOT NULL,
  number INTEGER NOT NULL,
  voter TEXT NOT NULL,
  value INTEGER NOT NULL CHECK (value IN (-1, 1)),
  PRIMARY KEY (thread_id, number, voter),
  FOREIGN KEY (thread_id, number) REFERENCES posts (thread_id, number) ON DELETE CASCADE
);
