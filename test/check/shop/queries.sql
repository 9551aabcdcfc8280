-- name: customerById :maybeOne
SELECT id, name, email, tier, credit, joined FROM customers WHERE id = :id;

-- name: goldCustomers :all
SELECT id, name FROM customers WHERE tier = 'gold' AND credit >= :credit ORDER BY id;

-- name: customersByName :all
SELECT id, name FROM customers ORDER BY name, id;

-- name: customersByNameC :all
SELECT id, name FROM customers ORDER BY name COLLATE "C", id;

-- name: searchTitle :all
SELECT sku FROM products WHERE title LIKE '%' || :part || '%';

-- name: searchTitleLower :all
SELECT sku FROM products WHERE lower(title) = lower(:title);

-- name: orderTotals :all
SELECT o.id, coalesce(sum(l.quantity * p.price), 0) AS total
FROM orders AS o
LEFT JOIN order_lines AS l ON l.order_id = o.id
LEFT JOIN products AS p ON p.sku = l.sku
GROUP BY o.id
ORDER BY o.id;

-- name: averagePrice :one
SELECT avg(price) AS average FROM products;

-- name: averagePriceCast :one
SELECT CAST(avg(price) AS DOUBLE PRECISION) AS average FROM products;

-- name: latestOrder :maybeOne
SELECT id, placed FROM orders WHERE shipped IS NULL ORDER BY placed DESC LIMIT 1;

-- name: latestOrderById :maybeOne
SELECT id, placed FROM orders WHERE shipped IS NULL ORDER BY placed DESC, id DESC LIMIT 1;

-- name: unshipped :all
SELECT id, customer_id FROM orders WHERE shipped IS NULL ORDER BY placed, id;

-- name: byShipped :all
SELECT id FROM orders ORDER BY shipped, id;

-- name: addCustomer :one
INSERT INTO customers (name, email, tier, joined) VALUES (:name, :email, :tier, :joined) RETURNING id, name, tier, credit;

-- name: addLine :run
INSERT INTO order_lines (order_id, line, sku, quantity) VALUES (:order_id, :line, :sku, :quantity)
ON CONFLICT (order_id, line) DO UPDATE SET quantity = order_lines.quantity + excluded.quantity;

-- name: dropCustomer :run
DELETE FROM customers WHERE id = :id;

-- name: dropProduct :run
DELETE FROM products WHERE sku = :sku;

-- name: halveCredit :run
UPDATE customers SET credit = credit / 2 WHERE tier = :tier;

-- name: weightRounded :all
SELECT sku, round(weight) AS rounded FROM products;

-- name: perTier :all
SELECT tier, count(*) AS customers, max(credit) AS most FROM customers GROUP BY tier;

-- name: premium :all
SELECT sku, active AND price > 10 AS is_premium FROM products;

-- name: shipOrder :run
UPDATE orders SET shipped = sql.now() WHERE id = :id AND shipped IS NULL;

-- name: euros :all
SELECT sku, price / 100.0 AS euros FROM products;

-- name: longTitles :all
SELECT sku, length(title) AS length FROM products WHERE length(title) > :length;

-- name: initials :all
SELECT id, substr(name, 1, 1) AS initial FROM customers;
