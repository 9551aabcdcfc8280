-- name: findMigrations :all
-- The migrations of a module that have run.
SELECT name, checksum
FROM duolect_migrations
WHERE module = :module;

-- name: addMigration :run
INSERT INTO duolect_migrations (module, name, checksum, applied_on)
VALUES (:module, :name, :checksum, :now);
