CREATE TABLE departments (
  id INTEGER NOT NULL PRIMARY KEY,
  code VARCHAR(4) NOT NULL UNIQUE,
  parent_id INTEGER REFERENCES departments (id) ON DELETE SET NULL
);

CREATE TABLE employees (
  id INTEGER NOT NULL PRIMARY KEY,
  department_id INTEGER NOT NULL REFERENCES departments (id) ON DELETE CASCADE,
  manager_id INTEGER REFERENCES employees (id) ON DELETE SET NULL,
  name TEXT NOT NULL,
  hired DATE NOT NULL,
  left_on DATE,
  salary INTEGER NOT NULL CHECK (salary >= 0),
  rating DOUBLE PRECISION CHECK (rating BETWEEN 0 AND 5),
  CHECK (left_on IS NULL OR left_on >= hired),
  CHECK (manager_id IS NULL OR manager_id <> id)
);

CREATE TABLE leave_days (
  employee_id INTEGER NOT NULL REFERENCES employees (id) ON DELETE CASCADE,
  day DATE NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('sick', 'holiday')),
  PRIMARY KEY (employee_id, day)
);
