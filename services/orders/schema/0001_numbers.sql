-- The numbers of orders for people, from 10001. They have gaps: a process draws them in blocks.
CREATE SEQUENCE order_numbers START 10001;
