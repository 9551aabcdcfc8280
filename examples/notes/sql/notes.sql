-- name: addNote :one
-- Writes a note, and returns it.
-- @row Note
-- @param tags json not null
-- @param kind text = 'plain'
-- @column tags json string[]
INSERT INTO notes (author, body, kind, tags, written)
VALUES (:author, :body, :kind, :tags, sql.now())
RETURNING id, author, body, kind, tags, written;

-- name: findNote :maybeOne
-- @row Note
-- @column tags json string[]
SELECT id, author, body, kind, tags, written
FROM notes
WHERE id = :id;

-- name: findNotes :all
-- Notes of some authors, the newest first.
-- @row Note
-- @param authors text[]
-- @column tags json string[]
SELECT id, author, body, kind, tags, written
FROM notes
WHERE author IN (:authors)
  AND id < :before -- @if before
ORDER BY id DESC
LIMIT :limit;

-- name: notesPerDay :all
-- Notes of each day, the newest day first, with who wrote them.
SELECT
  sql.day(written) AS day,
  string_agg(author, ', ' ORDER BY id) AS authors, -- @postgres
  group_concat(author, ', ' ORDER BY id) AS authors, -- @sqlite
  count(*) AS notes
FROM notes
WHERE written >= :since
GROUP BY 1
ORDER BY 1 DESC;

-- name: countTags :all
-- How many notes have each tag, the most used one first.
SELECT CAST(tags.value AS TEXT) AS tag, count(*) AS notes
FROM notes
CROSS JOIN json_each(notes.tags) AS tags
WHERE tags.value IS NOT NULL
GROUP BY 1
ORDER BY 2 DESC, 1;

-- name: removeNotes :run
-- Removes the notes of an author.
DELETE FROM notes
WHERE author = :author;
