CREATE TABLE customers (
  id sql.autoId,
  name TEXT NOT NULL,
  email TEXT UNIQUE,
  tier TEXT NOT NULL DEFAULT 'basic' CHECK (tier IN ('basic', 'gold')),
  credit INTEGER NOT NULL DEFAULT 0 CHECK (credit BETWEEN 0 AND 1000),
  joined TIMESTAMPTZ NOT NULL
);

CREATE TABLE products (
  sku TEXT NOT NULL PRIMARY KEY,
  title TEXT NOT NULL,
  price INTEGER NOT NULL CHECK (price > 0),
  weight DOUBLE PRECISION,
  active BOOLEAN NOT NULL
);

CREATE TABLE orders (
  id sql.autoId,
  customer_id BIGINT NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
  placed TIMESTAMPTZ NOT NULL,
  shipped TIMESTAMPTZ,
  CHECK (shipped IS NULL OR shipped >= placed)
);

CREATE TABLE order_lines (
  order_id BIGINT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
  line INTEGER NOT NULL,
  sku TEXT NOT NULL REFERENCES products (sku),
  quantity INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 99),
  PRIMARY KEY (order_id, line)
);
