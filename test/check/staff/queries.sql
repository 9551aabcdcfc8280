-- name: subtree :all
WITH RECURSIVE tree (id, depth) AS (
  SELECT id, 0 FROM departments WHERE id = :id
  UNION ALL
  SELECT d.id, tree.depth + 1 FROM departments AS d JOIN tree ON d.parent_id = tree.id WHERE tree.depth < 4
)
SELECT id, depth FROM tree ORDER BY depth, id;

-- name: roots :all
SELECT id, code FROM departments WHERE parent_id IS NULL ORDER BY id;

-- name: managers :all
SELECT e.id, m.name AS manager FROM employees AS e LEFT JOIN employees AS m ON m.id = e.manager_id ORDER BY e.id;

-- name: headcount :all
SELECT d.id, count(e.id) AS employees FROM departments AS d LEFT JOIN employees AS e ON e.department_id = d.id GROUP BY d.id;

-- name: payRank :all
SELECT id, rank() OVER (PARTITION BY department_id ORDER BY salary DESC) AS place FROM employees ORDER BY id;

-- name: payNumber :all
SELECT id, row_number() OVER (ORDER BY salary) AS place FROM employees ORDER BY id;

-- name: daysEmployed :all
SELECT id, left_on - hired AS days FROM employees WHERE left_on IS NOT NULL;

-- name: hiredBetween :all
-- @param since date
-- @param until date
SELECT id, hired FROM employees WHERE hired >= :since AND hired < :until ORDER BY hired, id;

-- name: hiredYear :all
SELECT id, extract(year FROM hired) AS year FROM employees;

-- name: doublePay :run
UPDATE employees SET salary = salary * 2 WHERE department_id = :department_id;

-- name: raisePay :run
UPDATE employees SET salary = salary * 1.1 WHERE id = :id;

-- name: fire :run
DELETE FROM employees WHERE id = :id;

-- name: closeDepartment :run
DELETE FROM departments WHERE id = :id;

-- name: addLeave :run
INSERT INTO leave_days (employee_id, day, kind) VALUES (:employee_id, :day, :kind) ON CONFLICT (employee_id, day) DO NOTHING;

-- name: renameDepartment :run
UPDATE departments SET code = :code WHERE id = :id;

-- name: ratedAbove :all
SELECT id, rating FROM employees WHERE rating > :rating ORDER BY rating DESC, id;

-- name: averageRating :all
SELECT department_id, avg(rating) AS average FROM employees GROUP BY department_id ORDER BY department_id;

-- name: codes :one
SELECT string_agg(code, ',' ORDER BY code COLLATE "C") AS codes FROM departments;

-- name: codesAnyOrder :one
SELECT string_agg(code, ',') AS codes FROM departments;

-- name: leaveByMonth :all
SELECT substr(CAST(day AS TEXT), 1, 7) AS month, count(*) AS days FROM leave_days GROUP BY 1 ORDER BY 1;

-- name: withoutLeave :all
SELECT id FROM employees AS e WHERE NOT EXISTS (SELECT 1 FROM leave_days WHERE employee_id = e.id) ORDER BY id;

-- name: moveAll :all
UPDATE employees SET department_id = :to WHERE department_id = :from RETURNING id, department_id;

-- name: sickDays :all
SELECT e.name, count(*) AS days
FROM employees AS e
JOIN leave_days AS l ON l.employee_id = e.id
WHERE l.kind = 'sick' AND l.day >= '2024-01-01'
GROUP BY e.id, e.name
HAVING count(*) >= 1;
