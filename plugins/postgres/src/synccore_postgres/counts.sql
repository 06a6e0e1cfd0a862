-- What a batch moves is counted once for each statement: a row of counts that one transaction writes a thousand times is
-- looked for among a thousand dead versions of itself.
CREATE FUNCTION count_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE delivery_count c SET rows = c.rows - gone.rows
        FROM (SELECT sink, route, state, count(*) AS rows FROM removed GROUP BY sink, route, state) gone
        WHERE c.sink = gone.sink AND c.route = gone.route AND c.state = gone.state;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO delivery_count SELECT sink, route, state, count(*) FROM added GROUP BY sink, route, state
            ON CONFLICT (sink, route, state) DO UPDATE SET rows = delivery_count.rows + excluded.rows;
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER delivery_made ON delivery;
DROP TRIGGER delivery_moved ON delivery;
CREATE TRIGGER delivery_made AFTER INSERT ON delivery FOR EACH ROW EXECUTE FUNCTION count_delivery();
CREATE TRIGGER delivery_moved AFTER UPDATE ON delivery
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_moved();
CREATE TRIGGER delivery_gone AFTER DELETE ON delivery
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_moved();
