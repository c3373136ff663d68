-- Finds orders by the number that people know (services/orders/links.py).
CREATE INDEX orders_by_number ON events (upper(data->>'number'))
    WHERE type IN ('zerocart.orders.order.created.v1', 'zerocart.orders.order.imported.v1');
