-- name: saveUser :one
-- Inserts a user, or updates the fields that are given, and returns the stored row.
INSERT INTO users (
  id, "userId", platform, gender, timezone, picture_url, first_name, last_name, locale, created_on
)
VALUES (
  :id, :userId, :platform, :gender, :timezone, :picture_url, :first_name, :last_name, :locale, :now
)
ON CONFLICT (id) DO UPDATE SET
  gender = CASE WHEN :gives_gender THEN excluded.gender ELSE users.gender END,
  timezone = CASE WHEN :gives_timezone THEN excluded.timezone ELSE users.timezone END,
  picture_url = CASE WHEN :gives_picture_url THEN excluded.picture_url ELSE users.picture_url END,
  first_name = CASE WHEN :gives_first_name THEN excluded.first_name ELSE users.first_name END,
  last_name = CASE WHEN :gives_last_name THEN excluded.last_name ELSE users.last_name END,
  locale = CASE WHEN :gives_locale THEN excluded.locale ELSE users.locale END
RETURNING id, "userId", platform, gender, timezone, picture_url, first_name, last_name, locale, created_on;
