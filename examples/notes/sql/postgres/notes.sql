-- name: countTags :all
SELECT tags.value AS tag, count(*) AS notes
FROM notes
CROSS JOIN json_array_elements_text(notes.tags) AS tags (value)
WHERE tags.value IS NOT NULL
GROUP BY 1
ORDER BY 2 DESC, tags.value COLLATE "C";
