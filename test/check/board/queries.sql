-- name: threadPage :all
SELECT id, title, locked, meta FROM threads WHERE id > :after ORDER BY id LIMIT :limit;

-- name: postsOf :all
SELECT number, author, body, posted FROM posts WHERE thread_id = :thread_id ORDER BY number;

-- name: replies :all
SELECT p.thread_id, p.number, r.author AS answered
FROM posts AS p
LEFT JOIN posts AS r ON r.thread_id = p.thread_id AND r.number = p.reply_to
ORDER BY p.thread_id, p.number;

-- name: scores :all
SELECT p.thread_id, p.number, coalesce(sum(v.value), 0) AS score
FROM posts AS p
LEFT JOIN votes AS v ON v.thread_id = p.thread_id AND v.number = p.number
GROUP BY p.thread_id, p.number;

-- name: tags :all
SELECT id, meta ->> 'tag' AS tag FROM threads ORDER BY id;

-- name: news :all
SELECT id FROM threads WHERE meta ->> 'tag' = 'news' ORDER BY id;

-- name: vote :run
INSERT INTO votes (thread_id, number, voter, value) VALUES (:thread_id, :number, :voter, :value)
ON CONFLICT (thread_id, number, voter) DO UPDATE SET value = excluded.value;

-- name: removePost :run
DELETE FROM posts WHERE thread_id = :thread_id AND number = :number;

-- name: perDay :all
SELECT sql.day(posted) AS day, count(*) AS posts FROM posts GROUP BY 1 ORDER BY 1;

-- name: recentInterval :all
SELECT number FROM posts WHERE posted > CURRENT_TIMESTAMP - INTERVAL '7 days';

-- name: recentText :all
SELECT thread_id, number FROM posts WHERE posted > CURRENT_TIMESTAMP;

-- name: recent :all
SELECT thread_id, number FROM posts WHERE posted > sql.shift(sql.now(), -7, 'days') ORDER BY thread_id, number;

-- name: authors :all
SELECT DISTINCT author FROM posts ORDER BY author;

-- name: authorsUpper :all
SELECT upper(author) AS author FROM posts;

-- name: acceptedUpper :all
-- @differs SQLite changes ASCII letters alone, which is enough here
SELECT upper(author) AS author FROM posts;

-- name: withoutMeta :all
SELECT id FROM threads WHERE meta IS NULL ORDER BY id;

-- name: newestOfThread :all
SELECT DISTINCT ON (thread_id) thread_id, number FROM posts ORDER BY thread_id, posted DESC, number;

-- name: lockThread :one
UPDATE threads SET locked = TRUE WHERE id = :id RETURNING id, locked;

-- name: lockedThreads :all
SELECT id FROM threads WHERE locked = 1;

-- name: nonEmpty :one
SELECT count(*) FILTER (WHERE body <> '') AS posts, count(DISTINCT author) AS authors FROM posts;

-- name: bump :all
UPDATE posts SET score = score + :by WHERE thread_id = :thread_id RETURNING number, score;

-- name: halfScore :all
SELECT thread_id, number, score / 2 AS half FROM posts;

-- name: shareOf :all
-- @param parts integer
SELECT thread_id, number, score / :parts AS share FROM posts;

-- name: filtered :all
SELECT thread_id, number
FROM posts
WHERE score >= :least
  AND author = :author -- @if author
ORDER BY thread_id, number;

-- name: labels :all
SELECT author || ' #' || number AS label FROM posts;

-- name: impossible :all
SELECT number FROM posts WHERE score > 5 AND score < 5;

-- name: addThread :one
INSERT INTO threads (title, meta) VALUES (:title, :meta) RETURNING id, title, locked, meta;

-- name: copyThread :all
INSERT INTO threads (title) SELECT title || ' (copy)' FROM threads WHERE id = :id RETURNING id, title;

-- name: answers :all
-- @param authors text[]
SELECT thread_id, number FROM posts WHERE author IN (:authors) AND reply_to IS NOT NULL;
