-- Only what a statement moves from one state to another is written to the counts: thousands of statements of one
-- transaction that move nothing left as many dead versions of a row, and each next one walked through all of them.
CREATE OR REPLACE FUNCTION count_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE delivery_count c SET rows = c.rows - gone.rows
            FROM (SELECT sink, route, state, count(*) AS rows FROM removed GROUP BY sink, route, state) gone
            WHERE c.sink = gone.sink AND c.route = gone.route AND c.state = gone.state;
        RETURN NULL;
    END IF;
    INSERT INTO delivery_count SELECT sink, route, state, 0 FROM (
            SELECT sink, route, state FROM added EXCEPT SELECT sink, route, state FROM removed) new
        ON CONFLICT DO NOTHING;
    UPDATE delivery_count c SET rows = c.rows + moved.rows
        FROM (SELECT sink, route, state, sum(rows) AS rows FROM (
                SELECT sink, route, state, 1 AS rows FROM added
                UNION ALL SELECT sink, route, state, -1 FROM removed) both_ways
            GROUP BY sink, route, state HAVING sum(rows) <> 0) moved
        WHERE c.sink = moved.sink AND c.route = moved.route AND c.state = moved.state;
    RETURN NULL;
END $$;
